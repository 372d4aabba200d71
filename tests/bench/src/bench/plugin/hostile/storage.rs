//! Backends that do harm: each answers no question of the store.

use domain::plugin::PluginName;
use domain::plugin::configuration::Written;
use port::backend::Backend as _;
use port::store::Key;
use ssh::refuse::chain;
use terminal::Failure;

use super::{CPU, Deadline, Latest, Memory, WALL};
use crate::bench::plugin::bed::{Bed, Guests};
use crate::measure::{Scale, millis};
use crate::table::Report;

/// What it does when it is asked for a key, what is said of it then, how long it may at most, and what it may
/// hold, in MiB: for the one that answers with 40 MiB all memory it has, and as much in the host as goes there in
/// one call.
const DEEDS: [(&str, &str, Deadline, f64); 4] = [
    ("get loop", "processor time", Deadline::Cpu, 1.0),
    ("get hang", "did not answer within", Deadline::Wall, 1.0),
    ("get trap", "on purpose", Deadline::None, 1.0),
    ("get swell", "more bytes in one host call than", Deadline::None, 128.0 + 16.0),
];

pub(super) async fn run(
    guests: &Guests,
    scale: Scale,
    latest: &mut Latest,
    report: &mut Report,
) -> Result<(), Failure> {
    for (deed, says, deadline, budget) in DEEDS {
        let mut bed = Bed::with_backend(guests)?;
        let plugin = bed.plugin("backend")?;
        plugin.config.insert("deed".to_owned(), Written::One(deed.to_owned()));
        plugin.limits.insert("host_call".to_owned(), "16MiB".to_owned());
        for (key, limit) in [("cpu", CPU), ("wall", WALL)] {
            let limit = if matches!(deadline, Deadline::None) { WALL * 20 } else { limit };
            plugin.limits.insert(key.to_owned(), format!("{}ms", limit.as_millis()));
        }
        let backend = bed.host()?.storage(PluginName::new("backend")?);
        let key = Key::of(&["t", "a"]);
        let (mut late, mut memory) = (Vec::new(), None);
        for _ in 0..=scale.rounds(20) {
            let began = tokio::time::Instant::now();
            let answer = backend.get(&key).await;
            if !answer.as_ref().is_err_and(|error| chain(error).contains(says)) {
                return Err(Failure::new(format!(
                    "the backend's {deed} did not end as it should: {answer:?}"
                )));
            }
            // The first one loads it.
            match (memory.is_some(), deadline) {
                (false, _) => memory = Some(Memory::now()?),
                (true, Deadline::Cpu) => late.push(millis(began.elapsed().saturating_sub(CPU))),
                (true, Deadline::Wall) => late.push(millis(began.elapsed().saturating_sub(WALL))),
                (true, Deadline::None) => {}
            }
            // Otherwise it would rest before it is begun anew.
            backend.current().await?;
        }
        if let Some(memory) = memory {
            memory.tell(&format!("hostile backend, {deed}"), budget, report);
        }
        latest.hear(late, deed);
    }
    Ok(())
}
