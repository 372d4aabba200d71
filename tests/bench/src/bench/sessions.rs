//! Sessions per second with a client that costs little: a fresh connection to proxy and node each, a
//! command, its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use teleport_tests_cluster::Client;
use terminal::Failure;
use tokio::time::Instant;

use crate::measure::Scale;
use crate::table::Report;
use crate::world::{LOGIN, NODE, World};

const CLIENTS: usize = 8;

pub(crate) async fn run(world: &World, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let total = scale.rounds(800);
    let (left, failed) = (Arc::new(AtomicUsize::new(total)), Arc::new(AtomicUsize::new(0)));
    let started = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (left, failed) = (Arc::clone(&left), Arc::clone(&failed));
        let (proxy, credentials) = (world.ssh_port, world.credentials.clone());
        clients.spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            {
                let session = async {
                    let (client, _) = Client::connect(proxy, &credentials, LOGIN).await?;
                    let (node, _) = client.node(NODE, LOGIN).await?;
                    node.exec("true").await
                };
                if !session.await.is_ok_and(|answer| answer.status == Some(0)) {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    while clients.join_next().await.is_some() {}
    #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
    let rate = total as f64 / started.elapsed().as_secs_f64();
    let failed = failed.load(Ordering::Relaxed);
    report.show(
        "sessions with an in-process client, 8 at once",
        format!("{rate:.0}/s, {failed} of {total} failed"),
        "the ceiling above",
    );
    Ok(())
}
