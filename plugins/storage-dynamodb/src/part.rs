//! What is larger than an item may be: cut into items of their own.
//!
//! A mark is put before the first of them, so that none stays behind for ever when nothing comes to refer to
//! them: it comes up for a look after a while ([`crate::upkeep`]).

use serde_json::{Value, json};
use teleport_plugin_sdk::storage_backend::Failure;

use crate::backend::Backend;
use crate::call::plain;
use crate::log::PART;
use crate::outside::Outside;
use crate::wire::{self, number};

/// The partition of marks.
pub(crate) const MARK: &str = "mark";

/// How long until a mark is looked at, in microseconds; longer than the log is kept.
pub(crate) const LOOK: u64 = 2 * 3600 * 1_000_000;

/// Parts written in one request, of at most 16 MB together.
const BATCH: usize = 24;

impl<O: Outside> Backend<O> {
    /// Writes bytes in parts under a name, with a mark that says whose they are. How many parts.
    pub(crate) fn put_parts(&mut self, name: &str, bytes: &[u8], mark: &Value) -> Result<u32, Failure> {
        let parts: Vec<&[u8]> = bytes.chunks(PART).collect();
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let mut item = json!({
            "p": wire::text(MARK),
            "s": wire::text(name),
            "c": number(u64::from(count)),
            "x": wire::text("x"),
            "e": number(self.outside.now().saturating_add(LOOK)),
        });
        if let (Value::Object(item), Value::Object(mark)) = (&mut item, mark) {
            item.extend(mark.clone());
        }
        self.ask("PutItem", json!({ "Item": item })).map_err(plain)?;
        let requests: Vec<_> = parts
            .iter()
            .zip(0_u32..)
            .map(|(part, at)| {
                let item = json!({ "p": wire::text(&partition(name)), "s": wire::text(&place(at)), "b": wire::bytes(part) });
                json!({ "PutRequest": { "Item": item } })
            })
            .collect();
        for batch in requests.chunks(BATCH) {
            self.batch_write(batch.to_vec())?;
        }
        Ok(count)
    }

    /// The bytes of all parts; none when one of them is not there any more.
    pub(crate) fn parts(&mut self, name: &str, count: u64) -> Result<Option<Vec<u8>>, Failure> {
        let mut bytes = Vec::new();
        let mut from = String::new();
        let mut seen = 0;
        loop {
            let mut query = json!({
                "KeyConditionExpression": "p = :p",
                "ExpressionAttributeValues": { ":p": wire::text(&partition(name)) },
                "ConsistentRead": true,
            });
            if let (Value::Object(query), false) = (&mut query, from.is_empty()) {
                query.insert("ExclusiveStartKey".to_owned(), wire::key(&partition(name), &from));
            }
            let mut answer = self.ask("Query", query).map_err(plain)?;
            let more = answer.get("LastEvaluatedKey").is_some();
            let items = wire::items(&mut answer, "Items")?;
            for item in &items {
                let place_of = wire::text_of(item, "s").unwrap_or_default();
                if place_of != place(seen) {
                    return Ok(None);
                }
                bytes.extend(wire::bytes_of(item, "b").ok_or_else(|| wire::corrupt("a part without bytes"))?);
                seen += 1;
                from = place_of.to_owned();
            }
            if !more || items.is_empty() {
                return Ok((u64::from(seen) == count).then_some(bytes));
            }
        }
    }

    /// Removes parts and their mark.
    pub(crate) fn drop_parts(&mut self, name: &str, count: u64) -> Result<(), Failure> {
        let count = u32::try_from(count).unwrap_or(0);
        let mut requests: Vec<_> = (0..count).map(|at| delete(&partition(name), &place(at))).collect();
        // The mark last: what is cut short is done again.
        requests.push(delete(MARK, name));
        for batch in requests.chunks(BATCH) {
            self.batch_write(batch.to_vec())?;
        }
        Ok(())
    }

    /// Writes or removes up to 25 items, in no order.
    pub(crate) fn batch_write(&mut self, requests: Vec<Value>) -> Result<(), Failure> {
        let mut requests = Value::Array(requests);
        loop {
            let table = self.settings.table.clone();
            let mut answer =
                self.ask("BatchWriteItem", json!({ "RequestItems": { &table: requests } })).map_err(plain)?;
            // What was too much for the table's capacity comes back.
            match answer
                .pointer_mut("/UnprocessedItems")
                .and_then(|left| left.get_mut(&table))
                .map(Value::take)
            {
                Some(left @ Value::Array(_)) if left.as_array().is_some_and(|left| !left.is_empty()) => {
                    requests = left;
                    self.pause();
                }
                _ => return Ok(()),
            }
        }
    }
}

/// A removal within [`Backend::batch_write`].
pub(crate) fn delete(partition: &str, place: &str) -> Value {
    json!({ "DeleteRequest": { "Key": wire::key(partition, place) } })
}

fn partition(name: &str) -> String {
    format!("part/{name}")
}

fn place(at: u32) -> String {
    format!("{at:06}")
}
