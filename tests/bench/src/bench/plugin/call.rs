//! One call of a label plugin: a fresh instance, the call, its end; beside the same guest in bare
//! wasmtime, and beside fork and exec of the smallest program.

use std::process::Command;

use terminal::{Explain, Failure};
use tokio::time::Instant;

use super::bare::Bare;
use super::bed::{Bed, Guests, label, manifest};
use crate::measure::{Scale, median, median_ratio, timed};
use crate::table::{Report, above, at_most, below};

pub(crate) async fn run(guests: &Guests, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let mut bed = Bed::new()?;
    bed.install("hostile", &guests.hostile, &manifest("hostile", "label-provider"))?;
    let (host, bare) = (bed.host()?, Bare::new(&guests.hostile)?);
    let label = label("hostile", "echo x");
    for _ in 0..200 {
        host.call(&label).await?;
        bare.evaluate(&["echo", "x"])?;
    }
    let (mut seen, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds(8000) {
        let started = Instant::now();
        let call = host.call(&label).await?;
        seen.push(started.elapsed().as_secs_f64() * 1e6);
        call.result?;
        ours.push(call.wall.as_secs_f64() * 1e6);
        let (outcome, took) = timed(|| bare.evaluate(&["echo", "x"]));
        outcome?;
        theirs.push(took.as_secs_f64() * 1e6);
    }
    let mut forks = Vec::new();
    for _ in 0..scale.rounds(400) {
        let (status, took) = timed(|| Command::new("/bin/true").status());
        status.while_doing("cannot run /bin/true")?;
        forks.push(took.as_secs_f64() * 1e6);
    }
    let ratio = median_ratio(&ours, &theirs);
    let (ours, theirs, fork) = (median(&mut ours), median(&mut theirs), median(&mut forks));
    let shown = (format!("{ours:.1} us"), format!("bare wasmtime {theirs:.1} us"));
    report.add(at_most("label plugin: instantiate, call, drop, p50", shown, ratio, 1.5));
    report.add(below("  the same, alone", ours, 25.0, "us", String::new()));
    let peer = format!("fork+exec /bin/true {fork:.0} us");
    report.add(above("  times faster than a process", fork / ours, 25.0, "x", peer));
    report.show(
        "  as a service sees it, with the hand-over to the plugins' thread",
        format!("{:.1} us", median(&mut seen)),
        "",
    );
    Ok(())
}
