//! Large things, and things too large.

use bytes::Bytes;
use port::store::{
    Condition, KEY_MAX, Key, OPERATIONS_MAX, Operation, Prefix, StoreError, Transaction, VALUE_MAX,
};

use super::{Subject, below, bytes, key};

pub(super) async fn limits_are_kept(subject: Subject) {
    let store = &subject.store;
    let too_large = |outcome: Result<_, StoreError>| matches!(outcome, Err(StoreError::TooLarge { .. }));

    let longest = Key::of(&[&"k".repeat(KEY_MAX - 1)]);
    store.put(longest.clone(), bytes("x"), None).await.unwrap();
    assert!(store.get(&longest).await.unwrap().is_some());
    let longer = Key::of(&[&"k".repeat(KEY_MAX)]);
    assert!(too_large(store.put(longer.clone(), bytes("x"), None).await));
    assert_eq!(store.get(&longer).await, Ok(None), "asking for it is no error");

    let larger = Bytes::from(vec![0; VALUE_MAX + 1]);
    assert!(too_large(store.put(key("a"), larger.clone(), None).await));
    let with_neighbour = Transaction::default().put(key("b"), "1", None).put(key("a"), larger, None);
    assert!(too_large(store.write(with_neighbour).await));

    let deletes = |count| vec![Operation::Delete(key("a")); count];
    let operations = |count| Transaction { conditions: Vec::new(), operations: deletes(count) };
    store.write(operations(OPERATIONS_MAX)).await.unwrap();
    assert!(too_large(store.write(operations(OPERATIONS_MAX + 1)).await));
    let conditions = vec![Condition::Absent(key("a")); OPERATIONS_MAX + 1];
    assert!(too_large(store.write(Transaction { conditions, operations: Vec::new() }).await));

    assert!(subject.list(&below(), 10).await.is_empty(), "nothing of what was refused is there");
}

/// As many conditions, each of a key of its own, and as many operations as there may be.
pub(super) async fn the_largest_transaction_happens_whole(subject: Subject) {
    let store = &subject.store;
    let keys: Vec<_> =
        (0..OPERATIONS_MAX).map(|number| Key::of(&["t", "full", &number.to_string()])).collect();
    let write = |condition: &dyn Fn(&Key) -> Condition, operations: Vec<Operation>| {
        store.write(Transaction { conditions: keys.iter().map(condition).collect(), operations })
    };
    let absent = |key: &Key| Condition::Absent(key.clone());
    let deletes: Vec<_> = keys.iter().cloned().map(Operation::Delete).collect();
    let puts = |value: &'static str| -> Vec<_> {
        let put = |key: &Key| Operation::Put { key: key.clone(), value: value.into(), expires: None };
        keys.iter().map(put).collect()
    };

    let nothing = write(&absent, deletes.clone()).await.unwrap();
    let first = write(&absent, puts("1")).await.unwrap();
    assert!(first > nothing, "a write that finds nothing to change is one too");
    assert_eq!(write(&absent, deletes).await, Err(StoreError::Conflict(keys[0].clone())));
    let unchanged = |key: &Key| Condition::Unchanged(key.clone(), first);
    // Every key twice: what was there, and what is put in its place.
    let mut over = puts("2");
    over[0] = Operation::DeleteRange(Prefix::of(&["t", "full"]));
    let second = write(&unchanged, over).await.unwrap();
    let items = subject.list(&below(), 1000).await;
    assert_eq!(items.len(), OPERATIONS_MAX - 1);
    assert!(items.iter().all(|item| item.value == "2" && item.revision == second));

    store.put(keys[0].clone(), "3".into(), None).await.unwrap();
    let present = |key: &Key| Condition::Present(key.clone());
    write(&present, puts("4")).await.unwrap();
    store.delete(keys[OPERATIONS_MAX - 1].clone()).await.unwrap();
    let last = Err(StoreError::Conflict(keys[OPERATIONS_MAX - 1].clone()));
    assert_eq!(write(&present, puts("5")).await, last);
    assert!(
        subject.list(&below(), 1000).await.iter().all(|item| item.value == "4"),
        "nothing of it happened"
    );
}

pub(super) async fn a_mebibyte_survives(subject: Subject) {
    let store = &subject.store;
    let from = store.range(&below(), None, 1).await.unwrap().revision;
    let value: Bytes = (0..VALUE_MAX).map(|at| u8::try_from(at % 251).unwrap_or_default()).collect();
    store.put(key("large"), value.clone(), None).await.unwrap();
    assert_eq!(store.get(&key("large")).await.unwrap().unwrap().value, value);
    let mut watch = store.watch(below(), Some(from)).await.unwrap();
    match super::next(&mut watch).await.change {
        port::store::Change::Put(item) => assert_eq!(item.value, value),
        port::store::Change::Delete(_) => panic!("a delete where a put was made"),
    }
}

pub(super) async fn ten_thousand_keys_are_listed(subject: Subject) {
    subject.fill("t", 10_000).await;
    let whole = subject.list(&below(), usize::MAX).await;
    assert_eq!(whole.len(), 10_000);
    assert!(whole.is_sorted_by(|before, after| before.key < after.key));
    assert_eq!(subject.list(&below(), 999).await, whole);
    subject.store.delete_range(below()).await.unwrap();
    assert!(subject.list(&Prefix::all(), 10).await.is_empty());
}
