//! Clearing: parts nothing refers to, and old entries of the log. Called by [`crate::upkeep`].

use serde_json::{Value, json};
use teleport_plugin_sdk::storage_backend::Failure;

use crate::backend::Backend;
use crate::call::{Problem, plain};
use crate::entry::Content;
use crate::log::{LOG, place};
use crate::outside::Outside;
use crate::part::{self, LOOK, MARK};
use crate::records::{RECORDS, record};
use crate::upkeep::{KEPT, SPARE, STONE};
use crate::wire::{self, Attributes, number, number_of, text_of};

impl<O: Outside> Backend<O> {
    /// Looks whether anything refers to the parts of this name.
    pub(crate) fn look(&mut self, name: &str, now: u64) -> Result<(), Failure> {
        let Some(mark) = self.item_at(MARK, name)? else { return Ok(()) };
        let count = number_of(&mark, "c").unwrap_or(0);
        if let Some(revision) = number_of(&mark, "n") {
            let entry = self.item_at(LOG, &place(revision))?;
            if entry.is_some_and(|entry| text_of(&entry, "i") == Some(name)) {
                return self.look_later(name, now.saturating_add(LOOK), false);
            }
            return self.drop_parts(name, count);
        }
        let key = text_of(&mark, "k").unwrap_or_default().to_owned();
        let kept = match self.item_at(RECORDS, &key)? {
            Some(item) => record(&item)?.1,
            None => None,
        };
        if !self.catch_up()? {
            return Ok(());
        }
        let latest = self.log.over.get(&key).map_or(kept, |latest| latest.stored.clone());
        let is_its =
            latest.is_some_and(|stored| matches!(stored.content, Content::Parts(its, _) if its == name));
        match (is_its, mark.contains_key("u")) {
            (true, _) => self.look_later(name, now.saturating_add(STONE), false),
            // The log may still tell of it: gone the next time.
            (false, false) => self.look_later(name, now.saturating_add(LOOK), true),
            (false, true) => self.drop_parts(name, count),
        }
    }

    fn look_later(&mut self, name: &str, when: u64, unused: bool) -> Result<(), Failure> {
        let change = if unused { "SET e = :e, u = :u" } else { "SET e = :e REMOVE u" };
        let mut values = json!({ ":e": number(when) });
        if let (true, Value::Object(values)) = (unused, &mut values) {
            values.insert(":u".to_owned(), number(1));
        }
        let body = json!({
            "Key": wire::key(MARK, name),
            "UpdateExpression": change,
            "ConditionExpression": "attribute_exists(p)",
            "ExpressionAttributeValues": values,
        });
        match self.ask("UpdateItem", body) {
            Ok(_) | Err(Problem::Condition) => Ok(()),
            Err(problem) => Err(plain(problem)),
        }
    }

    fn item_at(&mut self, partition: &str, place: &str) -> Result<Option<Attributes>, Failure> {
        let body = json!({ "Key": wire::key(partition, place), "ConsistentRead": true });
        let mut answer = self.ask("GetItem", body).map_err(plain)?;
        Ok(match answer.get_mut("Item").map(Value::take) {
            Some(Value::Object(item)) => Some(item),
            _ => None,
        })
    }

    /// Removes entries that are in the records and old. The last one stays: the next is counted from it.
    pub(crate) fn clear(&mut self) -> Result<(), Failure> {
        let bound = self.rounds.noted.min(self.log.head.saturating_sub(1));
        let body = json!({
            "KeyConditionExpression": "p = :p AND s <= :s",
            "ExpressionAttributeValues": { ":p": wire::text(LOG), ":s": wire::text(&place(bound)) },
            "ProjectionExpression": "s, w, i, c",
            "ConsistentRead": true,
            "Limit": 240,
        });
        let mut answer = self.ask("Query", body).map_err(plain)?;
        // A page ends at 1 MiB of entries as they are kept, of which few may be asked for here.
        let is_cut = answer.get("LastEvaluatedKey").is_some();
        let read = wire::items(&mut answer, "Items")?;
        let old = self.outside.now().saturating_sub(KEPT);
        let is_old = |item: &&Attributes| number_of(item, "w").is_some_and(|when| when < old);
        let gone: Vec<_> = read.iter().take_while(is_old).collect();
        let mut removed = 0;
        // From the oldest on, though those of one batch in any order. Whoever reads on from a place where
        // one is missing is told that it is gone.
        for some in gone.chunks(24) {
            if self.budget.requests <= SPARE / 2 {
                break;
            }
            let keys = some.iter().filter_map(|item| text_of(item, "s"));
            self.batch_write(keys.map(|place| part::delete(LOG, place)).collect())?;
            for item in some {
                if let (Some(name), Some(count)) = (text_of(item, "i"), number_of(item, "c")) {
                    self.drop_parts(name, count)?;
                }
            }
            removed += some.len();
        }
        if is_more(read.len(), gone.len(), removed, is_cut) {
            self.rounds.clear = self.outside.monotonic();
        }
        Ok(())
    }
}

/// Whether more can be removed at once: not all that was old has been, or all that was read was old and it
/// was not everything.
fn is_more(read: usize, old: usize, removed: usize, is_cut: bool) -> bool {
    removed < old || (old == read && is_cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_at_once_until_what_is_left_is_young() {
        // A page of large entries, and one of small ones.
        assert!(is_more(12, 12, 12, true) && is_more(240, 240, 240, true));
        // No requests were left for the rest of it.
        assert!(is_more(240, 100, 96, true) && is_more(30, 30, 24, false));
        // The next one is young, or there is none.
        assert!(!is_more(240, 100, 100, true) && !is_more(240, 240, 240, false) && !is_more(0, 0, 0, false));
    }
}
