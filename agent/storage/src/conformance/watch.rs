//! Watching.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use port::store::{
    Change, Condition, Key, Operation, Prefix, Revision, StoreError, Transaction, WATCH_QUEUE,
};

use super::{DELIVERY, Subject, below, bytes, heard, key, next, short};

pub(super) async fn from_now_sees_only_later_changes(subject: Subject) {
    subject.put("a", "1").await;
    let mut watch = subject.store.watch(below(), None).await.unwrap();
    subject.put("b", "1").await;
    subject.store.delete(key("a")).await.unwrap();
    subject.put("b", "2").await;
    assert_eq!(heard(&mut watch, 3).await, ["+b=1", "-a", "+b=2"]);
}

pub(super) async fn from_a_revision_sees_everything_after(subject: Subject) {
    let first = subject.put("a", "1").await;
    let second = subject.put("a", "2").await;
    subject.store.delete(key("a")).await.unwrap();
    let mut from_start = subject.store.watch(below(), Some(Revision(0))).await.unwrap();
    let mut from_first = subject.store.watch(below(), Some(first)).await.unwrap();
    let mut from_second = subject.store.watch(below(), Some(second)).await.unwrap();
    subject.put("b", "1").await;
    assert_eq!(heard(&mut from_start, 4).await, ["+a=1", "+a=2", "-a", "+b=1"]);
    assert_eq!(heard(&mut from_first, 3).await, ["+a=2", "-a", "+b=1"]);
    assert_eq!(heard(&mut from_second, 2).await, ["-a", "+b=1"]);
}

pub(super) async fn a_change_carries_the_item(subject: Subject) {
    let mut live = subject.store.watch(below(), None).await.unwrap();
    let expires = subject.in_seconds(60);
    let revision = subject.store.put(key("a"), bytes("1"), expires).await.unwrap();
    subject.put("a", "2").await;
    let mut replayed = subject.store.watch(below(), Some(Revision(0))).await.unwrap();
    for watch in [&mut live, &mut replayed] {
        let event = next(watch).await;
        assert_eq!(event.revision, revision);
        let Change::Put(item) = event.change else { panic!("a put is told as a put") };
        assert_eq!(
            (item.key, item.value, item.revision, item.expires),
            (key("a"), bytes("1"), revision, expires)
        );
        assert_eq!(short(&next(watch).await), "+a=2", "every change, not only the last");
    }
}

pub(super) async fn a_watch_can_be_resumed(subject: Subject) {
    let mut watch = subject.store.watch(below(), None).await.unwrap();
    let mut all = Vec::new();
    for round in 0..10 {
        subject.put("a", &round.to_string()).await;
        subject.put("b", &round.to_string()).await;
        let event = next(&mut watch).await;
        all.push(short(&event));
        // The second change is on its way or queued when the watch is given up.
        watch = subject.store.watch(below(), Some(event.revision)).await.unwrap();
        all.push(short(&next(&mut watch).await));
    }
    let expected: Vec<_> = (0..10).flat_map(|round| [format!("+a={round}"), format!("+b={round}")]).collect();
    assert_eq!(all, expected);
}

pub(super) async fn several_watchers_hear_the_same(subject: Subject) {
    let mut watches = Vec::new();
    for _ in 0..5 {
        watches.push(subject.store.watch(below(), None).await.unwrap());
    }
    drop(watches.remove(2));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let store = Arc::clone(&subject.store);
        writers.spawn(async move {
            for round in 0..20 {
                store.put(key(&format!("{writer}-{round}")), bytes("x"), None).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let mut stories = Vec::new();
    for watch in &mut watches {
        let mut story = Vec::new();
        for _ in 0..80 {
            story.push(next(watch).await);
        }
        assert!(story.is_sorted_by(|before, after| before.revision < after.revision));
        let keys: BTreeSet<_> = story.iter().map(|event| event.change.key().clone()).collect();
        assert_eq!(keys.len(), 80, "each once");
        stories.push(story);
    }
    assert!(stories.windows(2).all(|pair| pair[0] == pair[1]));
}

pub(super) async fn a_prefix_is_kept_to(subject: Subject) {
    let store = &subject.store;
    let start = store.range(&below(), None, 1).await.unwrap().revision;
    let mut live = store.watch(Prefix::of(&["user"]), None).await.unwrap();
    let mut all = store.watch(Prefix::all(), None).await.unwrap();
    for segments in [
        &["user", "a"][..],
        &["users", "b"],
        &["user"],
        &["user0"],
        &["role", "user", "c"],
        &["user", "d", "e"],
    ] {
        store.put(Key::of(segments), bytes("1"), None).await.unwrap();
    }
    store.delete_range(Prefix::all()).await.unwrap();
    store.put(Key::of(&["user", "end"]), bytes("1"), None).await.unwrap();
    let mut replayed = store.watch(Prefix::of(&["user"]), Some(start)).await.unwrap();
    for watch in [&mut live, &mut replayed] {
        assert_eq!(heard(watch, 5).await, ["+a=1", "+e=1", "-a", "-e", "+end=1"]);
    }
    assert_eq!(heard(&mut all, 13).await.last().map(String::as_str), Some("+end=1"));
}

pub(super) async fn a_transaction_is_heard_in_its_order(subject: Subject) {
    subject.put("x", "1").await;
    let start = subject.put("y", "1").await;
    let mut live = subject.store.watch(below(), None).await.unwrap();
    let transaction = Transaction::default()
        .put(key("b"), "1", None)
        .then(Operation::Delete(key("never")))
        .put(key("a"), "1", None)
        .then(Operation::Delete(key("b")))
        .then(Operation::DeleteRange(below()))
        .put(key("a"), "2", None);
    let revision = subject.store.write(transaction).await.unwrap();
    let mut replayed = subject.store.watch(below(), Some(start)).await.unwrap();
    for watch in [&mut live, &mut replayed] {
        let mut story = Vec::new();
        for _ in 0..7 {
            let event = next(watch).await;
            assert_eq!(event.revision, revision, "one transaction, one revision");
            story.push(short(&event));
        }
        assert_eq!(story, ["+b=1", "+a=1", "-b", "-a", "-x", "-y", "+a=2"]);
    }
}

pub(super) async fn nothing_is_heard_of_what_did_not_happen(subject: Subject) {
    let store = &subject.store;
    let start = subject.put("a", "1").await;
    let mut live = store.watch(below(), None).await.unwrap();
    let refused = Transaction::default().when(Condition::Absent(key("a"))).put(key("b"), "1", None);
    assert!(store.write(refused).await.is_err());
    assert!(store.create(key("a"), bytes("2"), None).await.is_err());
    store.delete_range(Prefix::of(&["t", "nothing"])).await.unwrap();
    store.write(Transaction::default().then(Operation::Delete(key("c")))).await.unwrap();
    subject.put("end", "1").await;
    let mut replayed = store.watch(below(), Some(start)).await.unwrap();
    for watch in [&mut live, &mut replayed] {
        assert_eq!(heard(watch, 1).await, ["+end=1"]);
    }
}

/// What every consumer does: list, watch from there, keep a copy. The copy must come out the same.
pub(super) async fn listing_then_watching_misses_nothing(subject: Subject) {
    let store = Arc::clone(&subject.store);
    let writer = tokio::spawn(async move {
        for round in 0..150_u32 {
            let name = format!("{}", round % 7);
            store.put(key(&name), bytes(&round.to_string()), None).await.unwrap();
            if round % 5 == 0 {
                store.delete(key(&name)).await.unwrap();
            }
        }
        store.put(key("end"), bytes("1"), None).await.unwrap();
    });
    let mut copies = Vec::new();
    for _ in 0..3 {
        let page = subject.store.range(&below(), None, usize::MAX).await.unwrap();
        let mut copy: BTreeMap<_, _> = page.items.into_iter().map(|item| (item.key.clone(), item)).collect();
        let mut watch = subject.store.watch(below(), Some(page.revision)).await.unwrap();
        while !copy.contains_key(&key("end")) {
            match next(&mut watch).await.change {
                Change::Put(item) => drop(copy.insert(item.key.clone(), item)),
                Change::Delete(key) => drop(copy.remove(&key)),
            }
        }
        copies.push(copy.into_values().collect::<Vec<_>>());
    }
    writer.await.unwrap();
    let truth = subject.list(&below(), usize::MAX).await;
    assert!(copies.iter().all(|copy| *copy == truth));
}

pub(super) async fn what_is_forgotten_cannot_be_watched_from(subject: Subject) {
    let old = subject.put("a", "1").await;
    subject.fill_and_hear("t", subject.forgets_after + 1).await;
    let refused = subject.store.watch(below(), Some(old)).await.err();
    assert_eq!(refused, Some(StoreError::Compacted(old)));
    let elsewhere = Prefix::of(&["nothing"]);
    assert!(subject.store.watch(elsewhere, Some(old)).await.is_err(), "whatever the prefix");
    // Starting over works.
    let page = subject.store.range(&below(), None, 1).await.unwrap();
    let mut watch = subject.store.watch(below(), Some(page.revision)).await.unwrap();
    subject.put("b", "1").await;
    assert_eq!(heard(&mut watch, 1).await, ["+b=1"]);
}

pub(super) async fn a_revision_to_come_cannot_be_watched_from(subject: Subject) {
    let now = subject.put("a", "1").await;
    let later = Revision(now.0 + 1_000_000);
    let refused = subject.store.watch(below(), Some(later)).await.err();
    assert_eq!(refused, Some(StoreError::Compacted(later)));
    assert!(subject.store.watch(below(), Some(now)).await.is_ok(), "the present is no future");
}

pub(super) async fn who_falls_behind_is_told_and_let_go(subject: Subject) {
    let mut slow = subject.store.watch(below(), None).await.unwrap();
    subject.fill_and_hear("t", WATCH_QUEUE + 1000).await;
    let mut count = 0;
    let end = loop {
        match tokio::time::timeout(DELIVERY, slow.next()).await.expect("a change in time").unwrap() {
            Ok(event) => {
                assert_eq!(event.change.key(), &key(&format!("{count:06}")), "no gap before the end")
            }
            Err(error) => break error,
        }
        count += 1;
    };
    assert!(matches!(end, StoreError::Compacted(_)), "{end}");
    assert!(count >= WATCH_QUEUE, "let go after {count} changes");
    assert_eq!(slow.next().await, None);
    let mut fresh = subject.store.watch(below(), None).await.unwrap();
    subject.put("z", "1").await;
    assert_eq!(heard(&mut fresh, 1).await, ["+z=1"], "others are not held up");
}
