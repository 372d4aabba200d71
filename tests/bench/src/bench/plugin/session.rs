//! Sessions of a node whose plugins do their worst, beside those of the same node without plugins: in
//! turns, so that the noise of the machine hits both.

use std::path::Path;

use terminal::Failure;

use super::bed::{Guests, manifest};
use crate::bench::latency::exec_true;
use crate::measure::{Scale, median, quantile, resident_most_kib};
use crate::table::{Report, below};
use crate::world::{NODE, World, start_daemon};

/// The node with the plugins.
const NAME: &str = "bench-hostile";

/// What its labels' plugins do every second.
const DEEDS: [&str; 6] = ["loop", "allocate", "recurse", "panic", "log-for-ever", "tell-much, '20000000'"];

/// What the calls that run at one time may hold, four of 32 MiB, and the host's own part, in MiB.
const BUDGET: f64 = 4.0 * 32.0 + 16.0;

/// Sessions of each until the daemon is started again: what keeps failing is left alone after five
/// seconds.
const BURST: usize = 32;

/// Labels of each deed: each under a plugin of its own, for what fails too often is left alone.
const EACH: usize = 4;

pub(crate) async fn run(world: &World, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let guests = Guests::build()?;
    let yaml = configuration(world, &guests)?;
    let (mut calm, mut hostile, mut most) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..scale.rounds(8).max(2) {
        let node = start_daemon(world.folder.path(), NAME, &yaml).await?;
        for _ in 0..2 {
            exec_true(world.ours_at(NAME))?;
        }
        for _ in 0..scale.rounds(BURST) {
            calm.push(exec_true(world.ours_at(NODE))?);
            hostile.push(exec_true(world.ours_at(NAME))?);
        }
        all_failed(&node.metrics().await?)?;
        most = most.max(resident_most_kib(node.pid()) / 1024.0);
    }
    let moved = quantile(&mut hostile, 0.99) - quantile(&mut calm, 0.99);
    let peer = format!("{:.1} ms on a node without plugins", quantile(&mut calm, 0.99));
    report.add(below("ssh meanwhile: p99 of exec true moves by", moved, 10.0, "ms", peer));
    report.show(
        "  p50",
        format!("{:.1} ms", median(&mut hostile)),
        format!("{:.1} ms without plugins", median(&mut calm)),
    );
    let calm = resident_most_kib(world.node.pid()) / 1024.0;
    let what = "  its daemon's memory, at most beyond that of the other";
    report.add(below(what, most - calm, BUDGET, "MiB", format!("{calm:.1} MiB")));
    Ok(())
}

/// Makes sure that calls of every plugin ran and failed meanwhile: beside plugins that do nothing any session is quick.
fn all_failed(metrics: &str) -> Result<(), Failure> {
    let failed = |name: &String| {
        let calls = format!("plugin_calls_total{{plugin=\"{name}\"");
        let ran = |line: &str| ["trap", "timeout", "memory"].iter().any(|outcome| line.contains(outcome));
        metrics.lines().any(|line| line.starts_with(&calls) && ran(line))
    };
    let names = (0..EACH * DEEDS.len()).map(|number| format!("hostile-{number}"));
    match names.into_iter().find(|name| !failed(name)) {
        Some(name) => Err(Failure::new(format!("no call of {name} ran and failed beside the sessions"))),
        None => Ok(()),
    }
}

fn configuration(world: &World, guests: &Guests) -> Result<String, Failure> {
    let directory = world.path("hostile-plugins");
    std::fs::create_dir(&directory)?;
    let digest = domain::plugin::Digest::of(&guests.hostile);
    let (mut load, mut labels) = (String::new(), String::new());
    for number in 0..EACH * DEEDS.len() {
        let (name, deed) = (format!("hostile-{number}"), DEEDS.get(number % DEEDS.len()).unwrap_or(&"loop"));
        install(&directory, &name, &guests.hostile)?;
        load += &format!("      {name}:\n        digest: {digest}\n");
        labels += &format!(
            "    - name: label-{number}\n      plugin: {name}\n      command: [{deed}]\n      period: 1s\n"
        );
    }
    let World { web_port, pin, .. } = world;
    Ok(format!(
        "version: v3\nteleport:\n  nodename: {NAME}\n  data_dir: {data}\n  proxy_server: {web_port}\n  ca_pin: {pin}\n\
         \x20 auth_token: a-token-for-the-benchmark\n  plugins:\n    directory: {directory}\n    load:\n{load}\
         ssh_service:\n  enabled: yes\n  commands:\n{labels}",
        data = world.path("hostile-data").display(),
        directory = directory.display(),
    ))
}

fn install(directory: &Path, name: &str, wasm: &[u8]) -> Result<(), Failure> {
    let folder = directory.join(name);
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("plugin.wasm"), wasm)?;
    std::fs::write(folder.join("plugin.toml"), manifest(name, "label-provider"))?;
    Ok(())
}
