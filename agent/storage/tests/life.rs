//! Reopening, shutting down, faults while running, several stores on one file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fake::FakeClock;
use port::store::{
    Key, OPERATIONS_MAX, Prefix, Store, StoreError, Transaction, WATCH_QUEUE, Watch, WatchEvent,
};
use teleport_storage::{MemoryStore, OpenError, Settings, SqliteStore};
use tempfile::TempDir;

async fn open(folder: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(folder, Arc::new(FakeClock::new())).await
}

fn key() -> Key {
    Key::of(&["a", "b"])
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("backend/sqlite.db")
}

fn run(folder: &TempDir, sql: &str) {
    rusqlite::Connection::open(database(folder)).unwrap().execute_batch(sql).unwrap();
}

/// What the watch says next, which must come in time.
async fn next(watch: &mut Watch) -> Option<Result<WatchEvent, StoreError>> {
    tokio::time::timeout(Duration::from_secs(30), watch.next()).await.unwrap()
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    let revision = store.put(key(), "1".into(), None).await.unwrap();
    store.shutdown().await;
    let store = open(folder.path()).await.unwrap();
    assert_eq!(store.get(&key()).await.unwrap().unwrap().revision, revision);
    assert!(store.put(key(), "2".into(), None).await.unwrap() > revision);
    let mut watch = store.watch(Prefix::all(), Some(revision)).await.unwrap();
    assert!(next(&mut watch).await.unwrap().unwrap().revision > revision);
}

#[tokio::test]
async fn a_row_this_program_never_wrote_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    store.put(key(), "1".into(), None).await.unwrap();
    run(&folder, "UPDATE items SET revision = -1");
    assert!(matches!(store.get(&key()).await, Err(StoreError::Corrupt(_))));
    run(&folder, "UPDATE items SET revision = 1");
    assert!(store.get(&key()).await.unwrap().is_some(), "and is readable once mended");
}

#[tokio::test]
async fn a_watcher_hears_of_another_store_on_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (open(folder.path()).await.unwrap(), open(folder.path()).await.unwrap());
    let mut watch = here.watch(Prefix::all(), None).await.unwrap();
    let revision = there.put(key(), "1".into(), None).await.unwrap();
    let heard = next(&mut watch).await;
    assert_eq!(heard.unwrap().unwrap().revision, revision);
    assert_eq!(here.get(&key()).await.unwrap().unwrap().revision, revision);
}

#[tokio::test]
async fn a_watcher_is_told_when_another_store_forgot_what_it_has_not_heard() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(FakeClock::new());
    let slow = Settings { poll: Duration::from_secs(3600), ..Settings::default() };
    let short = Settings { history: 10, ..Settings::default() };
    let here = SqliteStore::open_with(folder.path(), clock.clone(), slow).await.unwrap();
    let there = SqliteStore::open_with(folder.path(), clock, short).await.unwrap();
    let mut watch = here.watch(Prefix::all(), None).await.unwrap();
    for round in 0..40 {
        there.put(key(), round.to_string().into(), None).await.unwrap();
    }
    // The next commit here looks at what happened before it.
    here.put(key(), "own".into(), None).await.unwrap();
    let end = loop {
        // The first changes may have been heard by the first look around.
        if let Err(error) = next(&mut watch).await.unwrap() {
            break error;
        }
    };
    assert!(matches!(end, StoreError::Compacted(_)), "{end}");
    assert_eq!(next(&mut watch).await, None);
}

#[tokio::test]
async fn a_watcher_never_misses_a_change_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        Settings { poll: Duration::from_secs(3600), history: 3 * WATCH_QUEUE, ..Settings::default() };
    let clock = Arc::new(FakeClock::new());
    let here = SqliteStore::open_with(folder.path(), clock.clone(), settings).await.unwrap();
    let there = SqliteStore::open_with(folder.path(), clock, settings).await.unwrap();
    let mut watch = here.watch(Prefix::of(&["mine"]), None).await.unwrap();
    // More than is ever read at once, none of it watched, and then one that is.
    for chunk in 0..=WATCH_QUEUE / OPERATIONS_MAX {
        let put =
            |all: Transaction, number| all.put(Key::of(&["other", &format!("{chunk}-{number}")]), "1", None);
        there.write((0..OPERATIONS_MAX).fold(Transaction::default(), put)).await.unwrap();
    }
    there.put(Key::of(&["mine", "a"]), "1".into(), None).await.unwrap();
    here.put(key(), "own".into(), None).await.unwrap();
    assert!(matches!(next(&mut watch).await, Some(Err(StoreError::Compacted(_)))));
}

#[tokio::test]
async fn a_fault_of_the_disk_is_told_and_got_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    let mut watch = store.watch(Prefix::all(), None).await.unwrap();
    let first = store.put(key(), "1".into(), None).await.unwrap();
    // As SQLite does when the disk is full: the whole transaction is given up.
    run(&folder, "CREATE TRIGGER full BEFORE INSERT ON items BEGIN SELECT RAISE(ROLLBACK, 'full'); END");
    let outcome = store.put(key(), "2".into(), None).await;
    assert!(
        matches!(&outcome, Err(StoreError::Unavailable(text)) if text.contains("sqlite.db")),
        "{outcome:?}"
    );
    assert_eq!(store.get(&key()).await.unwrap().unwrap().revision, first);
    run(&folder, "DROP TRIGGER full");
    let third = store.put(key(), "3".into(), None).await.unwrap();
    for revision in [first, third] {
        assert_eq!(next(&mut watch).await.unwrap().unwrap().revision, revision, "nothing of the second");
    }
}

#[tokio::test]
async fn one_of_many_that_fails_is_undone_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()).await.unwrap());
    let mut watch = store.watch(Prefix::all(), None).await.unwrap();
    run(
        &folder,
        "CREATE TRIGGER poison BEFORE INSERT ON items WHEN NEW.key LIKE '%poison'
         BEGIN SELECT RAISE(ABORT, 'told to fail'); END",
    );
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..40 {
        let store = Arc::clone(&store);
        callers.spawn(async move {
            let second = if number % 10 == 7 { "poison".to_owned() } else { format!("{number}-b") };
            let first = Key::of(&["a", &format!("{number}-a")]);
            let both = Transaction::default().put(first, "1", None).put(Key::of(&["a", &second]), "1", None);
            (number, store.write(both).await)
        });
    }
    let mut revisions = Vec::new();
    for (number, outcome) in callers.join_all().await {
        match outcome {
            Ok(revision) => revisions.push(revision.0),
            Err(StoreError::Unavailable(text)) => assert!(number % 10 == 7 && text.contains("told to fail")),
            Err(error) => unreachable!("{error}"),
        }
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=36).collect::<Vec<_>>(), "no revision is wasted");
    let items = store.range(&Prefix::all(), None, 100).await.unwrap().items;
    assert_eq!(items.len(), 72, "nothing of the four that failed");
    let mut again = store.watch(Prefix::all(), Some(port::store::Revision(0))).await.unwrap();
    for step in 0..72 {
        let heard = next(&mut watch).await.unwrap().unwrap();
        assert_eq!(heard.revision.0, step / 2 + 1);
        assert_eq!(next(&mut again).await.unwrap().unwrap(), heard, "the journal says the same");
    }
}

#[tokio::test]
async fn shutdown_finishes_closes_and_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()).await.unwrap());
    let mut watch = store.watch(Prefix::all(), None).await.unwrap();
    let writing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.put(key(), "1".into(), None).await }
    });
    assert!(next(&mut watch).await.unwrap().is_ok());
    writing.await.unwrap().unwrap();
    store.shutdown().await;
    assert_eq!(next(&mut watch).await, None, "watches end");
    let log = folder.path().join("backend/sqlite.db-wal");
    assert!(!log.exists(), "the log is folded into the database by the last to close");
    for outcome in [store.put(key(), "2".into(), None).await.err(), store.get(&key()).await.err()] {
        assert!(matches!(outcome, Some(StoreError::Unavailable(_))), "{outcome:?}");
    }
    store.shutdown().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn dropping_the_store_ends_its_thread_and_its_watches() {
    fn open_here(folder: &TempDir) -> usize {
        let database = database(folder).canonicalize().unwrap();
        let descriptors = fs::read_dir("/proc/self/fd").unwrap();
        let targets = descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        targets.filter(|target| *target == database).count()
    }
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    store.put(key(), "1".into(), None).await.unwrap();
    store.get(&key()).await.unwrap();
    let mut watch = store.watch(Prefix::all(), None).await.unwrap();
    assert!(open_here(&folder) >= 2, "a writer and a reader");
    drop(store);
    // The watch ends when the thread lets go of the fan-out.
    assert_eq!(next(&mut watch).await, None);
    let closed = async {
        while open_here(&folder) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), closed).await.unwrap();
}

#[test]
fn works_on_one_thread_and_outlives_its_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime().block_on(async {
        let store = open(folder.path()).await.unwrap();
        let writes = (0..20).map(|number| {
            let key = Key::of(&["a", &number.to_string()]);
            store.put(key, "1".into(), None)
        });
        for outcome in futures_join(writes).await {
            outcome.unwrap();
        }
        store
    });
    // The first runtime, with the ticker, is gone; calls go on on another.
    let items = runtime().block_on(async { store.range(&Prefix::all(), None, 100).await.unwrap().items });
    assert_eq!(items.len(), 20);
    drop(store);
}

/// Polls all of them on one task.
async fn futures_join<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.map(|future| Some(Box::pin(future))).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        for slot in &mut pending {
            if let Some(std::task::Poll::Ready(output)) =
                slot.as_mut().map(|future| future.as_mut().poll(context))
            {
                *slot = None;
                done.push(output);
            }
        }
        if pending.iter().all(Option::is_none) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done
}

#[tokio::test]
async fn old_changes_are_forgotten_by_age() {
    let (clock, folder) = (FakeClock::new(), tempfile::tempdir().unwrap());
    let settings = Settings {
        history_age: Duration::from_secs(60),
        sweep: Duration::from_millis(10),
        ..Settings::default()
    };
    let sqlite = SqliteStore::open_with(folder.path(), Arc::new(clock.clone()), settings).await.unwrap();
    let memory = MemoryStore::with(Arc::new(clock.clone()), settings);
    for store in [&sqlite as &dyn Store, &memory] {
        let first = store.put(key(), "1".into(), None).await.unwrap();
        store.put(key(), "2".into(), None).await.unwrap();
        clock.advance(Duration::from_secs(50));
        assert!(store.watch(Prefix::all(), Some(first)).await.is_ok());
        clock.advance(Duration::from_secs(30));
        let forgotten = async {
            while store.watch(Prefix::all(), Some(first)).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), forgotten).await.unwrap();
        assert!(store.get(&key()).await.unwrap().is_some(), "items stay");
    }
}

#[tokio::test]
async fn what_is_kept_of_the_past_is_bounded_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { history: 64, ..Settings::default() };
    let store = SqliteStore::open_with(folder.path(), Arc::new(FakeClock::new()), settings).await.unwrap();
    for round in 0..300 {
        store.put(key(), round.to_string().into(), None).await.unwrap();
    }
    let connection = rusqlite::Connection::open(database(&folder)).unwrap();
    let kept: i64 = connection.query_row("SELECT sum(changes) FROM journal", [], |row| row.get(0)).unwrap();
    assert!((64..=64 + 64 / 8 + 1).contains(&kept), "{kept}");
}
