//! What this process uses, from `/proc/self` (proc(5)).

use std::fs;
use std::io;
use std::time::Duration;

/// Memory and time of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
    /// Mapped memory, in bytes.
    pub virtual_bytes: u64,
    /// Processor time of all threads, in user and kernel mode.
    pub cpu: Duration,
    /// How many threads there are.
    pub threads: u64,
}

/// What this process uses now. Reads two small files of the kernel; does not block.
///
/// # Errors
/// When `/proc` is not mounted or not understood.
pub fn usage() -> io::Result<Usage> {
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    let ticks = rustix::param::clock_ticks_per_second();
    let statm = fs::read_to_string("/proc/self/statm")?;
    let stat = fs::read_to_string("/proc/self/stat")?;
    parse(&statm, &stat, page, ticks)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/self is not understood"))
}

fn parse(statm: &str, stat: &str, page: u64, ticks: u64) -> Option<Usage> {
    let mut pages = statm.split_ascii_whitespace().map(str::parse::<u64>);
    let (mapped, resident) = (pages.next()?.ok()?, pages.next()?.ok()?);
    // The second field is the program's name in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    // Counted from the third field of the manual page: utime is 14, stime 15, num_threads 20.
    let number = |index: usize| fields.get(index - 3)?.parse::<u64>().ok();
    let cpu_ticks = number(14)?.checked_add(number(15)?)?;
    Some(Usage {
        resident_bytes: resident.checked_mul(page)?,
        virtual_bytes: mapped.checked_mul(page)?,
        cpu: Duration::from_millis(cpu_ticks.checked_mul(1000)?.checked_div(ticks)?),
        threads: number(20)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_parenthesis_does_not_shift_the_fields() {
        let stat = "7 (a) R 1 2) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 12345 1000 20";
        let usage = parse("300 20 10 1 0 5 0", stat, 4096, 100).unwrap();
        assert_eq!(usage.resident_bytes, 20 * 4096);
        assert_eq!(usage.virtual_bytes, 300 * 4096);
        assert_eq!(usage.cpu, Duration::from_secs(2));
        assert_eq!(usage.threads, 9);
    }

    #[test]
    fn what_is_not_understood_is_no_figure() {
        for (statm, stat) in [("", ""), ("1 2", "7 (a) S"), ("x y", "7 (a) S 1"), ("1", "7 (a S")] {
            assert_eq!(parse(statm, stat, 4096, 100), None);
        }
    }

    #[test]
    fn this_process_uses_something() {
        let usage = usage().unwrap();
        assert!(usage.resident_bytes > 100_000 && usage.virtual_bytes > usage.resident_bytes, "{usage:?}");
        assert!(usage.threads >= 1);
    }
}
