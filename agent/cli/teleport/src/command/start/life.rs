//! The daemon's life: it starts, runs, and ends. Signals are answered in every part of it, because the
//! daemon that hangs in one of them is the one somebody asks.

use std::sync::Arc;
use std::time::Duration;

use config::Settings;
use domain::Timestamp;
use port::clock::Clock;
use process::signal::{Asked, Signals};
use process::{Host, ProcessError, Running};
use telemetry::Build;
use telemetry::diagnostics::Sources;
use telemetry::health::HealthHandle;
use telemetry::log::LogHandle;
use telemetry::metrics::Metrics;
use terminal::Failure;

/// Runs what the settings ask for until a signal or a failure ends it.
pub(super) async fn live(settings: Settings, host: Host, mut signals: Signals) -> Result<(), Failure> {
    let log = host.log.clone();
    let delay = settings.shutdown_delay;
    let Some(mut running) = start(settings, host, &mut signals).await? else { return Ok(()) };
    announce_ready(&running);
    let failure = loop {
        let asked = tokio::select! {
            asked = signals.next() => asked,
            error = running.failed() => break Some(error),
        };
        match asked {
            Asked::Stop => break linger(delay, &mut running, &mut signals, log.as_ref()).await,
            Asked::Drain => {
                drain(&running, &mut signals, log.as_ref()).await;
                break None;
            }
            Asked::Diagnostics => running.log_diagnostics(),
            Asked::ReopenLog => reopen(log.as_ref()),
        }
    };
    running.stop().await;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// Starts everything. `None` when a signal ended it before it was up: a host that waits to be let into
/// the cluster starts for as long as that takes.
async fn start(
    settings: Settings,
    host: Host,
    signals: &mut Signals,
) -> Result<Option<Running>, ProcessError> {
    let (log, early) = (host.log.clone(), Early::new(&host));
    let starting = process::start(settings, host);
    tokio::pin!(starting);
    loop {
        let asked = tokio::select! {
            running = &mut starting => return running.map(Some),
            asked = signals.next() => asked,
        };
        match asked {
            Asked::Stop | Asked::Drain => return Ok(None),
            Asked::Diagnostics => early.log_diagnostics(),
            Asked::ReopenLog => reopen(log.as_ref()),
        }
    }
}

/// What is known of a daemon that is not up yet.
struct Early {
    build: Build,
    started: Timestamp,
    clock: Arc<dyn Clock>,
}

impl Early {
    fn new(host: &Host) -> Self {
        Self { build: host.build, started: host.clock.now(), clock: Arc::clone(&host.clock) }
    }

    fn log_diagnostics(&self) {
        let health = HealthHandle::new(Arc::clone(&self.clock));
        health.expect("process");
        telemetry::diagnostics::log(Sources {
            build: self.build,
            started: self.started,
            now: self.clock.now(),
            metrics: &Metrics::of_process(self.build, health.clone(), self.started),
            health: &health,
            runtime: &tokio::runtime::Handle::current().metrics(),
        });
        tracing::info!(component = "diagnostics", "still starting; what it waits for is in the log above");
    }
}

/// Waits before it stops, so that whoever sends connections here learns of the end first. A second
/// signal to stop ends the wait, and so does a service that fails.
async fn linger(
    delay: Duration,
    running: &mut Running,
    signals: &mut Signals,
    log: Option<&LogHandle>,
) -> Option<ProcessError> {
    if delay.is_zero() {
        return None;
    }
    running.health.drains();
    tracing::info!(delay = %domain::duration::format(delay), "waiting before it stops, as shutdown_delay says");
    let over = tokio::time::sleep(delay);
    tokio::pin!(over);
    loop {
        let asked = tokio::select! {
            () = &mut over => return None,
            error = running.failed() => return Some(error),
            asked = signals.next() => asked,
        };
        if is_impatient(asked, running, log) {
            return None;
        }
    }
}

/// Drains until nobody is left or a second signal says not to wait.
async fn drain(running: &Running, signals: &mut Signals, log: Option<&LogHandle>) {
    let impatient = async { while !is_impatient(signals.next().await, running, log) {} };
    tokio::select! {
        () = running.drain() => {}
        () = impatient => {}
    }
}

/// Answers a signal that came while the end was waited for. Whether it says not to wait.
fn is_impatient(asked: Asked, running: &Running, log: Option<&LogHandle>) -> bool {
    match asked {
        Asked::Diagnostics => running.log_diagnostics(),
        Asked::ReopenLog => reopen(log),
        Asked::Stop | Asked::Drain => {
            tracing::info!("not waiting any longer");
            return true;
        }
    }
    false
}

fn reopen(log: Option<&LogHandle>) {
    let Some(reopened) = log.map(LogHandle::reopen) else { return };
    match reopened {
        Ok(is_file) => {
            let done = if is_file { "the log file was opened anew" } else { "the log goes to no file" };
            tracing::info!("SIGHUP: {done}; teleport.yaml is read when the daemon starts");
        }
        Err(error) => tracing::error!(%error, "the log file cannot be opened anew"),
    }
}

fn announce_ready(running: &Running) {
    let health = running.health.clone();
    let addresses = running.addresses.clone();
    tokio::spawn(async move {
        health.ready().await;
        // Starting needs more memory than running does, and other code.
        sys::process::free_heap();
        sys::process::free_code();
        for (service, address) in addresses.shown() {
            tracing::info!(%service, %address, "listening");
        }
        tracing::info!("ready");
    });
}
