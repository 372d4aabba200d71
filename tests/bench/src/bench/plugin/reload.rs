//! A plugin that is replaced again and again while it is called a thousand times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use domain::plugin::Digest;
use plugin_host::ChangeKind;
use terminal::Failure;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::bed::{Bed, Guests, label, manifest};
use crate::measure::Scale;
use crate::table::{Report, above, below};

/// Different files: the first round compiles each, later ones find them in the cache.
const VERSIONS: u8 = 5;

/// How long one may take to be served.
const PATIENCE: Duration = Duration::from_secs(60);

/// The same code with a section nobody reads (WebAssembly core specification 5.5.3).
fn version(wasm: &[u8], number: u8) -> Vec<u8> {
    [wasm, &[0, 2, 1, b'a' + number]].concat()
}

pub(crate) async fn run(guests: &Guests, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let mut bed = Bed::new()?;
    let wasm = version(&guests.hostile, 0);
    bed.install("hostile", &wasm, &manifest("hostile", "label-provider"))?;
    for number in 1..VERSIONS {
        bed.plugin("hostile")?.digests.push(Digest::of(&version(&guests.hostile, number)));
    }
    let reloads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reloads);
    bed.settings.on_change = Some(Arc::new(move |change| {
        if matches!(change.kind, ChangeKind::Reloaded(_)) {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        true
    }));
    let host = bed.host()?;
    host.call(&label("hostile", "echo x")).await?.result?;
    let (done, calls, failed) =
        (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let caller = tokio::spawn({
        let (host, done, calls, failed) = (host, Arc::clone(&done), Arc::clone(&calls), Arc::clone(&failed));
        async move {
            let mut every = interval(Duration::from_millis(1));
            every.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut running = tokio::task::JoinSet::new();
            while !done.load(Ordering::SeqCst) {
                every.tick().await;
                let (host, failed) = (Arc::clone(&host), Arc::clone(&failed));
                running.spawn(async move {
                    let report = host.call(&label("hostile", "echo x")).await;
                    if !report.is_ok_and(|report| report.result.is_ok()) {
                        failed.fetch_add(1, Ordering::SeqCst);
                    }
                });
                calls.fetch_add(1, Ordering::SeqCst);
                while running.try_join_next().is_some() {}
            }
            while running.join_next().await.is_some() {}
        }
    });
    let (rounds, began) = (scale.rounds(100), Instant::now());
    for round in 0..rounds {
        let number = u8::try_from((round + 1) % usize::from(VERSIONS)).unwrap_or(0);
        replace(&bed, &version(&guests.hostile, number), &reloads, round + 1).await?;
    }
    let took = began.elapsed();
    done.store(true, Ordering::SeqCst);
    caller.await?;
    let (calls, failed) = (calls.load(Ordering::SeqCst), failed.load(Ordering::SeqCst));
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    let (rate, failed) = (calls as f64 / took.as_secs_f64(), failed as f64);
    let peer = format!("of {calls} calls");
    report.add(below(&format!("{rounds} reloads under load: failed calls"), failed, 0.0, "calls", peer));
    // Asked for are 1,000; the clock that asks ends within a call or two of it.
    report.add(above("  calls meanwhile", rate, 990.0, "/s", String::new()));
    Ok(())
}

async fn replace(bed: &Bed, wasm: &[u8], reloads: &AtomicUsize, wanted: usize) -> Result<(), Failure> {
    let path = bed.component("hostile");
    let draft = path.with_extension("new");
    std::fs::write(&draft, wasm)?;
    std::fs::rename(&draft, &path)?;
    let began = Instant::now();
    while reloads.load(Ordering::SeqCst) < wanted {
        if began.elapsed() > PATIENCE {
            return Err(Failure::new(format!("reload {wanted} did not happen")));
        }
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
