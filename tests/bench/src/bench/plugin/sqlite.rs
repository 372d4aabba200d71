//! The embedded store beside SQLite itself: durable writes of many callers, and reads.

use std::sync::Arc;

use bytes::Bytes;
use port::clock::SystemClock;
use port::store::{Key, Store as _};
use rusqlite::Connection;
use storage::SqliteStore;
use terminal::Failure;
use tokio::task::JoinSet;

use crate::measure::{Scale, median, median_ratio, timed};
use crate::table::{Report, above, at_least};

/// Callers at one time: as many rows as are in one commit of the peer.
const CALLERS: usize = 100;
const VALUE: [u8; 200] = [b'v'; 200];

pub(crate) async fn run(scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let store = Arc::new(SqliteStore::open(folder.path(), Arc::new(SystemClock)).await?);
    let mut raw = raw(folder.path())?;
    let each = scale.rounds(40);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for round in 0..scale.rounds(8) {
        ours.push(puts(&store, round, each).await?);
        let (outcome, took) = timed(|| commits(&mut raw, round, each));
        outcome?;
        peer.push(rate(CALLERS * each, took));
    }
    let ratio = median_ratio(&ours, &peer);
    let shown = |rates: &mut Vec<f64>| format!("{:.0}/s", median(rates));
    let shown = (shown(&mut ours), format!("raw, WAL, FULL, 100 rows a commit {}", shown(&mut peer)));
    report.add(at_least("sqlite: durable puts, 100 callers", shown, ratio, 0.7));
    let mut reads = Vec::new();
    for _ in 0..scale.rounds(8) {
        reads.push(gets(&store, scale.rounds(40_000)).await?);
    }
    report.add(above("sqlite: gets, 4 callers", median(&mut reads), 200_000.0, "/s", String::new()));
    store.shutdown().await;
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "thousands")]
fn rate(count: usize, took: std::time::Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

async fn puts(store: &Arc<SqliteStore>, round: usize, each: usize) -> Result<f64, Failure> {
    let began = tokio::time::Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let store = Arc::clone(store);
        callers.spawn(async move {
            for number in 0..each {
                let key = Key::of(&["bench", &format!("{round}-{caller}-{number}")]);
                store.put(key, Bytes::from_static(&VALUE), None).await?;
            }
            Ok::<_, port::store::StoreError>(())
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    Ok(rate(CALLERS * each, began.elapsed()))
}

async fn gets(store: &Arc<SqliteStore>, each: usize) -> Result<f64, Failure> {
    let began = tokio::time::Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..4 {
        let store = Arc::clone(store);
        let key = Key::of(&["bench", &format!("0-{caller}-0")]);
        callers.spawn(async move {
            for _ in 0..each {
                store.get(&key).await?;
            }
            Ok::<_, port::store::StoreError>(())
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    Ok(rate(4 * each, began.elapsed()))
}

/// The same disk, and nothing around it.
fn raw(folder: &std::path::Path) -> Result<Connection, Failure> {
    let raw = Connection::open(folder.join("raw.sqlite"))?;
    raw.execute_batch(
        "pragma journal_mode = wal; pragma synchronous = full;
         create table items (key text primary key, value blob not null, revision integer not null) without rowid;",
    )?;
    Ok(raw)
}

/// The same rows in the same order as those of the callers: one of each in a commit.
fn commits(raw: &mut Connection, round: usize, commits: usize) -> Result<(), Failure> {
    for commit in 0..commits {
        let transaction = raw.transaction()?;
        {
            let mut insert = transaction.prepare_cached("insert into items values (?1, ?2, ?3)")?;
            for row in 0..CALLERS {
                insert.execute((format!("/bench/{round}-{row}-{commit}"), VALUE.as_slice(), 1))?;
            }
        }
        transaction.commit()?;
    }
    Ok(())
}
