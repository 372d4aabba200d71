//! Small frames beside a bulk stream in the same tunnel: how long a key press takes to come back
//! while someone else copies a file.

use teleport_tests_cluster::Client;
use terminal::Failure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::measure::{Scale, millis, quantile};
use crate::table::{Report, below};
use crate::world::{LOGIN, NODE, World};

pub(crate) async fn run(world: &World, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let quiet = echoes(world, scale).await?;
    let (bulk_client, _) = Client::connect(world.ssh_port, &world.credentials, LOGIN).await?;
    let (bulk, _) = bulk_client.node(NODE, LOGIN).await?;
    let channel = bulk.handle.channel_open_session().await?;
    channel.exec(false, "cat /dev/zero").await?;
    let draining = tokio::spawn(async move {
        let mut stream = channel.into_stream();
        let (mut buffer, mut total) = (vec![0; 256 * 1024], 0u64);
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            total += count as u64;
        }
        total
    });
    let busy = echoes(world, scale).await;
    draining.abort();
    drop((bulk, bulk_client));
    let (mut quiet, mut busy) = (quiet, busy?);
    let peer = format!("without the stream {:.2} ms", quantile(&mut quiet, 0.99));
    report.show(
        "echo of one byte, p50",
        format!("{:.2} ms", quantile(&mut busy, 0.5)),
        format!("without the stream {:.2} ms", quantile(&mut quiet, 0.5)),
    );
    report.add(below(
        "echo of one byte beside a bulk stream, p99",
        quantile(&mut busy, 0.99),
        40.0,
        "ms",
        peer,
    ));
    Ok(())
}

async fn echoes(world: &World, scale: Scale) -> Result<Vec<f64>, Failure> {
    let (client, _) = Client::connect(world.ssh_port, &world.credentials, LOGIN).await?;
    let (node, _) = client.node(NODE, LOGIN).await?;
    let channel = node.handle.channel_open_session().await?;
    channel.exec(false, "cat").await?;
    let mut stream = channel.into_stream();
    let mut times = Vec::new();
    for _ in 0..scale.rounds(800) {
        let started = Instant::now();
        stream.write_all(b"x").await?;
        stream.read_u8().await?;
        times.push(millis(started.elapsed()));
    }
    Ok(times)
}
