//! What a hostile guest takes of the host before it is stopped: time beyond its deadline, and memory.

use std::time::Duration;

use plugin_host::{Outcome, PluginHost};
use terminal::Failure;

use super::bed::{Bed, Guests, label, manifest};
use crate::measure::{Scale, millis, quantile, reset_most_resident, resident_kib, resident_most_kib};
use crate::table::{Report, below};

mod http;
// What no compiler makes is made as the host's own tests make it.
#[path = "../../../../../host-api/host/tests/all/made.rs"]
#[allow(dead_code, reason = "the tests make more of it")]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's: what it makes is always the same")]
mod made;
mod storage;

/// Which plugin, what it does, how long it may at most, and what it may hold, in MiB.
const DEEDS: [(&str, &str, Deadline, f64); 15] = [
    ("hostile", "loop", Deadline::Cpu, 1.0),
    ("hostile", "sleep", Deadline::Wall, 1.0),
    ("hostile", "log-for-ever", Deadline::Cpu, 1.0),
    ("hostile", "allocate", Deadline::None, 32.0),
    ("hostile", "recurse", Deadline::None, 2.0),
    ("hostile", "panic", Deadline::None, 1.0),
    ("hostile", "exit", Deadline::None, 1.0),
    ("hostile", "answer-no-text", Deadline::None, 1.0),
    ("hostile", "tell-much 20000000", Deadline::None, 32.0),
    ("hostile", "tell-much 134217728", Deadline::None, 32.0),
    ("hostile", "answer-much 20000000", Deadline::None, 32.0),
    ("hostile", "answer-much 1073741824", Deadline::None, 32.0),
    ("hostile", "hold-handles 1000000", Deadline::None, 8.0),
    ("swells", "tables", Deadline::None, 1.0),
    ("boasts", "1 GiB it has not", Deadline::None, 1.0),
];

/// Calls in a row that all crash.
const CRASHES: usize = 10_000;

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

/// The longest delay after a deadline so far, in milliseconds, and whose it was.
#[derive(Default)]
struct Latest(f64, String);

impl Latest {
    fn hear(&mut self, mut late: Vec<f64>, whose: &str) {
        let latest = if late.is_empty() { 0.0 } else { quantile(&mut late, 1.0) };
        if latest > self.0 {
            *self = Self(latest, whose.to_owned());
        }
    }
}

pub(crate) async fn run(guests: &Guests, scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let bed = bed(guests)?;
    let host = bed.host()?;
    for _ in 0..50 {
        host.call(&label("hostile", "echo warm")).await?;
    }
    let mut latest = Latest::default();
    for (plugin, deed, deadline, budget) in DEEDS {
        let once = || one(&host, plugin, deed, deadline);
        once().await?;
        let memory = Memory::now()?;
        let mut late = Vec::new();
        for _ in 0..scale.rounds(40) {
            late.extend(once().await?);
        }
        memory.tell(&format!("hostile guest, {plugin} {deed}"), budget, report);
        latest.hear(late, deed);
    }
    let memory = Memory::now()?;
    for _ in 0..scale.rounds(CRASHES) {
        one(&host, "hostile", "panic", Deadline::None).await?;
    }
    memory.tell(&format!("hostile guest, {} crashes in a row", scale.rounds(CRASHES)), 1.0, report);
    drop((host, bed));
    http::run(guests, scale, report).await?;
    storage::run(guests, scale, &mut latest, report).await?;
    let Latest(worst, whose) = latest;
    report.add(below("hostile guests: stopped after their deadline, at worst", worst, 50.0, "ms", whose));
    Ok(())
}

fn bed(guests: &Guests) -> Result<Bed, Failure> {
    let mut bed = Bed::new()?;
    let boasts = made::module(&made::answer(0, 1 << 30), made::MEMORY);
    let swells = made::module(made::TABLE_BOMB, &format!("{} (table $held 1 funcref)", made::MEMORY));
    let made = [("boasts", made::component(&boasts)), ("swells", made::component(&swells))];
    for (name, wasm) in made.into_iter().chain([("hostile", guests.hostile.clone())]) {
        let plugin = bed.install(name, &wasm, &manifest(name, "label-provider"))?;
        plugin.limits.insert("wall".to_owned(), "500ms".to_owned());
    }
    Ok(bed)
}

/// One call, which must end as it should; how much later than its deadline it did, in milliseconds, where it has one.
async fn one(
    host: &PluginHost,
    plugin: &str,
    deed: &str,
    deadline: Deadline,
) -> Result<Option<f64>, Failure> {
    let call = host.call(&label(plugin, deed)).await?;
    let outcome = call.outcome();
    let is_stopped = match deadline {
        Deadline::Cpu | Deadline::Wall => outcome == Outcome::Timeout,
        Deadline::None => matches!(outcome, Outcome::Trap | Outcome::Memory | Outcome::Guest),
    };
    if !is_stopped {
        return Err(Failure::new(format!("{plugin} {deed} was not stopped: {:?}", call.result)));
    }
    Ok(match deadline {
        Deadline::Cpu => Some(millis(call.cpu.saturating_sub(CPU))),
        Deadline::Wall => Some(millis(call.wall.saturating_sub(WALL))),
        Deadline::None => None,
    })
}

/// What this process held when it was looked at, in KiB.
struct Memory(f64);

impl Memory {
    fn now() -> Result<Self, Failure> {
        let before = resident_kib(std::process::id());
        reset_most_resident()?;
        Ok(Self(before))
    }

    /// How much more it held at most since then.
    fn tell(&self, what: &str, budget: f64, report: &mut Report) {
        let grown = (resident_most_kib(std::process::id()) - self.0) / 1024.0;
        let what = format!("{what}: the host grows by");
        report.add(below(&what, grown, budget + HOSTS_PART, "MiB", String::new()));
    }
}
