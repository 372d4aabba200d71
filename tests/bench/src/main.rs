//! Benchmarks, each beside its peer in the same run: interleaved pairs, medians, and the table is
//! printed by the command.
//!
//! The peers are OpenSSH's sshd (direct and as a bastion), `ssh-keygen -s` and fork+exec. Everything
//! runs on loopback in a folder of its own, in a mount namespace of its own where the login's home is
//! clean: a shell's start-up file would otherwise be most of what is measured. Numbers of one table
//! compare; numbers of two runs on a shared machine do not.

mod bench;
mod measure;
mod table;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use port::clock::SystemClock;
use table::Report;
use terminal::Failure;
use world::World;

/// Benchmarks beside the real peers.
#[derive(Debug, Parser)]
#[command(name = "teleport-bench")]
struct Arguments {
    /// Fewer rounds and fewer tunnels: to see whether it runs, not what it says.
    #[arg(long)]
    quick: bool,
    /// Run these alone.
    #[arg(value_enum)]
    only: Vec<Group>,
    /// What the program does for itself in another process.
    #[arg(long, hide = true)]
    agents: Option<String>,
    /// The same.
    #[arg(long, hide = true)]
    spawner: bool,
}

/// The log of a daemon, at its own severity, into a file nobody reads: what is not written is asked about as well, and
/// that is a part of what is measured.
fn log() -> Result<(tempfile::TempDir, telemetry::log::LogHandle), Failure> {
    let folder = tempfile::tempdir()?;
    let settings = telemetry::log::Settings {
        output: telemetry::log::Output::File(folder.path().join("log")),
        ..telemetry::log::Settings::default()
    };
    let (dispatch, handle) = telemetry::log::build(&settings, Arc::new(SystemClock))?;
    tracing::dispatcher::set_global_default(dispatch)?;
    Ok((folder, handle))
}

/// What can be run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Group {
    Start,
    Memory,
    Latency,
    Parallel,
    Sessions,
    Bulk,
    Frames,
    Certificates,
    /// Calls, loads and reloads of plugins, hostile ones, and storage through them.
    Plugins,
    /// Of the plugins only storage, beside its peers.
    Storage,
    /// Of storage only the embedded store, which needs no servers.
    Sqlite,
    Tunnels,
}

fn main() -> ExitCode {
    if let Some(code) = process::child::main_if_child() {
        return code;
    }
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let arguments = match terminal::parse::<Arguments>(std::env::args_os(), &mut out, &mut err) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    terminal::finish(run(arguments), &mut err)
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.spawner {
        return measure::spawner::serve();
    }
    net::install_crypto();
    let _ = sys::process::raise_nofile_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(plan) = &arguments.agents {
        return runtime.block_on(bench::tunnels::agents(plan));
    }
    world::enter_namespace()?;
    let _log = log()?;
    let scale = measure::Scale { quick: arguments.quick };
    let wanted = |group: Group| arguments.only.is_empty() || arguments.only.contains(&group);
    runtime.block_on(async {
        let mut report = Report::default();
        bench::machine::constants(&mut report);
        if wanted(Group::Start) {
            bench::start::run(scale, &mut report).await?;
        }
        if wanted(Group::Plugins) {
            bench::plugin::run(scale, &mut report).await?;
        } else if wanted(Group::Storage) {
            bench::plugin::storage(scale, &mut report).await?;
        } else if wanted(Group::Sqlite) {
            bench::plugin::embedded_store(scale, &mut report).await?;
        }
        if matches!(arguments.only.as_slice(), [Group::Storage] | [Group::Sqlite]) {
            return report.print(&mut std::io::stdout());
        }
        let world = World::start().await?;
        if wanted(Group::Memory) {
            bench::memory::run(&world, scale, &mut report).await?;
        }
        if wanted(Group::Latency) {
            bench::latency::run(&world, scale, &mut report)?;
        }
        if wanted(Group::Parallel) {
            bench::parallel::run(&world, scale, &mut report)?;
        }
        if wanted(Group::Sessions) {
            bench::sessions::run(&world, scale, &mut report).await?;
        }
        if wanted(Group::Bulk) {
            bench::bulk::run(&world, scale, &mut report)?;
        }
        if wanted(Group::Frames) {
            bench::frames::run(&world, scale, &mut report).await?;
        }
        if wanted(Group::Certificates) {
            bench::certificates::run(&world, scale, &mut report).await?;
        }
        if wanted(Group::Plugins) {
            bench::plugin::sessions_meanwhile(&world, scale, &mut report).await?;
        }
        if wanted(Group::Tunnels) {
            bench::tunnels::run(world, scale, &mut report).await?;
        }
        report.print(&mut std::io::stdout())
    })
}
