//! The thread plugins run on. It is not the daemon's: a plugin that is busy holds up other plugins
//! for a few milliseconds at most, and sessions not at all.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// A runtime of one thread.
pub(crate) struct PluginRuntime(Option<Runtime>);

impl PluginRuntime {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the machine gives none.
    pub(crate) fn start() -> std::io::Result<Self> {
        Builder::new_multi_thread()
            .worker_threads(1)
            // Names are looked up on them, and a name server that does not answer holds one for a while: two
            // of each plugin's at most. They are started when they are needed.
            .max_blocking_threads(32)
            .thread_keep_alive(Duration::from_secs(2))
            .thread_name("plugins")
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
    }

    /// Runs a task there until it ends or the thread does.
    pub(crate) fn keep(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            // Nobody waits for it.
            drop(runtime.spawn(task));
        }
    }

    /// Runs a task there; it is stopped when the result is dropped.
    pub(crate) fn run<F>(&self, task: F) -> Option<Task<F::Output>>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.0.as_ref().map(|runtime| Task(runtime.spawn(task)))
    }
}

impl Drop for PluginRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // The owner may live on another runtime, where waiting for this one is not allowed.
            runtime.shutdown_background();
        }
    }
}

/// A task of which nobody else holds the handle.
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T> Task<T> {
    /// Its result; nothing when it panicked or the runtime went down.
    pub(crate) async fn result(mut self) -> Option<T> {
        (&mut self.0).await.ok()
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
