//! Writes a second, with 1, 32 and 256 callers at once: what sharing a commit gains.
//!
//! `cargo run --example writes -p teleport-storage [-- FOLDER]`; the database is made in FOLDER, or
//! in the system's folder for temporary files, and removed afterwards. Beside each figure stands
//! what the disk itself does: how often a second an append can be flushed to it.

#![allow(clippy::print_stdout, reason = "it prints its result")]

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use port::clock::SystemClock;
use port::store::{Key, Store};
use teleport_storage::SqliteStore;
use tokio::task::JoinSet;
use tokio::time::Instant;

const SPAN: Duration = Duration::from_secs(3);
const VALUE: Bytes = Bytes::from_static(&[b'v'; 1000]);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let parent = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(parent)?;
    println!("{:>8} {:>10} {:>10} {:>10} {:>12}", "callers", "writes/s", "p50 ms", "p99 ms", "flushes/s");
    for callers in [1, 32, 256] {
        let flushes = flushes(folder.path())?;
        let store = Arc::new(SqliteStore::open(folder.path(), Arc::new(SystemClock)).await?);
        let mut waits = writes(&store, callers).await?;
        store.shutdown().await;
        waits.sort_unstable();
        let rate = waits.len() as f64 / SPAN.as_secs_f64();
        let at = |part: f64| {
            let index = (waits.len() as f64 * part) as usize;
            waits.get(index).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0)
        };
        println!("{callers:>8} {rate:>10.0} {:>10.2} {:>10.2} {flushes:>12.0}", at(0.5), at(0.99));
    }
    Ok(())
}

/// How long each write took, made by so many callers for [`SPAN`].
async fn writes(store: &Arc<SqliteStore>, callers: usize) -> Result<Vec<Duration>, Box<dyn Error>> {
    let end = Instant::now() + SPAN;
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let mut waits = Vec::new();
            while Instant::now() < end {
                let key = Key::of(&["bench", &format!("{caller}-{}", waits.len())]);
                let began = Instant::now();
                store.put(key, VALUE, None).await?;
                waits.push(began.elapsed());
            }
            Ok::<_, port::store::StoreError>(waits)
        });
    }
    let mut all = Vec::new();
    while let Some(waits) = tasks.join_next().await {
        all.extend(waits??);
    }
    Ok(all)
}

/// How often a second 4 KiB can be appended and flushed: one flush is what one commit costs.
fn flushes(folder: &Path) -> Result<f64, Box<dyn Error>> {
    let mut file = std::fs::File::create(folder.join("flushes"))?;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(1) {
        file.write_all(&[0; 4096])?;
        file.sync_all()?;
        count += 1;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}
