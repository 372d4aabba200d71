//! The tasks of a process, by name, and the order in which they stop.
//!
//! A service that ends by itself ends the process: half a daemon that looks alive is worse than one
//! that its supervisor restarts.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::ProcessError;

/// How long each group of tasks may take to stop.
const STOP: Duration = Duration::from_secs(6);

/// What is told to stop, first to last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens {
    /// No new connections, and off the list of nodes.
    pub(crate) accept: CancellationToken,
    /// Connections and links that are open.
    pub(crate) connections: CancellationToken,
    /// Delivery of audit events, views, renewal of certificates.
    pub(crate) agents: CancellationToken,
    /// The auth service.
    pub(crate) auth: CancellationToken,
    /// Whoever writes down what the plugin host tells.
    pub(crate) plugins: CancellationToken,
    /// The audit log, last of all.
    pub(crate) audit: CancellationToken,
}

/// One group of tasks that stop together.
#[derive(Default)]
pub(crate) struct Group(JoinSet<(&'static str, Result<(), String>)>);

impl Group {
    /// Runs a task that is to end only when told.
    pub(crate) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(async move {
            task.await;
            (name, Ok(()))
        });
    }

    /// The same for a task that may fail.
    pub(crate) fn spawn_fallible<E: std::error::Error>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.0.spawn(async move { (name, task.await.map_err(|error| ssh::refuse::chain(&error))) });
    }

    /// The first task to end; waits for ever when there are none.
    pub(crate) async fn ended(&mut self) -> ProcessError {
        loop {
            let (service, reason) = match self.0.join_next().await {
                Some(Ok((service, Ok(())))) => (service, "it ended without being told to".to_owned()),
                Some(Ok((service, Err(reason)))) => (service, reason),
                Some(Err(error)) if error.is_cancelled() => continue,
                Some(Err(error)) => ("unknown", error.to_string()),
                None => return std::future::pending().await,
            };
            return ProcessError::Stopped { service, reason };
        }
    }

    /// Waits for all tasks, for a while, then gives the rest up.
    pub(crate) async fn stop(&mut self) {
        let all = async { while self.0.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP, all).await.is_err() {
            tracing::warn!(left = self.0.len(), "some tasks did not stop in time");
            self.0.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_by_itself_is_named() {
        let mut group = Group::default();
        group.spawn("node", async {});
        let error = group.ended().await.to_string();
        assert!(error.contains("node"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_stop_is_given_up() {
        let mut group = Group::default();
        group.spawn("stuck", std::future::pending());
        group.stop().await;
        assert!(group.0.is_empty());
    }
}
