//! Holds a backend's answers against what it has promised, where that is cheap.
//!
//! A backend is somebody else's code: its answers are looked at before anybody relies on them. What
//! cannot be seen in one answer (a write that was forgotten, an item past its expiry) is left to the
//! conformance suite. Pure.

use port::backend::{BackendPage, Batch};
use port::store::{Change, Item, Key, Prefix, Revision, StoreError, Transaction};

fn corrupt<T>(what: impl std::fmt::Display) -> Result<T, StoreError> {
    Err(StoreError::Corrupt(format!(
        "the storage backend {what}; this is a fault of its plugin: update it, or tell its author"
    )))
}

/// An item that was asked for by its key.
pub(super) fn item(asked: &Key, item: Option<Item>) -> Result<Option<Item>, StoreError> {
    match item {
        Some(item) if item.key != *asked => corrupt(format_args!("sent {:?} for {asked:?}", item.key)),
        item => Ok(item),
    }
}

/// A page that was asked for.
pub(super) fn page(
    page: &BackendPage,
    prefix: &Prefix,
    from: Option<&Key>,
    limit: u32,
) -> Result<(), StoreError> {
    let count = page.items.len();
    if u32::try_from(count).map_or(true, |count| count > limit) {
        return corrupt(format_args!("sent {count} items where at most {limit} were asked for"));
    }
    if count == 0 && page.more {
        return corrupt("sent a page without items and says that there are more");
    }
    let mut before: Option<&Key> = None;
    for Item { key, revision, .. } in &page.items {
        if !prefix.contains(key) {
            return corrupt(format_args!("sent {key:?}, which is not below {prefix:?}"));
        }
        if from.is_some_and(|from| key < from) || before.is_some_and(|before| key <= before) {
            return corrupt(format_args!("sent {key:?} out of the order of keys"));
        }
        if *revision > page.revision {
            let at = page.revision;
            return corrupt(format_args!("sent an item of revision {revision} in a page of {at}"));
        }
        before = Some(key);
    }
    Ok(())
}

/// The key of a condition that did not hold, which must be one that was set.
pub(super) fn refusal(transaction: &Transaction, error: StoreError) -> StoreError {
    match &error {
        StoreError::Conflict(key) if !transaction.conditions.iter().any(|one| one.key() == key) => {
            let what = format_args!("refused a write for {key:?}, about which there was no condition");
            corrupt::<()>(what).err().unwrap_or(error)
        }
        _ => error,
    }
}

/// Changes that were asked for after a revision.
pub(super) fn batch(batch: &Batch, after: Revision) -> Result<(), StoreError> {
    let up_to = batch.up_to;
    if up_to < after {
        return corrupt(format_args!("told changes up to {up_to} when asked for those after {after}"));
    }
    let mut before = None;
    for event in &batch.events {
        let revision = event.revision;
        // What is not after was told as whole by an earlier batch: so a split revision is seen as well.
        if revision <= after || revision > up_to {
            return corrupt(format_args!("told a change of {revision} among those after {after} to {up_to}"));
        }
        if before.is_some_and(|before| revision < before) {
            return corrupt(format_args!("told changes of revision {revision} out of order"));
        }
        if let Change::Put(item) = &event.change
            && item.revision != revision
        {
            let of = item.revision;
            return corrupt(format_args!("told of an item of revision {of} as a change of {revision}"));
        }
        before = Some(revision);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use port::store::{Condition, WatchEvent};

    use super::*;

    fn an_item(name: &str, revision: u64) -> Item {
        Item { key: Key::of(&["t", name]), value: "1".into(), revision: Revision(revision), expires: None }
    }

    fn a_page(items: Vec<Item>, more: bool) -> BackendPage {
        BackendPage { items, more, revision: Revision(9) }
    }

    fn refuses(answer: &BackendPage) -> bool {
        let from = Key::of(&["t", "b"]);
        matches!(page(answer, &Prefix::of(&["t"]), Some(&from), 2), Err(StoreError::Corrupt(_)))
    }

    #[test]
    fn a_good_page_passes() {
        assert!(!refuses(&a_page(vec![], false)));
        assert!(!refuses(&a_page(vec![an_item("b", 1), an_item("c", 9)], true)));
    }

    #[test]
    fn a_page_keeps_to_what_was_asked() {
        let many = ["b", "c", "d"].map(|name| an_item(name, 1));
        assert!(refuses(&a_page(many.into(), false)), "too many");
        assert!(refuses(&a_page(vec![], true)), "more after nothing");
        assert!(refuses(&a_page(vec![an_item("a", 1)], false)), "before where it starts");
        assert!(refuses(&a_page(vec![an_item("c", 1), an_item("b", 1)], false)), "falling");
        assert!(refuses(&a_page(vec![an_item("c", 1), an_item("c", 1)], false)), "twice");
        assert!(refuses(&a_page(vec![an_item("c", 10)], false)), "of the future");
        let mut elsewhere = an_item("c", 1);
        elsewhere.key = Key::of(&["tt", "c"]);
        assert!(refuses(&a_page(vec![elsewhere], false)), "elsewhere");
    }

    #[test]
    fn an_item_is_the_one_asked_for() {
        let key = Key::of(&["t", "a"]);
        assert!(item(&key, Some(an_item("a", 1))).is_ok());
        assert!(item(&key, Some(an_item("b", 1))).is_err());
    }

    #[test]
    fn a_conflict_is_about_a_condition() {
        let (set, other) = (Key::of(&["t", "a"]), Key::of(&["t", "b"]));
        let transaction = Transaction::default().when(Condition::Absent(set.clone()));
        let honest = StoreError::Conflict(set);
        assert_eq!(refusal(&transaction, honest.clone()), honest);
        assert!(matches!(refusal(&transaction, StoreError::Conflict(other)), StoreError::Corrupt(_)));
    }

    #[test]
    fn a_batch_rises_within_its_bounds() {
        let told = |revisions: &[u64], up_to| {
            let event = |revision| {
                let revision = Revision(revision);
                WatchEvent { revision, change: Change::Put(an_item("a", revision.0)) }
            };
            let events = revisions.iter().copied().map(event).collect();
            batch(&Batch { events, up_to: Revision(up_to) }, Revision(5))
        };
        assert!(told(&[], 5).is_ok());
        assert!(told(&[6, 6, 8], 9).is_ok());
        assert!(told(&[], 4).is_err(), "less than asked from");
        assert!(told(&[5], 6).is_err(), "told before");
        assert!(told(&[7, 6], 9).is_err(), "falling");
        assert!(told(&[6, 9], 8).is_err(), "beyond its own word");
        let change = Change::Put(an_item("a", 3));
        let lie = Batch { events: vec![WatchEvent { revision: Revision(6), change }], up_to: Revision(6) };
        assert!(batch(&lie, Revision(5)).is_err(), "an item of another write");
    }
}
