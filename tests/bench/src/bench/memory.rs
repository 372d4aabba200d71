//! Resident memory: an idle agent, and each further idle session.

use std::time::Duration;

use teleport_tests_cluster::Client;
use terminal::Failure;

use crate::measure::{Scale, proportional_kib, resident_kib};
use crate::table::{Report, below};
use crate::world::{LOGIN, NODE, World};

pub(crate) async fn run(world: &World, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    // Long enough for what an idle agent does now and then: a start lets go of code that comes back when it is used.
    tokio::time::sleep(Duration::from_secs(scale.rounds(40) as u64)).await;
    let agent = resident_kib(world.node.pid());
    report.add(below(
        "agent: node role, tunnel up, idle, resident",
        agent / 1024.0,
        25.0,
        "MiB",
        "Teleport's test allowed 350 MiB".to_owned(),
    ));
    report.show("proxy, idle, resident", format!("{:.1} MiB", resident_kib(world.proxy.pid()) / 1024.0), "");
    let sessions = scale.rounds(40);
    let (client, _) = Client::connect(world.ssh_port, &world.credentials, LOGIN).await?;
    let mut open = Vec::new();
    // The first sessions warm buffers up that later ones share.
    for _ in 0..4 {
        open.push(idle_session(&client).await?);
    }
    let before = (resident_kib(world.node.pid()), helpers_kib(world.node.pid()));
    for _ in 0..sessions {
        open.push(idle_session(&client).await?);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = (resident_kib(world.node.pid()), helpers_kib(world.node.pid()));
    #[allow(clippy::cast_precision_loss, reason = "a few dozen")]
    let each = (after.0 - before.0 + after.1 - before.1) / sessions as f64;
    report.add(below(
        "each further idle session, of ours beyond the shell",
        each,
        1024.0,
        "KiB",
        "Teleport 62.5 MiB".to_owned(),
    ));
    Ok(())
}

async fn idle_session(
    client: &Client,
) -> Result<(teleport_tests_cluster::NodeSession, russh::Channel<russh::client::Msg>), Failure> {
    let (node, _) = client.node(NODE, LOGIN).await?;
    let mut channel = node.handle.channel_open_session().await?;
    channel.request_pty(false, "xterm", 80, 25, 0, 0, &[]).await?;
    channel.request_shell(true).await?;
    // The first output is the prompt: the shell is there.
    while let Some(message) = channel.wait().await {
        if matches!(message, russh::ChannelMsg::Data { .. }) {
            break;
        }
    }
    Ok((node, channel))
}

/// What processes of ours besides the daemon hold: children that still run our program.
fn helpers_kib(daemon: u32) -> f64 {
    let program = std::fs::read_link(format!("/proc/{daemon}/exe")).ok();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != daemon && child_of(*pid, daemon))
        .filter(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok() == program)
        .map(proportional_kib)
        .sum()
}

fn child_of(pid: u32, parent: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .any(|line| line.strip_prefix("PPid:").is_some_and(|ppid| ppid.trim() == parent.to_string()))
}
