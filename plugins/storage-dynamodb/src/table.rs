//! The table: made when it is not there, and made sure of before it is used.
//!
//! One table holds everything: a partition for the records with the record's key as the sort key, so that a
//! range is one query in the order of the keys; a partition for the log; one for parts of each large thing;
//! and an index of what is to be looked at, by time. The 10 GB that bound a partition are for tables
//! with local indexes, which this one has not. One partition takes 1,000 writes of a kilobyte and 3,000
//! reads of four a second; writes are one after another anyway.

use std::time::Duration;

use serde_json::{Value, json};
use teleport_plugin_sdk::storage_backend::{About, Failure, VALUE_MAX};

use crate::backend::Backend;
use crate::call::{Problem, plain};
use crate::outside::Outside;

/// The index of what is to be looked at, by time.
pub(crate) const INDEX: &str = "due";

/// The attribute by which DynamoDB itself removes what nobody came to remove.
const TTL: &str = "t";

impl<O: Outside> Backend<O> {
    /// Reaches DynamoDB and makes the table when it is not there.
    pub(crate) fn make_ready(&mut self) -> Result<About, Failure> {
        let made = self.ready()?;
        let mut without = Vec::new();
        if !self.with_ttl()? {
            without.push("TTL");
        }
        if self.settings.backups && !self.with_backups()? {
            return Err(Failure::Invalid(
                "continuous_backups is on, but this endpoint does not offer them; turn it off".to_owned(),
            ));
        }
        self.prepare()?;
        let missing = if without.is_empty() {
            String::new()
        } else {
            format!(", which has no {}", without.join(" and no "))
        };
        let made = if made { ", made now" } else { "" };
        Ok(About {
            description: format!(
                "DynamoDB table {} at {}{missing}{made}",
                self.settings.table, self.settings.endpoint
            ),
            value_max: VALUE_MAX as u64,
        })
    }

    /// Waits until the table can be used; whether it was made now.
    fn ready(&mut self) -> Result<bool, Failure> {
        let mut made = false;
        loop {
            match self.ask("DescribeTable", json!({})) {
                Ok(answer) => {
                    let table = answer.get("Table").unwrap_or(&Value::Null);
                    let status = table.get("TableStatus").and_then(Value::as_str).unwrap_or_default();
                    if matches!(status, "ACTIVE" | "UPDATING") {
                        return fits(table, &self.settings.table).map(|()| made);
                    }
                    if !matches!(status, "CREATING") {
                        return Err(Failure::Unavailable(format!(
                            "the table {} is {status}; wait until that is over",
                            self.settings.table
                        )));
                    }
                }
                Err(problem) if problem.is("ResourceNotFoundException") => {
                    made = true;
                    match self.ask("CreateTable", self.wanted()) {
                        Ok(_) => {}
                        // Another auth server was faster.
                        Err(problem) if problem.is("ResourceInUseException") => {}
                        Err(problem) => return Err(plain(problem)),
                    }
                }
                Err(problem) => return Err(plain(problem)),
            }
            if self.budget.end <= self.outside.monotonic() {
                return Err(Failure::Unavailable(format!(
                    "the table {} is still being made; it is tried again",
                    self.settings.table
                )));
            }
            self.outside.sleep(Duration::from_millis(500));
        }
    }

    fn wanted(&self) -> Value {
        let attribute = |name: &str, kind: &str| json!({ "AttributeName": name, "AttributeType": kind });
        let part = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
        let mut index = json!({
            "IndexName": INDEX,
            "KeySchema": [part("x", "HASH"), part("e", "RANGE")],
            "Projection": { "ProjectionType": "KEYS_ONLY" },
        });
        let mut table = json!({
            "AttributeDefinitions": [attribute("p", "S"), attribute("s", "S"), attribute("x", "S"), attribute("e", "N")],
            "KeySchema": [part("p", "HASH"), part("s", "RANGE")],
            "BillingMode": if self.settings.capacity.is_some() { "PROVISIONED" } else { "PAY_PER_REQUEST" },
        });
        if let (Some((read, write)), Value::Object(index), Value::Object(table)) =
            (self.settings.capacity, &mut index, &mut table)
        {
            let units = json!({ "ReadCapacityUnits": read, "WriteCapacityUnits": write });
            index.insert("ProvisionedThroughput".to_owned(), units.clone());
            table.insert("ProvisionedThroughput".to_owned(), units);
        }
        if let Value::Object(table) = &mut table {
            table.insert("GlobalSecondaryIndexes".to_owned(), json!([index]));
        }
        table
    }

    /// Turns TTL on where it is not; false where there is none to be had. Nothing here relies on it: it
    /// removes what is left when no auth server runs for a week.
    fn with_ttl(&mut self) -> Result<bool, Failure> {
        let status = match self.ask("DescribeTimeToLive", json!({})) {
            Ok(answer) => answer,
            Err(problem) if is_unknown(&problem) => return Ok(false),
            Err(problem) => return Err(plain(problem)),
        };
        let status = status.pointer("/TimeToLiveDescription/TimeToLiveStatus").and_then(Value::as_str);
        if matches!(status, Some("ENABLED" | "ENABLING")) {
            return Ok(true);
        }
        let wanted = json!({ "TimeToLiveSpecification": { "AttributeName": TTL, "Enabled": true } });
        match self.ask("UpdateTimeToLive", wanted) {
            Ok(_) => Ok(true),
            Err(problem) if is_unknown(&problem) => Ok(false),
            // Another auth server does it at this moment.
            Err(problem) if problem.is("ValidationException") => Ok(true),
            Err(problem) => Err(plain(problem)),
        }
    }

    /// Turns continuous backups on where they are not; false where there are none to be had.
    fn with_backups(&mut self) -> Result<bool, Failure> {
        let now = match self.ask("DescribeContinuousBackups", json!({})) {
            Ok(answer) => answer,
            Err(problem) if is_unknown(&problem) => return Ok(false),
            Err(problem) => return Err(plain(problem)),
        };
        let now = now
            .pointer("/ContinuousBackupsDescription/PointInTimeRecoveryDescription/PointInTimeRecoveryStatus")
            .and_then(Value::as_str);
        if now == Some("ENABLED") {
            return Ok(true);
        }
        let wanted = json!({ "PointInTimeRecoverySpecification": { "PointInTimeRecoveryEnabled": true } });
        loop {
            match self.ask("UpdateContinuousBackups", wanted.clone()) {
                Ok(_) => return Ok(true),
                Err(problem) if is_unknown(&problem) => return Ok(false),
                // A table that was made a moment ago is not ready for it.
                Err(problem) if problem.is("ContinuousBackupsUnavailableException") => {
                    if self.budget.end <= self.outside.monotonic() || self.budget.requests == 0 {
                        return Err(plain(problem));
                    }
                    self.outside.sleep(Duration::from_millis(500));
                }
                Err(problem) => return Err(plain(problem)),
            }
        }
    }
}

/// A table of this name that somebody made for something else is left alone.
fn fits(table: &Value, name: &str) -> Result<(), Failure> {
    let part = |at: usize, attribute: &str| {
        table.pointer(&format!("/KeySchema/{at}/AttributeName")).and_then(Value::as_str) == Some(attribute)
    };
    let indexes = table.get("GlobalSecondaryIndexes").and_then(Value::as_array);
    let has_index = indexes.is_some_and(|all| {
        all.iter().any(|index| index.get("IndexName").and_then(Value::as_str) == Some(INDEX))
    });
    if part(0, "p") && part(1, "s") && has_index {
        return Ok(());
    }
    Err(Failure::Invalid(format!(
        "the table {name} was made for something else; choose another table_name, and it is made as it should be"
    )))
}

fn is_unknown(problem: &Problem) -> bool {
    problem.is("UnknownOperationException") || problem.is("NotImplementedException")
}
