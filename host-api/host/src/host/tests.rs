//! What can be seen from within only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::oneshot;

use super::PluginHost;
use crate::settings::Settings;

/// Takes a while to go.
struct Slow(Arc<AtomicBool>);

impl Drop for Slow {
    fn drop(&mut self) {
        let (_silent, nothing) = std::sync::mpsc::channel::<()>();
        let _ = nothing.recv_timeout(Duration::from_millis(200));
        self.0.store(true, SeqCst);
    }
}

#[tokio::test]
async fn stopping_waits_for_what_storage_has_under_way() {
    let root = tempfile::tempdir().unwrap();
    let host = PluginHost::new(Settings::new(root.path())).unwrap();
    let (gone, (begun, begins)) = (Arc::new(AtomicBool::new(false)), oneshot::channel());
    let (asking, slow) = (Arc::clone(&host), Slow(Arc::clone(&gone)));
    let asked = tokio::spawn(async move {
        let work = move |_| async move {
            let _slow = slow;
            begun.send(()).unwrap();
            std::future::pending::<()>().await;
        };
        asking.on_thread(work).await
    });
    begins.await.unwrap();
    host.stop().await;
    assert!(gone.load(SeqCst), "nothing of it is left");
    assert_eq!(asked.await.unwrap(), None);
    assert_eq!(host.on_thread(|_| async {}).await, None, "nor is anything begun");
}
