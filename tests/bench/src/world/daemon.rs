//! A `teleport` of the release build, in a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use terminal::{Explain, Failure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

/// How long it may take to be ready.
const READY: Duration = Duration::from_secs(60);

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) diagnostics: SocketAddr,
    /// From starting the process until `/readyz` said so.
    pub(crate) ready_after: Duration,
}

impl Daemon {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its metrics, as they are scraped.
    pub(crate) async fn metrics(&self) -> std::io::Result<String> {
        get(self.diagnostics, "/metrics").await
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, built beside this one.
fn daemon_program() -> Result<PathBuf, Failure> {
    let path = std::env::current_exe()?.with_file_name("teleport");
    if path.exists() {
        Ok(path)
    } else {
        Err(Failure::new("the teleport program is not built").hint("run: cargo xtask bench"))
    }
}

/// Starts a daemon with this configuration and waits until it is ready.
pub(crate) async fn start_daemon(folder: &Path, name: &str, yaml: &str) -> Result<Daemon, Failure> {
    let config = folder.join(format!("{name}.yaml"));
    std::fs::write(&config, yaml)?;
    let [diagnostics] = super::free_ports()?;
    let log = std::fs::File::create(folder.join(format!("{name}.log")))?;
    let started = Instant::now();
    let child = Command::new(daemon_program()?)
        .arg("start")
        .arg("-c")
        .arg(&config)
        .args(["--diag-addr", &diagnostics.to_string()])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .while_doing("cannot start teleport")?;
    let mut daemon = Daemon { child, diagnostics, ready_after: Duration::ZERO };
    while started.elapsed() < READY {
        if is_ready(diagnostics).await {
            daemon.ready_after = started.elapsed();
            return Ok(daemon);
        }
        if let Some(status) = daemon.child.try_wait()? {
            let log = std::fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
            return Err(Failure::new(format!("{name} stopped with {status}: {log}")));
        }
        sleep(Duration::from_millis(2)).await;
    }
    Err(Failure::new(format!("{name} was not ready within {} s", READY.as_secs())))
}

async fn is_ready(address: SocketAddr) -> bool {
    get(address, "/readyz").await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The whole answer of a daemon's diagnostics.
async fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
