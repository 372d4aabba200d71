//! Waiting for what happens by itself.

use std::time::Duration;

/// Longer than anything these tests wait for takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until something holds.
///
/// # Panics
/// When it does not within a minute and a half.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, looking).await.is_ok(), "it never happened: {what}");
}
