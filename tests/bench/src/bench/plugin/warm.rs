//! A call of an instance that is kept, with limits, span and metrics as in a daemon, beside bare wasmtime; and what an
//! idle instance holds.

use std::sync::Arc;
use std::time::Duration;

use domain::plugin::PluginName;
use port::backend::Backend as _;
use port::store::{Key, Revision};
use process::PluginNumbers;
use terminal::Failure;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::bare::Bare;
use super::bed::{Bed, Guests};
use crate::measure::{Scale, median, proportional_kib, quantile};
use crate::table::{Report, below};

/// Callers at one time, so that there is always another call to do.
const CALLERS: usize = 4;
/// Instances that are made to see what each holds. The first fill what all share, and what the heap had free: an
/// instance that found room there would seem to hold less.
const IDLE: usize = 400;
const FIRST: usize = 200;

pub(crate) async fn run(guests: &Guests, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let rounds = scale.rounds(20_000);
    let mut bed = Bed::with_backend(guests)?;
    let (times, mut taken) = mpsc::channel(rounds + 1000);
    let numbers = PluginNumbers::default();
    bed.settings.on_storage = Some(Arc::new(move |question| {
        let counting = tokio::time::Instant::now();
        numbers.question(question);
        let whole = question.wall + counting.elapsed();
        // More than are looked at are not needed.
        let _ = times.try_send(whole.as_secs_f64() * 1e9);
    }));
    let host = bed.host()?;
    let backend = Arc::new(host.storage(PluginName::new("backend")?));
    let key = Key::of(&["t", "a"]);
    for _ in 0..500 {
        backend.get(&key).await?;
    }
    while taken.try_recv().is_ok() {}
    let (mut roused, mut seen) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let began = tokio::time::Instant::now();
        backend.get(&key).await?;
        seen.push(began.elapsed().as_secs_f64() * 1e6);
        roused.extend(taken.recv().await);
    }
    // One call after the other, as the bare one's: the plugins' thread does not sleep in between.
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (backend, key) = (Arc::clone(&backend), key.clone());
        callers.spawn(async move {
            for _ in 0..rounds / CALLERS {
                backend.get(&key).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    callers.join_all().await.into_iter().collect::<Result<Vec<()>, _>>()?;
    let mut ours: Vec<_> = std::iter::from_fn(|| taken.try_recv().ok()).collect();
    let bare = Bare::new(&guests.backend)?;
    bare.get(1000)?;
    let (mut theirs, mut interruptible) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds(40) {
        theirs.push(bare.get(1000)?);
        interruptible.push(bare.get_interruptible(1000).await?);
    }
    let (straight, on_a_stack) = (median(&mut theirs), median(&mut interruptible));
    let peer = format!("bare wasmtime {straight:.0} ns, on a stack of its own {on_a_stack:.0} ns");
    report.add(below("storage plugin: call of a kept instance, p50", median(&mut ours), 1000.0, "ns", peer));
    report.show("  p99", format!("{:.0} ns", quantile(&mut ours, 0.99)), "");
    let woken = median(&mut roused);
    report.show("  of a thread that has slept before it, p50", format!("{woken:.0} ns"), "");
    report.show(
        "  as the store sees it, with the hand-over to the plugins' thread",
        format!("{:.1} us", median(&mut seen)),
        "",
    );
    host.stop().await;
    idle(guests, report).await
}

async fn idle(guests: &Guests, report: &mut Report) -> Result<(), Failure> {
    let mut bed = Bed::with_backend(guests)?;
    // So many are not needed by a daemon.
    bed.settings.tails = u32::try_from(IDLE)?;
    let backend = bed.host()?.storage(PluginName::new("backend")?);
    let (mut tails, mut before) = (Vec::new(), 0.0);
    for made in 0..IDLE {
        if made == FIRST {
            before = proportional_kib(std::process::id());
        }
        let mut tail = backend.tail(Revision(0)).await?;
        tail.next(1, Duration::ZERO).await?;
        tails.push(tail);
    }
    let grown = proportional_kib(std::process::id()) - before;
    #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
    let each = grown / (IDLE - FIRST) as f64;
    report.add(below("storage plugin: memory of an idle instance", each, 32.0, "KiB", String::new()));
    Ok(())
}
