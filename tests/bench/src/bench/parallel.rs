//! Eight stock clients at once.

use std::process::Command;

use terminal::Failure;

use super::latency::exec_true;
use crate::measure::{Scale, median, median_ratio, timed};
use crate::table::{Report, at_least};
use crate::world::World;

const CLIENTS: usize = 8;

pub(crate) fn run(world: &World, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let each = scale.rounds(8);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds(5) {
        ours.push(sessions_per_second(|| world.ours(), each)?);
        peer.push(sessions_per_second(|| world.peer(), each)?);
    }
    let ratio = median_ratio(&ours, &peer);
    let shown = (format!("{:.1}/s", median(&mut ours)), format!("{:.1}/s", median(&mut peer)));
    report.add(at_least("sessions, 8 parallel stock clients / ssh -J", shown, ratio, 3.0));
    Ok(())
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
    #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
    Ok((CLIENTS * each) as f64 / took.as_secs_f64())
}
