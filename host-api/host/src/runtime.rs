//! The thread plugins run on. It is not the daemon's: a plugin that is busy holds up other plugins
//! for a few milliseconds at most, and sessions not at all.
//!
//! Some of the work blocks for a moment, with files or keys, and another thread takes over the rest
//! meanwhile. Work that comes back from that to a runtime whose clock has been taken down panics at the
//! next thing it waits for, so the runtime goes down only after all of its tasks have been dropped.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// How long tasks may take to come to a place where they can be dropped. Plugins are interrupted every few
/// milliseconds; a file on a disk that hangs is not waited for.
const END_MAX: Duration = Duration::from_secs(10);

/// A runtime of one thread.
pub(crate) struct PluginRuntime(Option<Parts>);

struct Parts {
    runtime: Runtime,
    /// Ends every task when it is dropped.
    open: watch::Sender<()>,
    /// The tasks that are there.
    there: TaskTracker,
}

impl PluginRuntime {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the machine gives none.
    pub(crate) fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            // Names are looked up on them, and a name server that does not answer holds one for a while: no
            // more than half of them. They are started when they are needed.
            .max_blocking_threads(32)
            .thread_keep_alive(Duration::from_secs(2))
            .thread_name("plugins")
            .enable_all()
            .build()?;
        Ok(Self(Some(Parts { runtime, open: watch::Sender::new(()), there: TaskTracker::new() })))
    }

    /// Runs a task there until it ends or the thread does.
    pub(crate) fn keep(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(parts) = &self.0 {
            // Nobody waits for it.
            drop(parts.spawn(task));
        }
    }

    /// Runs a task there; it is stopped when the result is dropped.
    pub(crate) fn run<F>(&self, task: F) -> Option<Task<F::Output>>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.0.as_ref().map(|parts| Task(parts.spawn(task)))
    }
}

impl Parts {
    /// Runs a task, or drops it when this is dropped.
    fn spawn<F>(&self, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let (mut open, there) = (self.open.subscribe(), self.there.token());
        self.runtime.spawn(async move {
            let _there = there;
            // Nothing is ever sent: an error is the end.
            open.has_changed().ok()?;
            tokio::select! {
                // First: most tasks are done at once, and to wait costs as much as a short one.
                biased;
                result = task => Some(result),
                _ = open.changed() => None,
            }
        })
    }

    /// Takes the runtime down once its tasks are gone, without waiting for that here: the owner may live on
    /// another runtime, where waiting is not allowed.
    fn end(self) {
        let Self { runtime, open, there } = self;
        drop(open);
        there.close();
        let handle = runtime.handle().clone();
        handle.spawn(async move {
            // Too long is no reason to keep the thread.
            let _ = tokio::time::timeout(END_MAX, there.wait()).await;
            runtime.shutdown_background();
        });
    }
}

impl Drop for PluginRuntime {
    fn drop(&mut self) {
        if let Some(parts) = self.0.take() {
            parts.end();
        }
    }
}

/// A task of which nobody else holds the handle.
pub(crate) struct Task<T>(JoinHandle<Option<T>>);

impl<T> Task<T> {
    /// Its result; nothing when it panicked or the runtime went down.
    pub(crate) async fn result(mut self) -> Option<T> {
        (&mut self.0).await.ok().flatten()
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use tokio::task::block_in_place;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Tells, when it is dropped, whether that is because of a panic.
    struct Witness(Sender<bool>);

    impl Drop for Witness {
        fn drop(&mut self) {
            let _ = self.0.send(std::thread::panicking());
        }
    }

    /// Blocks until it is let go on, and then needs the clock.
    async fn blocking(blocks: Sender<()>, go_on: Receiver<()>, witness: Witness) {
        let _witness = witness;
        block_in_place(|| {
            blocks.send(()).unwrap();
            go_on.recv_timeout(PATIENCE).unwrap();
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
        std::future::pending::<()>().await;
    }

    #[test]
    fn what_blocks_when_the_thread_goes_down_is_dropped_and_does_not_panic() {
        for is_kept in [true, false] {
            let (runtime, (blocks, blocking_now)) = (PluginRuntime::start().unwrap(), channel());
            let ((go, go_on), (told, ended)) = (channel(), channel());
            let task = blocking(blocks, go_on, Witness(told));
            let handle = if is_kept {
                runtime.keep(task);
                None
            } else {
                runtime.run(task)
            };
            blocking_now.recv_timeout(PATIENCE).unwrap();
            let (told, others_ended) = channel();
            let witness = Witness(told);
            runtime.keep(async move {
                let _witness = witness;
                std::future::pending::<()>().await;
            });
            drop(runtime);
            // One that does not block is gone at once; nobody waits for the other one.
            assert!(!others_ended.recv_timeout(PATIENCE).unwrap());
            assert!(ended.try_recv().is_err());
            go.send(()).unwrap();
            assert!(!ended.recv_timeout(PATIENCE).unwrap(), "it panicked");
            drop(handle);
        }
    }

    #[tokio::test]
    async fn whoever_waits_for_a_task_hears_that_the_thread_went_down() {
        let runtime = PluginRuntime::start().unwrap();
        let task = runtime.run(std::future::pending::<()>()).unwrap();
        drop(runtime);
        assert_eq!(task.result().await, None);
    }
}
