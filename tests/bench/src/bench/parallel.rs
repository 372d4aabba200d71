//! Eight stock clients at once.

use std::process::Command;

use terminal::Failure;

use super::latency::exec_true;
use crate::measure::{Scale, adopt_orphans, cpu_of_ended_children, median, median_ratio, timed};
use crate::table::{Report, at_least};
use crate::world::World;

const CLIENTS: usize = 8;

pub(crate) fn run(world: &World, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let each = scale.rounds(8);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    adopt_orphans()?;
    let (mut our_clients, mut peer_clients) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds(5) {
        let started = cpu_of_ended_children();
        ours.push(sessions_per_second(|| world.ours(), each)?);
        let between = cpu_of_ended_children();
        peer.push(sessions_per_second(|| world.peer(), each)?);
        our_clients.push(between.since(started) / sessions(each));
        peer_clients.push(cpu_of_ended_children().since(between) / sessions(each));
    }
    let ratio = median_ratio(&ours, &peer);
    let shown = (format!("{:.1}/s", median(&mut ours)), format!("{:.1}/s", median(&mut peer)));
    report.add(at_least("sessions, 8 parallel stock clients / ssh -J", shown, ratio, 3.0));
    let (ours, peer) = (median(&mut our_clients), median(&mut peer_clients));
    let shown = |seconds: f64| format!("{:.1} ms", seconds * 1000.0);
    report.show("  processor time of the clients themselves, per session", shown(ours), shown(peer));
    let cap = processors() / ours;
    report.show("  with servers that cost nothing, these clients would reach", format!("{cap:.1}/s"), "");
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "a few hundred")]
fn sessions(each: usize) -> f64 {
    (CLIENTS * each) as f64
}

#[allow(clippy::cast_precision_loss, reason = "a machine has few")]
fn processors() -> f64 {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64
}

fn sessions_per_second(ssh: impl Fn() -> Command + Sync, each: usize) -> Result<f64, Failure> {
    let client = || (0..each).try_for_each(|_| exec_true(ssh()).map(drop));
    let (outcomes, took) = timed(|| {
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            clients.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        })
    });
    for outcome in outcomes {
        outcome.map_err(|_| Failure::new("a client panicked"))??;
    }
    Ok(sessions(each) / took.as_secs_f64())
}
