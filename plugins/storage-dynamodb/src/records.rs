//! Reading: first the records, then the end of the log, which is laid over them (see [`crate::log`]). What a
//! write must know is read the same way ([`crate::write`]).

use std::ops::Bound;

use serde_json::{Value, json};
use teleport_plugin_sdk::storage_backend::{Failure, Item, KEY_MAX, Page};

use crate::backend::{Backend, ByKey};
use crate::call::plain;
use crate::entry::{Content, Stored};
use crate::limit::busy;
use crate::log::PART;
use crate::outside::Outside;
use crate::plan::{Known, State};
use crate::wire::{self, Attributes, number_of, text_of};

/// The partition of the records.
pub(crate) const RECORDS: &str = "record";

/// Bytes of the values of one page.
const PAGE: usize = 4 * 1024 * 1024;

/// How often a read is tried whose records change meanwhile.
const TRIES: usize = 24;

/// Requests left for the values of a page.
const SPARE: u32 = 16;

/// Reads a record: its key, and the item; none for the stone of one that was removed.
pub(crate) fn record(item: &Attributes) -> Result<(String, Option<Stored>), Failure> {
    let key = text_of(item, "s").ok_or_else(|| wire::corrupt("a record without a key"))?.to_owned();
    let revision = number_of(item, "v").ok_or_else(|| wire::corrupt("a record without a revision"))?;
    if item.contains_key("d") {
        return Ok((key, None));
    }
    let content = match (text_of(item, "g"), number_of(item, "c")) {
        (Some(name), Some(count)) => Content::Parts(name.to_owned(), u32::try_from(count).unwrap_or(0)),
        _ => Content::Here(wire::bytes_of(item, "b").unwrap_or_default()),
    };
    let stored = Stored { revision, expires: number_of(item, "e"), content };
    Ok((key, Some(stored)))
}

impl Stored {
    pub(crate) fn known(&self) -> Known {
        Known { revision: self.revision, expires: self.expires }
    }
}

impl<O: Outside> Backend<O> {
    /// One item, as of now.
    pub(crate) fn get_now(&mut self, key: &str) -> Result<Option<Item>, Failure> {
        for _ in 0..TRIES {
            self.prepare()?;
            let body = json!({ "Key": wire::key(RECORDS, key), "ConsistentRead": true });
            let answer = self.ask("GetItem", body).map_err(plain)?;
            let found = match answer.get("Item") {
                Some(Value::Object(item)) => record(item)?.1,
                _ => None,
            };
            if !self.catch_up()? {
                continue;
            }
            let found = match self.log.over.get(key) {
                Some(latest) => latest.stored.clone(),
                None => found,
            };
            let now = self.outside.now();
            let Some(stored) = found.filter(|stored| !stored.known().is_over(now)) else { return Ok(None) };
            if let Some(item) = self.item(key, stored)? {
                return Ok(Some(item));
            }
        }
        Err(busy("read"))
    }

    /// The item with its value; none when that was removed since.
    pub(crate) fn item(&mut self, key: &str, stored: Stored) -> Result<Option<Item>, Failure> {
        let value = match stored.content {
            Content::Here(value) => Some(value),
            Content::Parts(name, count) => self.parts(&name, u64::from(count))?,
        };
        let Stored { revision, expires, .. } = stored;
        Ok(value.map(|value| Item { key: key.to_owned(), value, revision, expires }))
    }

    /// Items whose keys start with `prefix`, not before `start`, all of one moment.
    pub(crate) fn range_now(
        &mut self,
        prefix: &str,
        start: Option<&str>,
        limit: u32,
    ) -> Result<Page, Failure> {
        let start = start.unwrap_or(prefix).max(prefix);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        for _ in 0..TRIES {
            if let Some(page) = self.page(prefix, start, limit)? {
                return Ok(page);
            }
            if self.budget.requests <= SPARE {
                break;
            }
        }
        Err(Failure::Unavailable(
            "too many records that are gone lie before the next one; they are being removed, try again"
                .to_owned(),
        ))
    }

    /// A page; none when it must be read again.
    fn page(&mut self, prefix: &str, start: &str, limit: usize) -> Result<Option<Page>, Failure> {
        self.prepare()?;
        // What is over in the records, or gone by the log, leaves room for others.
        let (mut found, mut from, mut bytes): (ByKey<Stored>, String, usize) =
            (ByKey::new(), start.to_owned(), 0);
        let (mut open, mut skipped) = (true, 0);
        while open && found.len() <= limit && bytes < PAGE && self.budget.requests > SPARE {
            // Who meets many that are gone takes large steps.
            let step = if skipped == 0 { limit - found.len() + 1 } else { usize::MAX };
            let (records, more) = self.records(prefix, &from, None, Some(step))?;
            open = more;
            let now = self.outside.now();
            for (key, record) in records {
                from = format!("{key}\0");
                // As far as the log is known by now; what is new in it is laid over below.
                let latest = self.log.over.get(&key).map_or(record, |latest| latest.stored.clone());
                match latest.filter(|stored| !stored.known().is_over(now)) {
                    Some(stored) => {
                        bytes += size(&stored);
                        found.insert(key, stored);
                    }
                    None => skipped += 1,
                }
            }
        }
        if !self.catch_up()? {
            return Ok(None);
        }
        // Of what lies beyond, nothing has been read.
        let beyond = if open { Bound::Excluded(from.as_str()) } else { Bound::Unbounded };
        let now = self.outside.now();
        if start < from.as_str() || !open {
            for (key, latest) in self.log.over.range::<str, _>((Bound::Included(start), beyond)) {
                if !key.starts_with(prefix) {
                    continue;
                }
                match &latest.stored {
                    Some(stored) if !stored.known().is_over(now) => found.insert(key.clone(), stored.clone()),
                    _ => found.remove(key),
                };
            }
        }
        self.fill(found, open, limit)
    }

    /// The page of these, as far as they fit.
    fn fill(&mut self, found: ByKey<Stored>, open: bool, limit: usize) -> Result<Option<Page>, Failure> {
        let (mut items, mut bytes, count) = (Vec::new(), 0, found.len());
        for (key, stored) in found {
            bytes += size(&stored);
            let is_large = matches!(stored.content, Content::Parts(..));
            let is_full = bytes > PAGE || is_large && self.budget.requests < 10;
            if items.len() >= limit || !items.is_empty() && is_full {
                break;
            }
            match self.item(&key, stored)? {
                Some(item) => items.push(item),
                None => return Ok(None),
            }
        }
        let more = open || items.len() < count;
        if items.is_empty() && more {
            // All of it is gone by the log, which is known now.
            return Ok(None);
        }
        Ok(Some(Page { items, more, revision: self.log.head }))
    }

    /// Records below a prefix from a key on, as far as one answer goes, and whether there are more.
    fn records(
        &mut self,
        prefix: &str,
        from: &str,
        projection: Option<&str>,
        limit: Option<usize>,
    ) -> Result<(ByKey<Option<Stored>>, bool), Failure> {
        // The key of an item may have 1024 bytes, and so may what it is compared with.
        let mut cut = from.len().min(KEY_MAX);
        while !from.is_char_boundary(cut) {
            cut -= 1;
        }
        let start = from.get(..cut).unwrap_or(prefix);
        let mut end = prefix.to_owned();
        end.pop();
        // '0' follows '/'. No key below the prefix is that, others may be.
        end.push('0');
        let mut query = json!({
            "KeyConditionExpression": "p = :p AND s BETWEEN :a AND :b",
            "ExpressionAttributeValues": { ":p": wire::text(RECORDS), ":a": wire::text(start), ":b": wire::text(&end) },
            "ConsistentRead": true,
        });
        if let Value::Object(query) = &mut query {
            if let Some(projection) = projection {
                query.insert("ProjectionExpression".to_owned(), json!(projection));
            }
            if let Some(limit) = limit {
                // One more for the one that may lie before the start.
                query.insert("Limit".to_owned(), json!(limit.clamp(1, 1000) + 1));
            }
        }
        let mut answer = self.ask("Query", query).map_err(plain)?;
        let more = answer.get("LastEvaluatedKey").is_some();
        let mut records = ByKey::new();
        for item in wire::items(&mut answer, "Items")? {
            let (key, record) = record(&item)?;
            if key.as_str() >= from && key.starts_with(prefix) {
                records.insert(key, record);
            } else if !key.starts_with(prefix) {
                return Ok((records, false));
            }
        }
        Ok((records, more))
    }

    /// What the records say of some keys and of those below prefixes.
    pub(crate) fn read_state(&mut self, keys: &[&str], prefixes: &[&str]) -> Result<State, Failure> {
        self.prepare()?;
        let mut state = State::new();
        for keys in keys.chunks(100) {
            let mut left: Vec<Value> = keys.iter().map(|key| wire::key(RECORDS, key)).collect();
            while !left.is_empty() {
                let table = self.settings.table.clone();
                let asked =
                    json!({ "Keys": left, "ConsistentRead": true, "ProjectionExpression": "s, v, e, d" });
                let mut answer =
                    self.ask("BatchGetItem", json!({ "RequestItems": { &table: asked } })).map_err(plain)?;
                let found = answer.pointer_mut("/Responses").map(Value::take).unwrap_or_default();
                for item in wire::items(&mut found.clone(), &table)? {
                    keep(&mut state, record(&item)?);
                }
                let keys = answer
                    .pointer_mut("/UnprocessedKeys")
                    .and_then(|all| all.get_mut(&table)?.get_mut("Keys"));
                left = keys.and_then(|keys| keys.as_array().cloned()).unwrap_or_default();
                if !left.is_empty() {
                    self.pause();
                }
            }
        }
        for prefix in prefixes {
            let mut from = (*prefix).to_owned();
            loop {
                let (records, more) = self.records(prefix, &from, Some("s, v, e, d"), None)?;
                if let Some((last, _)) = records.last_key_value() {
                    from = format!("{last}\0");
                }
                for found in records {
                    keep(&mut state, found);
                }
                if !more {
                    break;
                }
            }
        }
        Ok(state)
    }

    /// The state at the log's last revision.
    pub(crate) fn lay_over(&self, read: &State, keys: &[&str], prefixes: &[&str]) -> State {
        let mut state = read.clone();
        let named = keys.iter().filter_map(|key| self.log.over.get_key_value(*key));
        let below = prefixes.iter().flat_map(|prefix| {
            let from = (Bound::Included(*prefix), Bound::Unbounded);
            self.log.over.range::<str, _>(from).take_while(move |(key, _)| key.starts_with(prefix))
        });
        for (key, latest) in named.chain(below) {
            match &latest.stored {
                Some(stored) => state.insert(key.clone(), stored.known()),
                None => state.remove(key),
            };
        }
        state
    }
}

fn keep(state: &mut State, (key, stored): (String, Option<Stored>)) {
    if let Some(stored) = stored {
        state.insert(key, stored.known());
    }
}

fn size(stored: &Stored) -> usize {
    match &stored.content {
        Content::Here(value) => value.len(),
        Content::Parts(_, count) => usize::try_from(*count).unwrap_or(usize::MAX).saturating_mul(PART),
    }
}
