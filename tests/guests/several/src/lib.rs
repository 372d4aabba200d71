//! A storage backend that answers several questions in one, honestly, but for one deed: its configuration's
//! `deed` is `get` or `put`, and what is done instead when several come together.
//!
//! A value says how it was asked for. What is about the key `/t/slow…` takes a while.

use std::time::Duration;

use teleport_plugin_sdk::config;
use teleport_plugin_sdk::storage_backend::{
    About, Batch, Condition, Failure, GetMany, Instance, Item, Operation, Page, PutMany, Revision, VALUE_MAX,
};

struct Several;

/// What is done instead of this, if anything.
fn deed(function: &str) -> String {
    let deed = config::get("deed").unwrap_or_default();
    let deed = deed.strip_prefix(function).and_then(|rest| rest.strip_prefix(' ')).unwrap_or_default();
    match deed {
        "hang" => std::thread::sleep(Duration::from_secs(3600)),
        "trap" => panic!("on purpose"),
        _ => {}
    }
    deed.to_owned()
}

fn failure(deed: &str) -> Option<Failure> {
    Some(match deed {
        "away" => Failure::Unavailable("nobody is there".to_owned()),
        "corrupt" => Failure::Corrupt("one of them makes no sense".to_owned()),
        "conflict" => Failure::Conflict(0),
        "too large" => Failure::TooLarge("so many".to_owned()),
        _ => return None,
    })
}

fn item(key: &str, value: impl Into<Vec<u8>>) -> Option<Item> {
    Some(Item { key: key.to_owned(), value: value.into(), revision: 1, expires: None })
}

fn take_a_while(key: &str) {
    if key.starts_with("/t/slow") {
        std::thread::sleep(Duration::from_millis(200));
    }
}

impl Instance for Several {
    fn open(&mut self) -> Result<About, Failure> {
        Ok(About { description: "what it is asked".to_owned(), value_max: VALUE_MAX as u64 })
    }

    fn get(&mut self, key: &str) -> Result<Option<Item>, Failure> {
        take_a_while(key);
        Ok(item(key, "alone"))
    }

    fn range(&mut self, _: &str, _: Option<&str>, _: u32) -> Result<Page, Failure> {
        Ok(Page { items: Vec::new(), more: false, revision: 1 })
    }

    fn write(&mut self, _: &[Condition], operations: &[Operation]) -> Result<Revision, Failure> {
        if let [Operation::Put { key, .. }] = operations {
            take_a_while(key);
        }
        Ok(1)
    }

    fn current(&mut self) -> Result<Revision, Failure> {
        Ok(1)
    }

    fn next(&mut self, after: Revision, _: u32, _: Duration) -> Result<Batch, Failure> {
        Ok(Batch { events: Vec::new(), up_to: after })
    }
}

impl GetMany for Several {
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Item>>, Failure> {
        let deed = deed("get");
        let mut items: Vec<_> = keys.iter().map(|key| item(key, "together")).collect();
        match deed.as_str() {
            "none" => items.clear(),
            "half" => items.truncate(keys.len().div_ceil(2)),
            "more" => items.push(None),
            "swell" => items.fill(item("/t/a", vec![b'x'; 40 << 20])),
            _ => {}
        }
        failure(&deed).map_or(Ok(items), Err)
    }
}

impl PutMany for Several {
    fn put_many(&mut self, puts: &[Operation]) -> Result<Vec<Revision>, Failure> {
        let deed = deed("put");
        let mut revisions: Vec<_> = (2..).take(puts.len()).collect();
        match deed.as_str() {
            "half" => revisions.truncate(puts.len().div_ceil(2)),
            "same" => revisions.fill(2),
            _ => {}
        }
        failure(&deed).map_or(Ok(revisions), Err)
    }
}

#[cfg(not(feature = "gets-only"))]
teleport_plugin_sdk::export_storage_instance!(Several, || Ok(Several), get_many, put_many);
#[cfg(feature = "gets-only")]
teleport_plugin_sdk::export_storage_instance!(Several, || Ok(Several), get_many);
