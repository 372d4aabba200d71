//! A storage backend that keeps its records in the host's kv, honestly, but for one deed: its
//! configuration's `deed` is the name of a function and what that function does instead.
//!
//! `hang`, `loop` and `trap` are done by any function, `swell` (an answer of very many bytes) by those
//! that answer with bytes, `many` (values that are allowed each) by `range` and `next`, `open away` reaches nobody, `get at-once` finds nothing without looking; `write forget` acknowledges and keeps nothing, `write stand-still` gives the
//! same revision again, `next backwards` claims to have told less than was asked from, `next restless` waits busily.

mod kept;

use std::hint::black_box;
use std::time::{Duration, Instant};

use kept::Kept;
use teleport_plugin_sdk::config;
use teleport_plugin_sdk::storage_backend::{
    About, Batch, Change, Condition, Event, Failure, Item, Operation, Page, Revision, StorageBackend,
    VALUE_MAX,
};

struct Backend;

/// What this function does instead of its work, if anything.
fn deed(function: &str) -> String {
    let deed = config::get("deed").unwrap_or_default();
    let deed = deed.strip_prefix(function).and_then(|rest| rest.strip_prefix(' ')).unwrap_or_default();
    match deed {
        "hang" => std::thread::sleep(Duration::from_secs(3600)),
        "loop" => loop {
            black_box(0);
        },
        "trap" => panic!("on purpose"),
        _ => {}
    }
    deed.to_owned()
}

/// More than the host takes, of memory that is there.
fn swollen() -> Vec<u8> {
    vec![b'x'; 40 << 20]
}

/// Four values, each of a size that is allowed.
fn many() -> Vec<Item> {
    (1..5)
        .map(|revision| Item { key: format!("/t/{revision}"), revision, ..item(vec![0; VALUE_MAX / 2]) })
        .collect()
}

fn item(value: Vec<u8>) -> Item {
    Item { key: "/t/a".to_owned(), value, revision: 1, expires: None }
}

/// Tries once; nothing when somebody else wrote at the same time.
fn write(
    deed: &str,
    conditions: &[Condition],
    operations: &[Operation],
) -> Result<Option<Revision>, Failure> {
    let mut kept = Kept::read()?;
    let items = kept.items();
    let failed = conditions.iter().position(|condition| match condition {
        Condition::Absent(key) => items.contains_key(key),
        Condition::Present(key) => !items.contains_key(key),
        Condition::Unchanged(key, revision) => items.get(key).is_none_or(|item| item.revision != *revision),
    });
    if let Some(failed) = failed {
        return Err(Failure::Conflict(failed as u32));
    }
    if deed == "stand-still" && kept.revision() > 0 {
        return Ok(Some(1));
    }
    kept.write(if deed == "forget" { &[] } else { operations })
}

impl StorageBackend for Backend {
    fn open() -> Result<About, Failure> {
        let description = match deed("open").as_str() {
            "away" => return Err(Failure::Unavailable("nobody is there".to_owned())),
            "swell" => String::from_utf8_lossy(&swollen()).into_owned(),
            _ => "the host's kv".to_owned(),
        };
        Ok(About { description, value_max: VALUE_MAX as u64 })
    }

    fn get(key: String) -> Result<Option<Item>, Failure> {
        match deed("get").as_str() {
            "swell" => Ok(Some(item(swollen()))),
            "at-once" => Ok(None),
            _ => Ok(Kept::read()?.items().remove(&key)),
        }
    }

    fn range(prefix: String, start: Option<String>, limit: u32) -> Result<Page, Failure> {
        let instead = match deed("range").as_str() {
            "swell" => vec![item(swollen())],
            "many" => many(),
            _ => Vec::new(),
        };
        if !instead.is_empty() {
            return Ok(Page { items: instead, more: false, revision: 4 });
        }
        let kept = Kept::read()?;
        let start = start.unwrap_or_default();
        let mut items: Vec<_> = kept.items().into_values().collect();
        items.retain(|item| item.key.starts_with(&prefix) && item.key >= start);
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        Ok(Page { items, more, revision: kept.revision() })
    }

    fn write(conditions: Vec<Condition>, operations: Vec<Operation>) -> Result<Revision, Failure> {
        let deed = deed("write");
        loop {
            // Nothing when another instance wrote meanwhile.
            if let Some(revision) = write(&deed, &conditions, &operations)? {
                return Ok(revision);
            }
        }
    }

    fn current() -> Result<Revision, Failure> {
        deed("current");
        Ok(Kept::read()?.revision())
    }

    fn next(after: Revision, _limit: u32, wait: u32) -> Result<Batch, Failure> {
        match deed("next").as_str() {
            "swell" => {
                let event = Event { revision: after + 1, change: Change::Put(item(swollen())) };
                return Ok(Batch { events: vec![event], up_to: after + 1 });
            }
            "many" => {
                let event = |item: Item| Event { revision: item.revision, change: Change::Put(item) };
                return Ok(Batch { events: many().into_iter().map(event).collect(), up_to: 4 });
            }
            "restless" if wait > 0 => loop {
                black_box(0);
            },
            "backwards" => return Ok(Batch { events: Vec::new(), up_to: after.saturating_sub(1) }),
            _ => {}
        }
        let end = Instant::now() + Duration::from_millis(u64::from(wait));
        loop {
            let kept = Kept::read()?;
            let events = kept.after(after);
            if !events.is_empty() || Instant::now() >= end {
                return Ok(Batch { events, up_to: kept.revision().max(after) });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

teleport_plugin_sdk::export_storage_backend!(Backend);
