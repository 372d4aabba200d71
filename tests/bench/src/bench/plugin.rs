//! One call of the label plugin: a fresh instance, the call, its end; beside fork and exec of the
//! smallest program.

use std::process::Command;
use std::time::Duration;

use domain::label::DynamicLabel;
use terminal::{Explain, Failure};
use tokio::time::Instant;

use crate::measure::{Scale, median, timed};
use crate::table::{Report, below};

pub(crate) async fn run(scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let host = plugin_host::PluginHost::new(plugin_host::Settings::new(folder.path()))?;
    // Its own refusal of an empty command is the shortest way through the plugin and back.
    let label = DynamicLabel {
        name: "bench".to_owned(),
        command: Vec::new(),
        period: Duration::from_secs(1),
        plugin: domain::label::DEFAULT_PROVIDER.to_owned(),
    };
    host.call(&label).await?;
    let (mut calls, mut inside) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds(4000) {
        let started = Instant::now();
        let call = host.call(&label).await?;
        calls.push(started.elapsed().as_secs_f64() * 1e6);
        inside.push(call.wall.as_secs_f64() * 1e6);
    }
    let mut forks = Vec::new();
    for _ in 0..scale.rounds(400) {
        let (status, took) = timed(|| Command::new("/bin/true").status());
        status.while_doing("cannot run /bin/true")?;
        forks.push(took.as_secs_f64() * 1e6);
    }
    let peer = format!("fork+exec /bin/true {:.0} us", median(&mut forks));
    report.add(below("label plugin: instantiate and call, p50", median(&mut inside), 50.0, "us", peer));
    report.show(
        "  the same as a service sees it, with the hand-over to the plugins' thread",
        format!("{:.1} us", median(&mut calls)),
        "",
    );
    Ok(())
}
