//! Stopping, at once or when nobody is left.

use std::time::Duration;

use super::{DRAIN_MAX, Running};

/// How long plugins may take to come to their end: what they tell until then is to be written down, and
/// whoever stops the daemon does not wait for ever.
const PLUGINS_MAX: Duration = Duration::from_secs(6);

/// How long sessions that are cut may take to end and be written down: a little longer than a file transfer waits for
/// its last reports.
const SESSIONS_MAX: Duration = Duration::from_secs(12);

/// How often a drain looks whether anybody is left.
const LOOK: Duration = Duration::from_millis(250);

/// The same where whoever is left was told to go.
const LOOK_CLOSELY: Duration = Duration::from_millis(10);

impl Running {
    /// Stops everything, in order.
    pub async fn stop(mut self) {
        tracing::info!("stopping");
        self.tokens.accept.cancel();
        self.tokens.connections.cancel();
        self.services.stop().await;
        // While what is written down of them is still delivered.
        self.sessions_ended().await;
        if self.store.is_none() {
            // Nothing but labels needs them, and what they tell is delivered by the agents.
            self.stop_plugins().await;
        }
        self.tokens.agents.cancel();
        self.agents.stop().await;
        self.tokens.auth.cancel();
        self.auth_services.stop().await;
        if let Some(store) = self.store.take() {
            store.close().await;
            self.stop_plugins().await;
        }
        self.tokens.audit.cancel();
        self.logs.stop().await;
        tracing::info!("stopped");
    }

    /// What a session did until it was cut is to be on record.
    async fn sessions_ended(&self) {
        let Some(node) = &self.node else { return };
        if !none_left(|| node.open(), LOOK_CLOSELY, SESSIONS_MAX).await {
            tracing::warn!(
                left = node.open(),
                "sessions do not end; stopping goes on, and their end is on record after the next start only"
            );
        }
    }

    /// A label's program must not outlive the daemon, nor an event of a plugin be lost.
    async fn stop_plugins(&mut self) {
        if let Some(plugins) = self.plugins.take()
            && tokio::time::timeout(PLUGINS_MAX, plugins.stop()).await.is_err()
        {
            tracing::warn!("plugins do not end: one waits for a file or a disk; stopping goes on without");
        }
        self.tokens.plugins.cancel();
        self.chronicle.stop().await;
    }

    /// Takes no more connections and waits until the last connection has ended, at most thirty hours.
    /// [`Running::stop`] is still to be called. Cancelling gives up waiting.
    pub async fn drain(&self) {
        // Whoever asks is told to go elsewhere.
        self.health.drains();
        self.tokens.accept.cancel();
        tracing::info!(left = self.busy(), "draining: no new connections, waiting for the open ones");
        if !none_left(|| self.busy(), LOOK, DRAIN_MAX).await {
            tracing::warn!(left = self.busy(), "giving up waiting");
        }
    }

    fn busy(&self) -> i64 {
        let node = self.node.as_ref().map_or(0, |node| node.open());
        let connections = self.proxy.as_ref().map_or(0, |proxy| proxy.service.connections());
        node + connections
    }
}

/// Looks again and again until nobody is left; whether that came in time.
async fn none_left(left: impl Fn() -> i64, look: Duration, most: Duration) -> bool {
    let emptied = async {
        while left() > 0 {
            tokio::time::sleep(look).await;
        }
    };
    tokio::time::timeout(most, emptied).await.is_ok()
}
