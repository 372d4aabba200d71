//! `cargo xtask bench`: builds what is released and runs the benchmarks of `tests/bench`, which print
//! their own table.

use std::process::Command;
use std::time::Duration;

use crate::failure::Failure;
use crate::run::Runner;
use crate::{debian, say, tool};

/// How long the build, and then the benchmarks, may take.
const LIMIT: Duration = Duration::from_secs(2 * 3600);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Fewer rounds: to see whether it runs, not what it says.
    #[arg(long)]
    quick: bool,
    /// Install nothing; say what is missing and stop.
    #[arg(long)]
    no_install: bool,
    /// Run these alone: start, memory, latency, parallel, sessions, bulk, frames, certificates, plugins,
    /// storage (of the plugins), sqlite (of storage), tunnels.
    only: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, runner: &Runner<'_>) -> Result<(), Failure> {
    tool::for_building(runner)?;
    debian::packages(runner, !arguments.no_install)?;
    say::step("building the release");
    let packages = ["-p", "teleport", "-p", "teleport-tctl", "-p", "teleport-tests-bench"];
    let peer = ["--features", "teleport-tests-bench/etcd-client"];
    let peer = if debian::protoc(runner, !arguments.no_install) { &peer[..] } else { &[] };
    let arguments_of_build = ["build", "--release", "--bins"].into_iter().chain(packages);
    let mut build = runner.place.cargo(arguments_of_build.chain(peer.iter().copied()));
    runner.visibly(&mut build, LIMIT)?;
    say::step("measuring");
    let mut bench = Command::new(runner.place.program("teleport-bench", true));
    bench.args(arguments.quick.then_some("--quick")).args(&arguments.only).current_dir(&runner.place.root);
    runner.visibly(&mut bench, LIMIT)
}
