//! A log that was cut or overwritten anywhere, as a power failure leaves it: the store opens, and
//! holds what was written up to some moment, whole.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use fake::{FakeClock, FakeRandom};
use port::random::Random;
use port::store::{Key, Prefix, Store, Transaction};
use teleport_storage::SqliteStore;

const WRITES: usize = 40;
const CUTS: u64 = 60;

async fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder, Arc::new(FakeClock::new())).await.unwrap()
}

/// Two keys a write, so that half a transaction would show.
async fn write(store: &SqliteStore, count: usize) {
    let (name, value) = (format!("{count:04}"), format!("{count}").repeat(300));
    let both = Transaction::default().put(Key::of(&["left", &name]), value.clone(), None).put(
        Key::of(&["right", &name]),
        value,
        None,
    );
    store.write(both).await.unwrap();
}

/// How many writes are there, having checked that they are the first ones, each whole.
async fn whole_writes(store: &SqliteStore) -> usize {
    let left = store.range(&Prefix::of(&["left"]), None, usize::MAX).await.unwrap();
    let right = store.range(&Prefix::of(&["right"]), None, usize::MAX).await.unwrap();
    assert_eq!(left.items.len(), right.items.len(), "a transaction is there by half");
    for (count, (left, right)) in left.items.iter().zip(&right.items).enumerate() {
        assert_eq!(left.key.last_segment(), format!("{count:04}"), "one before it is missing");
        assert_eq!(left.value, format!("{count}").repeat(300));
        assert_eq!((&left.value, left.revision), (&right.value, right.revision));
    }
    assert_eq!(left.revision.0, u64::try_from(left.items.len()).unwrap(), "the position fits");
    left.items.len()
}

#[tokio::test]
async fn a_log_cut_or_overwritten_anywhere_opens_at_a_whole_write() {
    let scratch = tempfile::tempdir().unwrap();
    let origin = scratch.path().join("origin");
    let store = open(&origin).await;
    for count in 0..WRITES {
        write(&store, count).await;
    }
    let backend = origin.join("backend");
    let log = fs::read(backend.join("sqlite.db-wal")).unwrap();
    let random = FakeRandom::new(1);
    let mut seen = Vec::new();
    for cut in 0..CUTS {
        let at = usize::try_from(random.serial()).unwrap() % log.len();
        let mut damaged = log.clone();
        if cut % 2 == 0 {
            damaged.truncate(at);
        } else {
            random.fill(&mut damaged[at..]);
        }
        let copy = scratch.path().join(format!("copy-{cut}"));
        fs::create_dir_all(copy.join("backend")).unwrap();
        fs::copy(backend.join("sqlite.db"), copy.join("backend/sqlite.db")).unwrap();
        fs::write(copy.join("backend/sqlite.db-wal"), damaged).unwrap();
        let opened = open(&copy).await;
        let survived = whole_writes(&opened).await;
        // And it goes on from there.
        write(&opened, survived).await;
        assert_eq!(whole_writes(&opened).await, survived + 1);
        seen.push(survived);
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 10, "the cuts fell on different writes: {seen:?}");
}
