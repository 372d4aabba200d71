//! Where a plugin's call waits for a disk: beside the thread calls run on, so that a disk that hangs
//! holds up a call until its deadline and no other plugin.
//!
//! What is found hung is waited for by few threads: one for each [`Disk`], and so many in all. Whether a file is
//! another than before is asked in place only where the file is on a disk of this machine ([`Nearness`]). Used by the
//! capabilities that read and write files.

use std::sync::Arc;

use tokio::sync::{Mutex, Semaphore};
use tokio::task::{JoinError, spawn_blocking};

mod near;

pub(crate) use near::Nearness;

/// Waits of all plugins at one time, those of plugins that have been replaced meanwhile among them: each has a
/// thread of the plugins', and names are looked up on those too.
const WAITS: usize = 8;
/// For disks of this machine.
static NEAR: Semaphore = Semaphore::const_new(WAITS);
/// For those that may be anywhere: a server that is gone is not to keep plugins from this machine's own.
static FAR: Semaphore = Semaphore::const_new(WAITS);

/// What `work` with files that are near or may be anywhere comes to, on a thread of its own. A caller that gives up
/// leaves it to end by itself.
///
/// # Errors
/// [`JoinError`] when the work panicked, or the plugins' threads have ended.
pub(crate) async fn beside<T: Send + 'static>(
    is_near: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let turns = if is_near { &NEAR } else { &FAR };
    // Never closed.
    let turn = turns.acquire().await.ok();
    spawn_blocking(move || {
        let _turn = turn;
        work()
    })
    .await
}

/// Whose waits are one after the other: one plugin's, for one purpose, with files that may be anywhere.
#[derive(Default)]
pub(crate) struct Disk(Arc<Mutex<()>>);

impl Disk {
    /// Whether somebody waits for it now.
    pub(crate) fn is_waiting(&self) -> bool {
        self.0.try_lock().is_err()
    }

    /// The same, one after the other.
    ///
    /// # Errors
    /// As for [`beside`].
    pub(crate) async fn wait_for<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let turn = Arc::clone(&self.0).lock_owned().await;
        beside(false, move || {
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

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn who_gives_up_leaves_one_thread_and_the_next_waits_for_it() {
        let disk = Disk::default();
        let (end, hangs) = mpsc::channel::<()>();
        let hung = disk.wait_for(move || hangs.recv().is_ok());
        assert!(timeout(SHORT, hung).await.is_err(), "the disk hangs");
        let next = disk.wait_for(|| 2);
        assert!(timeout(SHORT, next).await.is_err(), "it has its turn no sooner");
        end.send(()).unwrap();
        assert_eq!(disk.wait_for(|| 3).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn all_disks_together_have_so_many_threads() {
        let (mut ends, disks) = (Vec::new(), [(); 9].map(|()| Disk::default()));
        let (runs, ran) = mpsc::channel();
        for disk in &disks {
            let ((end, hangs), runs) = (mpsc::channel::<()>(), runs.clone());
            ends.push(end);
            let hung = disk.wait_for(move || (runs.send(()), hangs.recv()));
            assert!(timeout(SHORT, hung).await.is_err(), "it hangs or has no turn");
        }
        assert_eq!(ran.try_iter().count(), WAITS);
        let near = timeout(SHORT * 20, beside(true, || 1));
        assert_eq!(near.await.unwrap().unwrap(), 1, "those of this machine have their own");
        drop(ends);
        let answers = disks[8].wait_for(|| ()).await;
        assert!(answers.is_ok());
    }
}
