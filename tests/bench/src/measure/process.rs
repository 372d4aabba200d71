//! What processes cost, from `/proc`.

use std::collections::HashMap;
use std::path::PathBuf;

/// Processor time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cpu {
    pub(crate) seconds: f64,
}

impl Cpu {
    /// The time spent since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> f64 {
        self.seconds - earlier.seconds
    }
}

/// Clock ticks of `/proc/PID/stat`: 100 a second on every Linux that programs see.
const TICKS: f64 = 100.0;

/// The time of a process, of its children that have ended, and of all its descendants that live.
pub(crate) fn cpu_of_tree(root: u32) -> Cpu {
    let stats: HashMap<u32, Stat> =
        processes().into_iter().filter_map(|pid| Some((pid, Stat::of(pid)?))).collect();
    let belongs = |pid: u32| {
        let mut at = pid;
        // A chain of parents is short; a circle there cannot be.
        for _ in 0..64 {
            if at == root {
                return true;
            }
            match stats.get(&at) {
                Some(stat) => at = stat.parent,
                None => return false,
            }
        }
        false
    };
    let ticks: u64 = stats.iter().filter(|(pid, _)| belongs(**pid)).map(|(_, stat)| stat.ticks).sum();
    #[allow(clippy::cast_precision_loss, reason = "ticks of minutes")]
    Cpu { seconds: ticks as f64 / TICKS }
}

/// Makes this process the parent of what its children leave behind. `ssh -J` does not wait for the ssh
/// it started, which would then be counted nowhere.
pub(crate) fn adopt_orphans() -> std::io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// The time of all programs that this one has started or adopted and that have ended. No child may
/// be waited for elsewhere meanwhile.
pub(crate) fn cpu_of_ended_children() -> Cpu {
    // Only what was waited for is counted.
    while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
    let ticks = Stat::of(std::process::id()).map_or(0, |stat| stat.ended_children);
    #[allow(clippy::cast_precision_loss, reason = "ticks of minutes")]
    Cpu { seconds: ticks as f64 / TICKS }
}

struct Stat {
    parent: u32,
    ticks: u64,
    ended_children: u64,
}

impl Stat {
    /// proc(5): fields after the name in parentheses; 4 is the parent, 14 to 17 the times.
    fn of(pid: u32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
        let ticks = (11..15).filter_map(number).sum();
        let ended_children = (13..15).filter_map(number).sum();
        Some(Self { parent: u32::try_from(number(1)?).ok()?, ticks, ended_children })
    }
}

fn processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Resident memory, in KiB.
pub(crate) fn resident_kib(pid: u32) -> f64 {
    field(format!("/proc/{pid}/status").into(), "VmRSS:")
}

/// The most that was resident since [`reset_most_resident`], in KiB.
pub(crate) fn resident_most_kib(pid: u32) -> f64 {
    field(format!("/proc/{pid}/status").into(), "VmHWM:")
}

/// Begins to look for the most anew, in this process (proc(5), `clear_refs`).
pub(crate) fn reset_most_resident() -> std::io::Result<()> {
    std::fs::write("/proc/self/clear_refs", "5")
}

/// Memory with what is shared divided among those who share it, in KiB.
pub(crate) fn proportional_kib(pid: u32) -> f64 {
    field(format!("/proc/{pid}/smaps_rollup").into(), "Pss:")
}

fn field(path: PathBuf, name: &str) -> f64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(f64::NAN)
}
