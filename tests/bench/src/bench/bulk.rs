//! Many bytes through one session, each way. Counted at the far end: a transfer that never started
//! must not read as a fast one.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use terminal::{Explain, Failure};

use crate::measure::{Scale, cpu_of_tree, median, median_ratio, timed};
use crate::table::{Report, at_least};
use crate::world::World;

const MIB: usize = 1024 * 1024;

pub(crate) fn run(world: &World, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let size = if scale.quick { 32 } else { 200 };
    let rounds = scale.rounds(7);
    let (mut up, mut peer_up, mut down, mut peer_down) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let before = cpu_of_tree(world.proxy.pid());
    for _ in 0..rounds {
        up.push(upload(world.ours(), size)?);
        peer_up.push(upload(world.peer(), size)?);
        down.push(download(world.ours(), size)?);
        peer_down.push(download(world.peer(), size)?);
    }
    let cpu = cpu_of_tree(world.proxy.pid()).since(before);
    let shown = |ours: &mut [f64], peer: &mut [f64]| {
        (format!("{:.0} MiB/s", median(ours)), format!("{:.0} MiB/s", median(peer)))
    };
    let (ratio_up, ratio_down) = (median_ratio(&up, &peer_up), median_ratio(&down, &peer_down));
    report.add(at_least("bulk up, aes256-gcm / ssh -J", shown(&mut up, &mut peer_up), ratio_up, 2.0));
    report.add(at_least("bulk down, aes256-gcm / ssh -J", shown(&mut down, &mut peer_down), ratio_down, 1.0));
    #[allow(clippy::cast_precision_loss, reason = "a few GiB")]
    let gib = (2 * rounds * size) as f64 / 1024.0;
    report.show("  processor time of the proxy per GiB", format!("{:.2} s", cpu / gib), "");
    Ok(())
}

fn upload(mut ssh: Command, mib: usize) -> Result<f64, Failure> {
    ssh.arg("wc -c").stdin(Stdio::piped()).stdout(Stdio::piped());
    let (counted, took) = timed(|| -> Result<String, Failure> {
        let mut child = ssh.spawn().while_doing("cannot run ssh")?;
        let chunk = vec![7; MIB];
        if let Some(mut stdin) = child.stdin.take() {
            (0..mib).try_for_each(|_| stdin.write_all(&chunk))?;
        }
        Ok(String::from_utf8_lossy(&child.wait_with_output()?.stdout).trim().to_owned())
    });
    rate(counted?.parse().unwrap_or(0), mib, took)
}

fn download(mut ssh: Command, mib: usize) -> Result<f64, Failure> {
    ssh.arg(format!("head -c {} /dev/zero", mib * MIB)).stdin(Stdio::null()).stdout(Stdio::piped());
    let (received, took) = timed(|| -> Result<usize, Failure> {
        let mut child = ssh.spawn().while_doing("cannot run ssh")?;
        let (mut total, mut buffer) = (0, vec![0; MIB]);
        if let Some(mut stdout) = child.stdout.take() {
            while let count @ 1.. = stdout.read(&mut buffer)? {
                total += count;
            }
        }
        child.wait()?;
        Ok(total)
    });
    rate(received?, mib, took)
}

fn rate(arrived: usize, mib: usize, took: std::time::Duration) -> Result<f64, Failure> {
    if arrived != mib * MIB {
        return Err(Failure::new(format!("{arrived} of {} bytes arrived", mib * MIB)));
    }
    #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
    Ok(mib as f64 / took.as_secs_f64())
}
