//! One command over a fresh connection: wall time, and processor time of the servers.

use std::process::{Command, Stdio};

use terminal::{Explain, Failure};

use crate::measure::spawner::Spawner;
use crate::measure::{Scale, cpu_of_tree, median, median_ratio, millis, quantile, timed};
use crate::table::{Report, at_most};
use crate::world::{Daemon, World};

/// Sessions per block when processor time is read: its clock ticks only every 10 ms.
const BLOCK: usize = 40;
/// The goal for servers that do not start a process of their own for each connection.
const EIGHTH: f64 = 0.125;

pub(crate) fn run(world: &World, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let (mut ours, mut peer, mut direct) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds(40) {
        ours.push(exec_true(world.ours())?);
        peer.push(exec_true(world.peer())?);
        direct.push(exec_true(world.direct())?);
    }
    let (ratio, direct_ratio) = (median_ratio(&ours, &peer), median_ratio(&ours, &direct));
    let shown = (format!("{:.1} ms", median(&mut ours)), format!("{:.1} ms", median(&mut peer)));
    report.add(at_most("exec true, p50: stock ssh through proxy and tunnel / ssh -J", shown, ratio, 0.45));
    let shown = (format!("{:.1} ms", median(&mut ours)), format!("{:.1} ms", median(&mut direct)));
    report.add(at_most("  the same / ssh straight to sshd", shown, direct_ratio, 0.65));
    report.show(
        "  p95",
        format!("{:.1} ms", quantile(&mut ours, 0.95)),
        format!("{:.1} ms", quantile(&mut peer, 0.95)),
    );
    cpu(world, scale, report)
}

fn cpu(world: &World, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let rounds = scale.rounds(BLOCK * 4);
    let mut spawner = Spawner::start()?;
    let ours = [&world.node, &world.proxy, &world.auth].map(Daemon::pid);
    let [node, proxy, auth] = ours;
    let pids = [node, proxy, auth, world.target.pid(), world.bastion.pid(), spawner.pid()];
    let before = pids.map(cpu_of_tree);
    for _ in 0..rounds {
        exec_true(world.ours())?;
        exec_true(world.peer())?;
        spawner.spawn()?;
    }
    let after = pids.map(cpu_of_tree);
    #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
    let each = |at: usize| {
        let spent = after.get(at).zip(before.get(at)).map(|(after, before)| after.since(*before));
        spent.unwrap_or(f64::NAN) * 1000.0 / rounds as f64
    };
    let [node, proxy, auth, target, bastion, shell] = [0, 1, 2, 3, 4, 5].map(each);
    let shown = |ours: f64, peer: f64| (format!("{ours:.2} ms"), format!("{peer:.2} ms"));
    let (whole_node, whole_target) = shown(node, target);
    report.show(
        "processor time per session, node and sshd, with the shell they start",
        whole_node,
        whole_target,
    );
    report.show("  of that, the start of the shell (sh -c true, as cold)", format!("{shell:.2} ms"), "");
    let (node, target) = (node - shell, target - shell);
    report.add(at_most(
        "processor time per session, node / sshd, without it",
        shown(node, target),
        node / target,
        EIGHTH,
    ));
    report.add(at_most(
        "processor time per session, proxy / bastion sshd",
        shown(proxy, bastion),
        proxy / bastion,
        EIGHTH,
    ));
    report.show("  auth, with one durable batch of audit events", format!("{auth:.2} ms"), "");
    Ok(())
}

/// Milliseconds of one `true`; an error when it did not succeed.
pub(crate) fn exec_true(mut ssh: Command) -> Result<f64, Failure> {
    ssh.arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (status, took) = timed(|| ssh.status());
    let status = status.while_doing("cannot run ssh")?;
    if status.success() { Ok(millis(took)) } else { Err(Failure::new(format!("ssh ended with {status}"))) }
}
