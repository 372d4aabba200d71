//! Who answers the administrator of this host: one daemon, where two have one data folder.
//!
//! The later one takes the place of the earlier, but not before it has started: it may be on its way out again, and the
//! earlier one the reason for that. Whoever was there first has the place back when the other has gone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use plugin_host::PluginHost;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use super::control::{Answering, Control};
use crate::supervise::Group;

/// How long another daemon's socket may take to be connected to.
const ANSWERED_MAX: Duration = Duration::from_secs(1);

/// How often it is looked whether the other one has gone.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long to wait before the socket is tried again that could not be opened.
const REST: Duration = Duration::from_secs(5);

/// Where the administrator of this host is answered, and by whom.
pub(crate) struct Desk {
    pub(crate) host: Arc<PluginHost>,
    pub(crate) data_dir: PathBuf,
    pub(crate) started: Timestamp,
}

impl Desk {
    /// Answers from now on, or once nobody else does or this daemon `has_started`. Where that cannot be, plugins run
    /// all the same.
    pub(crate) async fn open(
        self,
        has_started: CancellationToken,
        stop: &CancellationToken,
        group: &mut Group,
    ) {
        // Where it cannot be opened, that is told when it is tried again.
        let first = if self.is_answered().await { None } else { self.open_here().ok() };
        let stop = stop.clone();
        group.spawn("plugin control", async move {
            let _ = stop.run_until_cancelled(self.serve(first, has_started, &stop)).await;
        });
    }

    /// Answers whenever it can, until told to stop.
    async fn serve(&self, first: Option<Control>, has_started: CancellationToken, stop: &CancellationToken) {
        let answering = Arc::new(Answering::new(Arc::clone(&self.host), self.started));
        let (mut next, mut matters_no_more) = (first, has_started);
        while !stop.is_cancelled() {
            let control = match next.take() {
                Some(control) => control,
                None => self.take_over(&matters_no_more).await,
            };
            control.serve(Arc::clone(&answering), stop).await;
            // Whoever came later is not pushed aside in turn.
            matters_no_more = CancellationToken::new();
        }
    }

    /// The socket, once no other daemon answers or that matters no more.
    async fn take_over(&self, matters_no_more: &CancellationToken) -> Control {
        let mut is_told = false;
        loop {
            self.freed(matters_no_more).await;
            let (is_another, folder) = (self.is_answered().await, self.data_dir.display());
            let error = match self.open_again() {
                Ok(control) => {
                    if is_another {
                        tracing::warn!(%folder, "another teleport works in this data folder too; `tctl plugins` asks this one from now on");
                    }
                    // Before it answers: what it says then is what the other one was told.
                    self.host.switch_as_written("another teleport in this data folder").await;
                    return control;
                }
                Err(error) => error,
            };
            if !std::mem::replace(&mut is_told, true) {
                tracing::warn!(%error, %folder, "`tctl plugins` cannot ask this daemon: its socket cannot be opened; that is tried again");
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// A data folder that somebody has removed is not made anew.
    fn open_again(&self) -> std::io::Result<Control> {
        std::fs::metadata(&self.data_dir)?;
        self.open_here()
    }

    fn open_here(&self) -> std::io::Result<Control> {
        Control::open(&self.data_dir, self.started)
    }

    /// Waits until no other daemon answers, or until that does not matter any more.
    async fn freed(&self, matters_no_more: &CancellationToken) {
        while !matters_no_more.is_cancelled() && self.is_answered().await {
            let _ = tokio::time::timeout(LOOK_AGAIN, matters_no_more.cancelled()).await;
        }
    }

    /// Whether a daemon answers from this data folder. It is asked nothing.
    async fn is_answered(&self) -> bool {
        let connecting = UnixStream::connect(self.data_dir.join(api::control::SOCKET));
        tokio::time::timeout(ANSWERED_MAX, connecting).await.is_ok_and(|connected| connected.is_ok())
    }
}

#[cfg(test)]
mod tests;
