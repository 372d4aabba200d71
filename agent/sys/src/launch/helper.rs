//! The helper as the daemon sees it: started when needed, ended when idle, replaced when it died.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::process::Stdio;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use super::Settings;
use crate::descriptor;
use crate::session::SpawnError;
use crate::socket;
use crate::wire::HELPER_NAME;

/// How long an ended helper may take to go.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// The one helper of a launcher, or none.
#[derive(Debug)]
pub(super) struct Helpers {
    settings: Arc<Settings>,
    running: Mutex<Option<Helper>>,
}

#[derive(Debug)]
struct Helper {
    socket: AsyncFd<OwnedFd>,
    child: Child,
    used: Instant,
}

impl Helpers {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self { settings, running: Mutex::new(None) }
    }

    pub(super) async fn warm(self: &Arc<Self>) -> Result<(), SpawnError> {
        let mut running = self.running.lock().await;
        match running.as_mut() {
            Some(helper) => helper.used = Instant::now(),
            None => *running = Some(self.start()?),
        }
        Ok(())
    }

    /// Sends a message to the helper. One that turns out dead is replaced, once.
    pub(super) async fn send(
        self: &Arc<Self>,
        message: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), SpawnError> {
        let mut running = self.running.lock().await;
        if let Some(helper) = running.as_mut()
            && helper.send(message, descriptors).await.is_ok()
        {
            return Ok(());
        }
        // What it was sent it has not taken: messages arrive whole or not at all.
        let mut helper = self.start()?;
        let sent = helper.send(message, descriptors).await;
        *running = Some(helper);
        sent.map_err(SpawnError::HelperGone)
    }

    fn start(self: &Arc<Self>) -> Result<Helper, SpawnError> {
        let helper = Helper::start(&self.settings)
            .map_err(|source| SpawnError::Helper { program: self.settings.program.clone(), source })?;
        tokio::spawn(end_when_idle(Arc::downgrade(self), self.settings.idle));
        Ok(helper)
    }
}

impl Helper {
    fn start(settings: &Settings) -> io::Result<Self> {
        let (ours, theirs) = socket::pair()?;
        let child = Command::new(&settings.program)
            .arg0(HELPER_NAME)
            .env_clear()
            .envs(settings.inherited.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok(Self { socket: descriptor::watch(ours, Interest::WRITABLE)?, child, used: Instant::now() })
    }

    async fn send(&mut self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.used = Instant::now();
        self.socket.async_io(Interest::WRITABLE, |socket| socket::send(socket, message, descriptors)).await
    }

    /// Lets it end by itself, which it does when its socket closes.
    async fn end(self) {
        let Self { socket, mut child, .. } = self;
        drop(socket);
        if timeout(END_TIMEOUT, child.wait()).await.is_err() {
            // Killing fails only for one that has ended.
            _ = child.kill().await;
        }
    }
}

/// Ends the helper once nobody has used it for so long. Each helper is started with one such watch,
/// which ends with it; a watch that outlives its helper looks after the next one just as well.
async fn end_when_idle(helpers: Weak<Helpers>, idle: Duration) {
    let mut deadline = Instant::now() + idle;
    loop {
        sleep_until(deadline).await;
        let Some(helpers) = helpers.upgrade() else { return };
        let mut running = helpers.running.lock().await;
        match running.as_ref() {
            None => return,
            Some(helper) if helper.used + idle > Instant::now() => deadline = helper.used + idle,
            Some(_) => {
                if let Some(helper) = running.take() {
                    drop(running);
                    helper.end().await;
                }
                return;
            }
        }
    }
}
