//! `teleport start`: settings and the log, then the daemon's life until a signal or a failure ends it.

use std::path::PathBuf;
use std::time::Duration;

use config::{Environment, Flags, LogFormat, LogOutput, Settings};
use process::Host;
use process::signal::Signals;
use sys::process::PidFile;
use terminal::{Explain, Failure};

use super::version::BUILD;

mod life;
mod logging;

/// How long the last log lines may take to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Log everything to standard error.
    #[arg(short, long)]
    debug: bool,
    /// Which services to run, a comma-separated list [default: proxy,node,auth].
    #[arg(short, long)]
    roles: Option<String>,
    /// Join token, or the path of a file that holds it. Only the first start needs it.
    #[arg(long)]
    token: Option<String>,
    /// Auth server or proxy to join, HOST:PORT; may be given several times.
    #[arg(long, value_name = "HOST:PORT")]
    auth_server: Vec<String>,
    /// The name of this host in the cluster [default: its host name].
    #[arg(long, alias = "node-name", value_name = "NAME")]
    nodename: Option<String>,
    /// Configuration file [default: /etc/teleport.yaml, if it exists].
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Labels of this node: env=prod,uptime=[1m:"uptime -p"].
    #[arg(long)]
    labels: Option<String>,
    /// IP address every service listens on [default: 0.0.0.0].
    #[arg(short, long, value_name = "IP")]
    listen_ip: Option<String>,
    /// Address to announce, where others reach this host behind NAT.
    #[arg(long, value_name = "HOST")]
    advertise_ip: Option<String>,
    /// Write the process's number to this file.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Take any certificate of a proxy or auth server when joining.
    #[arg(long)]
    insecure: bool,
    /// Serve plain HTTP on the web port, where TLS ends in front of it.
    #[arg(long)]
    insecure_no_tls: bool,
    /// Read ~/.tsh/environment when a session starts.
    #[arg(long)]
    permit_user_env: bool,
    /// Pin of the cluster's authority, as `tctl status` prints it; may be given several times.
    #[arg(long, value_name = "sha256:HEX")]
    ca_pin: Vec<String>,
    /// Serve /healthz, /readyz and /metrics on this address.
    #[arg(long, value_name = "IP:PORT")]
    diag_addr: Option<String>,
    /// Where state is kept [default: /var/lib/teleport].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Load plugins from this folder.
    #[arg(long, value_name = "DIR")]
    plugin_dir: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let environment = Environment::from_process();
    let settings =
        config::load(&flags(arguments), &environment, &sys::process::hostname(), &config::read_file)?;
    net::install_crypto();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(workers(&settings, processors))
        .build()
        .while_doing("cannot start the runtime")?;
    runtime.block_on(serve(settings))
}

/// Threads that work. An agent leaves half of its host to those it is there for; and a thread that has
/// no other to wake spends less on each session.
fn workers(settings: &Settings, processors: usize) -> usize {
    let is_agent = settings.auth.is_none() && settings.proxy.is_none();
    if is_agent { (processors / 2).max(1) } else { processors }
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    // From here on a signal stops the daemon in order, also while it starts.
    let signals = Signals::take().while_doing("cannot take signals")?;
    let mut host = Host::machine(BUILD);
    let log = telemetry::log::start(&logging::settings(&settings.log), host.clock.clone())?;
    host.log = Some(log.clone());
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    if let Err(error) = sys::process::raise_nofile_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let pid_file = settings.pid_file.as_deref().map(PidFile::create).transpose()?;
    // On standard error, and meant to be read, the log would say what the program says last.
    let is_told = settings.log.output == LogOutput::Stderr && settings.log.format == LogFormat::Text;
    let outcome = life::live(settings, host, signals).await;
    drop(pid_file);
    if !is_told && let Err(failure) = &outcome {
        tracing::error!(reason = %failure.render().trim_end(), "stopped");
    }
    log.flush(LAST_LINES);
    outcome
}

fn flags(arguments: Arguments) -> Flags {
    Flags {
        debug: arguments.debug,
        insecure: arguments.insecure,
        insecure_no_tls: arguments.insecure_no_tls,
        roles: arguments.roles,
        pid_file: arguments.pid_file,
        advertise_ip: arguments.advertise_ip,
        listen_ip: arguments.listen_ip,
        auth_server: arguments.auth_server,
        token: arguments.token.map(Into::into),
        nodename: arguments.nodename,
        config: arguments.config,
        labels: arguments.labels,
        permit_user_env: arguments.permit_user_env,
        ca_pin: arguments.ca_pin,
        diag_addr: arguments.diag_addr,
        data_dir: arguments.data_dir,
        plugin_dir: arguments.plugin_dir,
    }
}
