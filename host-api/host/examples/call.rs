//! What a call of a label plugin costs, beside fork and exec of `/bin/true` in the same run.
//!
//! The label has no command, so the plugin answers before it would run a program: what is measured
//! is a fresh store with all limits, instantiation, the call, and the end of it. Run with `cargo
//! run --release -p teleport-plugin-host --example call`. The last line is the process's resident
//! memory.

#![allow(clippy::print_stdout, reason = "a measurement is printed")]

use std::error::Error;
use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use domain::label::{DEFAULT_PROVIDER, DynamicLabel};
use parking_lot::Mutex;
use plugin_host::{Compiler, PluginHost, Settings, compile};
use tokio::time::Instant;

const ROUNDS: usize = 20;
const CALLS: usize = 500;
const FORKS: usize = 20;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next() == Some(OsString::from(compile::CHILD_ARGUMENT)) {
        return Ok(compile::child_main(arguments));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure())?;
    Ok(ExitCode::SUCCESS)
}

async fn measure() -> Result<(), Box<dyn Error>> {
    let data_dir = std::env::temp_dir().join(format!("plugin-call-{}", std::process::id()));
    std::fs::create_dir(&data_dir)?;
    let before = resident()?;
    let inner = Arc::new(Mutex::new(Vec::with_capacity(ROUNDS * CALLS)));
    let observed = Arc::clone(&inner);
    let mut settings = Settings::new(&data_dir);
    settings.compiler = Compiler::this_program();
    settings.on_call = Some(Arc::new(move |report| observed.lock().push(report.wall)));
    let started = Instant::now();
    let host = PluginHost::new(settings.clone())?;
    load(&host).await?;
    println!("cold load, compiled in a child: {:?}", started.elapsed());
    host.stop().await;
    let started = Instant::now();
    let host = PluginHost::new(settings)?;
    load(&host).await?;
    println!("warm load, from the cache: {:?}", started.elapsed());
    let label = DynamicLabel {
        name: "speed".to_owned(),
        command: Vec::new(),
        period: Duration::from_secs(60),
        plugin: DEFAULT_PROVIDER.to_owned(),
    };
    let (mut outer, mut forks) = (Vec::new(), Vec::new());
    // Interleaved, so that whatever else the machine does falls on both.
    for _ in 0..ROUNDS {
        for _ in 0..CALLS {
            let started = Instant::now();
            host.call(&label).await?;
            outer.push(started.elapsed());
        }
        for _ in 0..FORKS {
            let started = Instant::now();
            Command::new("/bin/true").status()?;
            forks.push(started.elapsed());
        }
    }
    println!("{:<46} {:>10} {:>10}", "", "p50", "p99");
    print("instantiate + call + drop, on the plugins' thread", &mut inner.lock());
    print("the same as the caller sees it, another thread", &mut outer);
    print("fork + exec + wait of /bin/true", &mut forks);
    println!("resident: {before} KiB before the host, {} KiB after {} calls", resident()?, ROUNDS * CALLS);
    std::fs::remove_dir_all(&data_dir)?;
    Ok(())
}

async fn load(host: &PluginHost) -> Result<(), Box<dyn Error>> {
    match host.check([DEFAULT_PROVIDER]).await.into_iter().next() {
        Some(refusal) => Err(refusal.into()),
        None => Ok(()),
    }
}

fn print(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    println!("{what:<50} {:>9.1?} {:>9.1?}", at(50), at(99));
}

/// Resident memory of this process, in KiB.
fn resident() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
