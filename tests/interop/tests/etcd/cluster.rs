//! Three members: one is killed under load and comes back, and one hangs.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use storage_etcd::settings::Settings;
use teleport_plugin_sdk::storage_backend::{Change, Condition, Failure, Operation};
use teleport_tests_interop::PATIENCE;
use teleport_tests_interop::storage::MovedClock;

use crate::backend::{Instance, settings};
use crate::native::Native;
use crate::server::Etcd;
use storage_etcd::outside::Outside;

fn instance(settings: &Settings) -> Instance {
    Instance::new(Native::new(&MovedClock::default()), settings)
}

fn put(key: &str, value: &str) -> Operation {
    Operation::Put { key: key.to_owned(), value: value.as_bytes().to_vec(), expires: None }
}

/// What a watcher's copy is after so many changes.
fn follow(settings: &Settings, done: &AtomicBool) -> BTreeMap<String, Vec<u8>> {
    let (mut watcher, mut copy, mut after) = (instance(settings), BTreeMap::new(), 0);
    let began = Native::new(&MovedClock::default());
    loop {
        assert!(began.monotonic() < PATIENCE, "the watch does not go on");
        let is_last = done.load(Ordering::SeqCst);
        match watcher.next(after, 1000, Duration::from_millis(300)) {
            Ok(batch) if batch.events.is_empty() && is_last => return copy,
            Ok(batch) => {
                assert!(batch.events.is_sorted_by(|before, later| before.revision <= later.revision));
                assert!(batch.events.first().is_none_or(|event| event.revision > after));
                for event in batch.events {
                    match event.change {
                        Change::Put(item) => drop(copy.insert(item.key, item.value)),
                        Change::Delete(key) => drop(copy.remove(&key)),
                    }
                }
                after = batch.up_to;
            }
            Err(Failure::Unavailable(_)) => {}
            Err(failure) => panic!("{failure}"),
        }
    }
}

#[test]
fn a_member_is_killed_under_load_and_nothing_acknowledged_is_lost() {
    let mut etcd = Etcd::start(3);
    let settings = settings(&etcd.urls(), "/x/y");
    let (done, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let watcher = {
        let (settings, done) = (settings.clone(), Arc::clone(&done));
        std::thread::spawn(move || follow(&settings, &done))
    };
    let writer = {
        let (settings, done, acknowledged) = (settings.clone(), Arc::clone(&done), Arc::clone(&acknowledged));
        std::thread::spawn(move || {
            let (mut writer, mut sure, mut number) = (instance(&settings), Vec::new(), 0);
            while !done.load(Ordering::SeqCst) {
                number += 1;
                let key = format!("/n/{number}");
                let absent = [Condition::Absent(key.clone())];
                match writer.write(&absent, &[put(&key, "x")]) {
                    Ok(_) => {
                        sure.push(key);
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(Failure::Unavailable(_)) => {}
                    // Each key is written once: a conflict would be a write that was made twice.
                    Err(failure) => panic!("{failure}"),
                }
            }
            sure
        })
    };
    let clock = Native::new(&MovedClock::default());
    let more = |count| {
        let (end, goal) = (clock.monotonic() + PATIENCE, acknowledged.load(Ordering::SeqCst) + count);
        while acknowledged.load(Ordering::SeqCst) < goal {
            assert!(clock.monotonic() < end, "no write gets through");
            std::thread::yield_now();
        }
    };
    for number in 0..3 {
        more(50);
        etcd.members[number].kill();
        more(50);
        etcd.launch(number);
        etcd.ready();
    }
    done.store(true, Ordering::SeqCst);
    let (sure, copy) = (writer.join().unwrap(), watcher.join().unwrap());
    let mut reader = instance(&settings);
    for key in &sure {
        assert!(reader.get(key).unwrap().is_some(), "{key} was acknowledged and is lost");
    }
    let (mut all, mut start) = (BTreeMap::new(), None);
    loop {
        let page = reader.range("/", start.as_deref(), 100).unwrap();
        all.extend(page.items.into_iter().map(|item| (item.key, item.value)));
        start = all.last_key_value().map(|(key, _)| format!("{key}\0"));
        if !page.more {
            break;
        }
    }
    assert!(all.len() >= sure.len());
    assert_eq!(copy, all, "a watcher's copy is the store");
}

#[test]
fn a_member_that_hangs_or_is_gone_costs_time_and_not_the_answer() {
    let etcd = Etcd::start(1);
    // Takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let settings = settings(&format!("http://127.0.0.1:1\n{silent}\n{}", etcd.urls()), "t");
    // The silent one has half of it, and etcd as much.
    let settings = Settings { request_timeout: Duration::from_secs(30), ..settings };
    let mut reader = instance(&settings);
    assert_eq!(reader.get("/a").unwrap(), None);
    reader.write(&[], &[put("/a", "1")]).unwrap();
    assert_eq!(reader.get("/a").unwrap().unwrap().value, b"1");
    assert_eq!(reader.next(0, 10, Duration::from_secs(5)).unwrap().events.len(), 1);
}

#[test]
fn no_majority_is_said_in_time() {
    let mut etcd = Etcd::start(3);
    let settings = settings(&etcd.urls(), "t");
    let about = instance(&settings).open().unwrap();
    assert!(about.description.contains("and 2 more") && about.value_max == 1024 * 1024, "{about:?}");
    let settings = Settings { request_timeout: Duration::from_secs(3), ..settings };
    let mut one = instance(&settings);
    etcd.members[1].kill();
    etcd.members[2].kill();
    let clock = Native::new(&MovedClock::default());
    let began = clock.monotonic();
    for failure in [
        one.get("/a").unwrap_err(),
        one.write(&[], &[put("/a", "1")]).unwrap_err(),
        one.next(1, 10, Duration::ZERO).unwrap_err(),
        one.current().unwrap_err(),
    ] {
        let Failure::Unavailable(text) = failure else { panic!("{failure}") };
        assert!(text.contains("127.0.0.1"), "{text}");
    }
    assert!(clock.monotonic() - began < Duration::from_secs(30), "four calls of three seconds each");
}
