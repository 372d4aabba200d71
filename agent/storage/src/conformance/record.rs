//! Single items, and lists of them.

use bytes::Bytes;
use port::store::{Key, Prefix, StoreError};

use super::{Subject, below, bytes, key};

pub(super) async fn an_item_comes_back_as_it_was_put(subject: Subject) {
    let expires = subject.in_seconds(60);
    let revision = subject.store.put(key("a"), bytes("1"), expires).await.unwrap();
    let item = subject.store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!(
        (item.key, item.value, item.revision, item.expires),
        (key("a"), bytes("1"), revision, expires)
    );

    let revision = subject.put("a", "2").await;
    let item = subject.store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!((item.value, item.revision, item.expires), (bytes("2"), revision, None));
}

pub(super) async fn what_is_not_there_is_not_found(subject: Subject) {
    assert_eq!(subject.store.get(&key("a")).await, Ok(None));
    assert!(subject.list(&Prefix::all(), 10).await.is_empty());
    subject.put("a", "1").await;
    subject.store.delete(key("a")).await.unwrap();
    assert_eq!(subject.store.get(&key("a")).await, Ok(None));
    assert!(subject.list(&Prefix::all(), 10).await.is_empty());
}

pub(super) async fn create_needs_absence(subject: Subject) {
    let store = &subject.store;
    let revision = store.create(key("a"), bytes("1"), None).await.unwrap();
    assert_eq!(store.create(key("a"), bytes("2"), None).await, Err(StoreError::Conflict(key("a"))));
    assert_eq!(store.get(&key("a")).await.unwrap().unwrap().revision, revision);
    store.delete(key("a")).await.unwrap();
    store.create(key("a"), bytes("3"), None).await.unwrap();
    assert_eq!(subject.value("a").await.as_deref(), Some("3"));
}

pub(super) async fn update_and_delete_need_presence(subject: Subject) {
    let store = &subject.store;
    let conflict = Err(StoreError::Conflict(key("a")));
    assert_eq!(store.update(key("a"), bytes("1"), None).await, conflict);
    assert_eq!(store.delete(key("a")).await, conflict);
    subject.put("a", "1").await;
    store.update(key("a"), bytes("2"), None).await.unwrap();
    assert_eq!(subject.value("a").await.as_deref(), Some("2"));
    store.delete(key("a")).await.unwrap();
    assert_eq!(store.delete(key("a")).await, conflict);
}

pub(super) async fn a_range_is_in_key_order_and_bounded_by_its_prefix(subject: Subject) {
    let store = &subject.store;
    for segments in [&["b", "2"][..], &["b", "1"], &["b"], &["bb", "1"], &["b", "1", "deep"], &["a", "1"]] {
        store.put(Key::of(segments), bytes("x"), None).await.unwrap();
    }
    let keys = |items: Vec<port::store::Item>| -> Vec<_> {
        items.into_iter().map(|item| item.key.as_str().to_owned()).collect()
    };
    let listed = subject.list(&Prefix::of(&["b"]), 10).await;
    assert_eq!(keys(listed), ["/b/1", "/b/1/deep", "/b/2"]);
    let listed = subject.list(&Prefix::all(), 10).await;
    assert_eq!(keys(listed), ["/a/1", "/b", "/b/1", "/b/1/deep", "/b/2", "/bb/1"]);
    assert!(subject.list(&Prefix::of(&["c"]), 10).await.is_empty());
}

pub(super) async fn pages_join_to_the_whole(subject: Subject) {
    subject.fill("t", 23).await;
    let whole = subject.list(&below(), usize::MAX).await;
    assert_eq!(whole.len(), 23);
    for page in [1, 2, 7, 22, 23, 24] {
        assert_eq!(subject.list(&below(), page).await, whole, "pages of {page}");
    }
    let page = subject.store.range(&below(), None, 23).await.unwrap();
    assert_eq!(page.next, None, "an exact page is the last");
}

pub(super) async fn a_page_may_start_anywhere(subject: Subject) {
    subject.fill("t", 5).await;
    let from = async |from: &Key| {
        let page = subject.store.range(&below(), Some(from), 10).await.unwrap();
        page.items.iter().map(|item| item.key.last_segment().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(from(&key("000003")).await, ["000003", "000004"]);
    assert_eq!(from(&key("000003x")).await, ["000004"], "a key that is not there");
    assert_eq!(from(&Key::of(&["a"])).await.len(), 5, "a key before the prefix");
    assert!(from(&Key::of(&["u"])).await.is_empty(), "a key after it");
    let none = subject.store.range(&below(), None, 0).await.unwrap();
    assert!(none.items.is_empty());
}

pub(super) async fn delete_range_removes_whole_segments_only(subject: Subject) {
    let store = &subject.store;
    for segments in [&["user", "joe"][..], &["user", "ann"], &["users", "x"], &["user"], &["user0"]] {
        store.put(Key::of(segments), bytes("x"), None).await.unwrap();
    }
    store.delete_range(Prefix::of(&["user"])).await.unwrap();
    let left = subject.list(&Prefix::all(), 10).await;
    let left: Vec<_> = left.iter().map(|item| item.key.as_str()).collect();
    assert_eq!(left, ["/user", "/user0", "/users/x"]);
    store.delete_range(Prefix::of(&["nobody"])).await.unwrap();
    store.delete_range(Prefix::all()).await.unwrap();
    assert!(subject.list(&Prefix::all(), 10).await.is_empty());
}

/// Names that break stores which match patterns, fold case, cut at NUL or sort by language.
const ODD: &[&str] = &[
    "",
    " ",
    "A",
    "a",
    "a b",
    "%",
    "_",
    "a%",
    "*",
    "?",
    "'",
    "\"",
    "\\",
    "\0",
    "a\0b",
    "\n",
    "\u{7f}",
    "é",
    "e\u{301}",
    "ß",
    "\u{fffe}",
    "\u{10ffff}",
    "😀",
    "-1",
    "..",
    "x'00'",
    "--",
    "; DROP TABLE items;",
];

pub(super) async fn keys_may_hold_any_text(subject: Subject) {
    for (number, name) in ODD.iter().enumerate() {
        subject.put(name, &number.to_string()).await;
    }
    for (number, name) in ODD.iter().enumerate() {
        assert_eq!(subject.value(name).await, Some(number.to_string()), "key {name:?}");
    }
    let mut sorted = ODD.to_vec();
    sorted.sort_unstable();
    for page in [1, 5, 100] {
        let listed = subject.list(&below(), page).await;
        let listed: Vec<_> = listed.iter().map(|item| item.key.last_segment()).collect();
        assert_eq!(listed, sorted, "order of bytes, in pages of {page}");
    }
    for name in ODD {
        subject.store.delete(key(name)).await.unwrap();
    }
    assert!(subject.list(&below(), 10).await.is_empty());
}

pub(super) async fn values_may_hold_any_bytes(subject: Subject) {
    let every: Vec<u8> = (0..=255).collect();
    for value in [Bytes::new(), Bytes::from(every), Bytes::from_static(b"\0"), Bytes::from_static(&[0xff; 3])]
    {
        subject.store.put(key("a"), value.clone(), None).await.unwrap();
        assert_eq!(subject.store.get(&key("a")).await.unwrap().unwrap().value, value);
    }
}
