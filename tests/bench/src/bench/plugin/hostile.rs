//! What a hostile guest takes of the host before it is stopped: time beyond its deadline, and memory.

use std::time::Duration;

use terminal::Failure;

use super::bed::{Bed, Guests, label, manifest};
use crate::measure::{Scale, millis, quantile, reset_most_resident, resident_kib, resident_most_kib};
use crate::table::{Report, below};

/// What it does, how long it may at most, and what it may hold, in MiB.
const DEEDS: [(&str, Deadline, f64); 9] = [
    ("loop", Deadline::Cpu, 1.0),
    ("sleep", Deadline::Wall, 1.0),
    ("log-for-ever", Deadline::Cpu, 1.0),
    ("allocate", Deadline::None, 32.0),
    ("recurse", Deadline::None, 2.0),
    ("panic", Deadline::None, 1.0),
    ("tell-much 20000000", Deadline::None, 32.0),
    ("answer-much 20000000", Deadline::None, 32.0),
    ("hold-handles 1000000", Deadline::None, 8.0),
];

/// Beyond what is granted: the host's own part.
const HOSTS_PART: f64 = 2.0;

#[derive(Clone, Copy)]
enum Deadline {
    Cpu,
    Wall,
    None,
}

const CPU: Duration = Duration::from_millis(50);
const WALL: Duration = Duration::from_millis(500);

pub(crate) async fn run(guests: &Guests, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let mut bed = Bed::new()?;
    let plugin = bed.install("hostile", &guests.hostile, &manifest("hostile", "label-provider"))?;
    plugin.limits.insert("wall".to_owned(), "500ms".to_owned());
    let host = bed.host()?;
    for _ in 0..50 {
        host.call(&label("hostile", "echo warm")).await?;
    }
    let (mut worst, mut which) = (0.0, "");
    for (deed, deadline, budget) in DEEDS {
        let label = label("hostile", deed);
        host.call(&label).await?;
        let (before, mut late) = (resident_kib(std::process::id()), Vec::new());
        reset_most_resident()?;
        for _ in 0..scale.rounds(40) {
            let call = host.call(&label).await?;
            if call.result.is_ok() {
                return Err(Failure::new(format!("{deed} was not stopped")));
            }
            let over = match deadline {
                Deadline::Cpu => call.cpu.saturating_sub(CPU),
                Deadline::Wall => call.wall.saturating_sub(WALL),
                Deadline::None => continue,
            };
            late.push(millis(over));
        }
        let grown = (resident_most_kib(std::process::id()) - before) / 1024.0;
        let what = format!("hostile guest, {deed}: the host grows by");
        report.add(below(&what, grown, budget + HOSTS_PART, "MiB", String::new()));
        let latest = if late.is_empty() { 0.0 } else { quantile(&mut late, 1.0) };
        if latest > worst {
            (worst, which) = (latest, deed);
        }
    }
    report.add(below(
        "hostile guests: stopped after their deadline, at worst",
        worst,
        50.0,
        "ms",
        which.to_owned(),
    ));
    Ok(())
}
