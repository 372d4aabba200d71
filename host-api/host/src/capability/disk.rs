//! Where a plugin's call waits for a disk: beside the threads calls run on, so that a disk that hangs
//! holds up a call until its deadline and no other plugin at all.
//!
//! One thread at a time for each `Disk`: calls that come to their deadline one after the other do not
//! leave a thread each behind. Used by the capabilities that read an operator's files.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::task::{JoinError, spawn_blocking};

/// The turn of one plugin. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<()>>);

impl Disk {
    /// What `work` comes to. A caller that gives up leaves it to end by itself, and the turn with it.
    ///
    /// # Errors
    /// [`JoinError`] when the work panicked, or the plugins' threads have ended.
    pub(crate) async fn wait_for<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let turn = Arc::clone(&self.0).lock_owned().await;
        spawn_blocking(move || {
            let _turn = turn;
            work()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn who_gives_up_leaves_one_thread_and_the_next_waits_for_it() {
        let disk = Disk::default();
        let (end, hangs) = mpsc::channel::<()>();
        let hung = disk.wait_for(move || hangs.recv().is_ok());
        assert!(timeout(Duration::from_millis(50), hung).await.is_err(), "the disk hangs");
        let next = disk.wait_for(|| 2);
        assert!(timeout(Duration::from_millis(50), next).await.is_err(), "it has its turn no sooner");
        end.send(()).unwrap();
        assert_eq!(disk.wait_for(|| 3).await.unwrap(), 3);
    }
}
