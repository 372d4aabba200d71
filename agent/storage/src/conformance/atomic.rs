//! Conditions, transactions, revisions.

use port::store::{Condition, Key, Operation, Prefix, Revision, StoreError, Transaction};

use super::{Subject, below, bytes, key};

pub(super) async fn compare_and_swap_needs_the_last_revision(subject: Subject) {
    let store = &subject.store;
    let conflict = Err(StoreError::Conflict(key("a")));
    assert_eq!(store.compare_and_swap(key("a"), Revision(0), bytes("x"), None).await, conflict);
    let first = subject.put("a", "1").await;
    let second = store.compare_and_swap(key("a"), first, bytes("2"), None).await.unwrap();
    assert_eq!(store.compare_and_swap(key("a"), first, bytes("3"), None).await, conflict);
    assert_eq!(subject.value("a").await.as_deref(), Some("2"));
    subject.put("b", "1").await;
    store.compare_and_swap(key("a"), second, bytes("4"), None).await.unwrap();
    store.delete(key("a")).await.unwrap();
    store.create(key("a"), bytes("4"), None).await.unwrap();
    assert_eq!(
        store.compare_and_swap(key("a"), second, bytes("5"), None).await,
        conflict,
        "made anew is changed"
    );
}

pub(super) async fn a_transaction_happens_whole(subject: Subject) {
    subject.put("old", "1").await;
    subject.fill("gone", 3).await;
    let transaction = Transaction::default()
        .when(Condition::Absent(key("new")))
        .when(Condition::Present(key("old")))
        .put(key("new"), "2", None)
        .put(key("old"), "3", None)
        .then(Operation::DeleteRange(Prefix::of(&["gone"])));
    let revision = subject.store.write(transaction).await.unwrap();
    let items = subject.list(&Prefix::all(), 10).await;
    let seen: Vec<_> = items.iter().map(|item| (item.key.last_segment(), item.revision)).collect();
    assert_eq!(seen, [("new", revision), ("old", revision)]);
}

pub(super) async fn a_broken_condition_undoes_everything(subject: Subject) {
    let revision = subject.put("a", "1").await;
    subject.put("b", "1").await;
    for broken in [
        Condition::Absent(key("b")),
        Condition::Present(key("c")),
        Condition::Unchanged(key("b"), revision),
        Condition::Unchanged(key("c"), revision),
    ] {
        let conflict = StoreError::Conflict(broken.key().clone());
        let transaction = Transaction::default()
            .when(Condition::Unchanged(key("a"), revision))
            .when(broken)
            .when(Condition::Absent(key("a")))
            .put(key("a"), "2", None)
            .then(Operation::Delete(key("b")))
            .then(Operation::DeleteRange(below()));
        assert_eq!(subject.store.write(transaction).await, Err(conflict), "the first that does not hold");
    }
    assert_eq!(subject.value("a").await.as_deref(), Some("1"));
    assert_eq!(subject.value("b").await.as_deref(), Some("1"));
}

pub(super) async fn operations_happen_in_order(subject: Subject) {
    subject.put("a", "1").await;
    let replace = Transaction::default()
        .then(Operation::DeleteRange(below()))
        .put(key("a"), "2", None)
        .put(key("a"), "3", None)
        .put(key("b"), "1", None)
        .then(Operation::Delete(key("b")))
        .then(Operation::Delete(key("never")));
    subject.store.write(replace).await.unwrap();
    assert_eq!(subject.value("a").await.as_deref(), Some("3"));
    assert_eq!(subject.value("b").await, None);
}

pub(super) async fn every_write_takes_one_higher_revision(subject: Subject) {
    let store = &subject.store;
    let mut revisions = vec![Revision(0)];
    for round in 0..5 {
        revisions.push(subject.put("a", &round.to_string()).await);
        revisions.push(subject.fill("many", 7).await);
        revisions.push(store.delete_range(Prefix::of(&["many"])).await.unwrap());
        // Nothing to change is a write too.
        revisions.push(store.delete_range(Prefix::of(&["nobody"])).await.unwrap());
        revisions.push(store.write(Transaction::default()).await.unwrap());
        assert!(store.create(key("a"), bytes("x"), None).await.is_err());
    }
    assert!(revisions.is_sorted_by(|before, after| before < after), "{revisions:?}");
}

pub(super) async fn a_page_tells_the_revision_it_was_read_at(subject: Subject) {
    let empty = subject.store.range(&below(), None, 10).await.unwrap();
    let first = subject.put("a", "1").await;
    assert!(empty.revision < first);
    let elsewhere = subject.store.put(Key::of(&["u", "x"]), bytes("1"), None).await.unwrap();
    let page = subject.store.range(&below(), None, 10).await.unwrap();
    assert_eq!(page.revision, elsewhere, "of the store, not of the items");
    assert_eq!(page.items[0].revision, first);
}
