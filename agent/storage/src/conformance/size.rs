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
