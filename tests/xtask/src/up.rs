//! `cargo xtask up`: a cluster on this machine, from nothing.
//!
//! Builds, starts auth and proxy as one process and a node as another, which joins with a token through
//! the proxy's web port, and shows by real commands that it works. Everything listens on loopback and
//! lives below `target/up`. Nothing it starts outlives it.

mod cluster;
mod daemon;
mod health;
mod line;
mod port;
mod show;
mod state;

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::run::Runner;
use crate::{say, tool};

use cluster::Cluster;
use state::State;

/// How long a build may take; a cold one on two cores is minutes.
const BUILD: Duration = Duration::from_secs(3600);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Stop after the show; the exit code says whether all of it worked.
    #[arg(long)]
    once: bool,
    /// Build and run what would be released: smaller and faster programs, a slower build.
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(arguments: &Arguments, runner: &Runner<'_>) -> Result<(), Failure> {
    build(runner, arguments.release)?;
    let started = Instant::now();
    let state = State::open(runner)?;
    let mut cluster = Cluster::new(runner, &state, arguments.release)?;
    let shown = cluster.show();
    if shown.is_ok() {
        say::line(format_args!("It works. All of this took {}.", say::span(started.elapsed())));
    }
    let outcome = if arguments.once { shown } else { shown.and_then(|()| stay(&mut cluster)) };
    // The logs are read before the daemons write that they were stopped.
    let outcome = outcome.map_err(|failure| cluster.attach_logs(failure));
    cluster.stop();
    outcome
}

fn build(runner: &Runner<'_>, release: bool) -> Result<(), Failure> {
    tool::for_building(runner)?;
    say::step("building teleport and tctl");
    let release = release.then_some("--release");
    let words = ["build", "-p", "teleport", "-p", "teleport-tctl"].into_iter().chain(release);
    runner.visibly(&mut runner.place.cargo(words), BUILD)
}

/// Waits for Ctrl-C, which is a success, or until a daemon ends by itself, which is none.
fn stay(cluster: &mut Cluster<'_>) -> Result<(), Failure> {
    cluster.print_how_to_go_on()?;
    loop {
        cluster.check()?;
        if cluster.runner.interrupts.pause().is_err() {
            return Ok(());
        }
    }
}
