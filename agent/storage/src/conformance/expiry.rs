//! Items that cease to exist.

use std::time::Duration;

use port::store::{Change, Condition, Revision, StoreError, Transaction};

use super::{Subject, below, bytes, heard, key};

pub(super) async fn an_expired_item_is_gone_at_once(subject: Subject) {
    let store = &subject.store;
    store.put(key("short"), bytes("1"), subject.in_seconds(5)).await.unwrap();
    store.put(key("long"), bytes("1"), subject.in_seconds(15)).await.unwrap();
    subject.put("ever", "1").await;
    subject.pass_seconds(4);
    assert_eq!(subject.list(&below(), 10).await.len(), 3);
    subject.pass_seconds(1);
    assert_eq!(store.get(&key("short")).await, Ok(None), "an item ends at its expiry");
    for page in [1, 10] {
        let left = subject.list(&below(), page).await;
        let left: Vec<_> = left.iter().map(|item| item.key.last_segment()).collect();
        assert_eq!(left, ["ever", "long"]);
    }
    subject.pass_seconds(15);
    assert_eq!(subject.list(&below(), 10).await.len(), 1);
}

pub(super) async fn conditions_see_no_expired_item(subject: Subject) {
    let store = &subject.store;
    let conflict = Err(StoreError::Conflict(key("a")));
    let revision = store.put(key("a"), bytes("1"), subject.in_seconds(5)).await.unwrap();
    subject.pass_seconds(5);
    assert_eq!(store.update(key("a"), bytes("2"), None).await, conflict);
    assert_eq!(store.compare_and_swap(key("a"), revision, bytes("2"), None).await, conflict);
    assert_eq!(store.delete(key("a")).await, conflict);
    let other = Transaction::default().when(Condition::Present(key("a"))).put(key("b"), "1", None);
    assert_eq!(store.write(other).await, conflict);
    store.create(key("a"), bytes("3"), None).await.unwrap();
    assert_eq!(subject.value("a").await.as_deref(), Some("3"));
}

pub(super) async fn an_expired_item_is_deleted_for_watchers(subject: Subject) {
    let mut watch = subject.store.watch(below(), None).await.unwrap();
    for (name, seconds) in [("a", 5), ("b", 5), ("c", 60)] {
        subject.store.put(key(name), bytes("1"), subject.in_seconds(seconds)).await.unwrap();
    }
    heard(&mut watch, 3).await;
    subject.pass_seconds(6);
    let mut deleted = heard(&mut watch, 2).await;
    deleted.sort();
    assert_eq!(deleted, ["-a", "-b"]);
    // The same from the past, for a watcher that was away.
    let last = subject.put("d", "1").await;
    let mut again = subject.store.watch(below(), Some(Revision(0))).await.unwrap();
    let mut all = Vec::new();
    loop {
        let event = super::next(&mut again).await;
        if event.revision == last {
            break;
        }
        all.push(super::short(&event));
    }
    all.sort();
    assert_eq!(all, ["+a=1", "+b=1", "+c=1", "-a", "-b"]);
}

pub(super) async fn a_later_put_changes_the_expiry(subject: Subject) {
    let store = &subject.store;
    let mut watch = store.watch(below(), None).await.unwrap();
    store.put(key("a"), bytes("1"), subject.in_seconds(5)).await.unwrap();
    store.put(key("b"), bytes("1"), subject.in_seconds(5)).await.unwrap();
    store.put(key("a"), bytes("2"), subject.in_seconds(20)).await.unwrap();
    store.put(key("b"), bytes("2"), None).await.unwrap();
    store.put(key("c"), bytes("1"), subject.in_seconds(7)).await.unwrap();
    heard(&mut watch, 5).await;
    subject.pass_seconds(10);
    assert_eq!(subject.list(&below(), 10).await.len(), 2);
    // Once c is swept, a and b would have been before it.
    assert_eq!(heard(&mut watch, 1).await, ["-c"]);
    subject.pass_seconds(15);
    assert_eq!(heard(&mut watch, 1).await, ["-a"]);
    assert_eq!(subject.value("b").await.as_deref(), Some("2"));
}

pub(super) async fn an_item_may_be_born_expired(subject: Subject) {
    let mut watch = subject.store.watch(below(), None).await.unwrap();
    let past = subject.in_seconds(0);
    subject.pass_seconds(1);
    subject.store.put(key("a"), bytes("1"), past).await.unwrap();
    assert_eq!(subject.store.get(&key("a")).await, Ok(None));
    assert_eq!(heard(&mut watch, 2).await, ["+a=1", "-a"]);
    subject.store.create(key("a"), bytes("2"), None).await.unwrap();
    assert_eq!(subject.value("a").await.as_deref(), Some("2"));
}

pub(super) async fn an_expiry_is_kept_to_the_microsecond(subject: Subject) {
    let whole = subject.in_seconds(60).unwrap();
    let with_nanoseconds = whole.checked_add(Duration::from_nanos(1_234_567)).unwrap();
    let kept = whole.checked_add(Duration::from_micros(1234)).unwrap();
    let mut live = subject.store.watch(below(), None).await.unwrap();
    subject.store.put(key("a"), bytes("1"), Some(with_nanoseconds)).await.unwrap();
    assert_eq!(subject.store.get(&key("a")).await.unwrap().unwrap().expires, Some(kept));
    let mut replayed = subject.store.watch(below(), Some(Revision(0))).await.unwrap();
    for watch in [&mut live, &mut replayed] {
        let Change::Put(item) = super::next(watch).await.change else { panic!("a put is told as a put") };
        assert_eq!(item.expires, Some(kept), "watchers are told what is kept");
    }
}
