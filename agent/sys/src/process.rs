//! This process: its limits, its memory, its name, its pid file.
//!
//! Called by `process` at start-up and by the metrics. Changes nothing about other processes.

mod code;
mod pid_file;
mod usage;

pub use self::code::free_code;
pub use self::pid_file::{PidFile, PidFileError};
pub use self::usage::{Usage, usage};

use std::io;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The soft and hard limit before [`raise_nofile_limit`] changed them.
static ORIGINAL_NOFILE: OnceLock<(u64, u64)> = OnceLock::new();

/// Raises the limit of open files to as much as this process may have, and returns it. Sessions get
/// the original limit back: programs that use `select` break with descriptors above 1024.
///
/// # Errors
/// Those of the system; the old limit then stays.
pub fn raise_nofile_limit() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let (soft, hard) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    ORIGINAL_NOFILE.get_or_init(|| (soft, hard));
    if soft < hard {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    Ok(hard)
}

/// The limit to give back to sessions; none when it was never changed.
pub(crate) fn original_nofile_limit() -> Option<(u64, u64)> {
    ORIGINAL_NOFILE.get().copied()
}

/// The name of this host, as `uname -n` says it.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod heap {
    #![allow(unsafe_code, reason = "the C library's allocator is tuned through the C library")]

    /// Separate heaps, which threads pick from. The default is eight per processor.
    const ARENAS: libc::c_int = 2;
    /// From this size on, in bytes, memory is mapped and given back alone. Left to itself the limit
    /// grows with use, and with it what stays behind in the heap.
    const MAP_FROM: libc::c_int = 128 * 1024;

    pub(super) fn keep_small() {
        // SAFETY: both only set numbers the allocator reads; called before there are threads.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, ARENAS);
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAP_FROM);
        }
    }

    pub(super) fn free() {
        // SAFETY: gives free pages back; takes the allocator's own locks.
        unsafe { libc::malloc_trim(0) };
    }
}

/// Sets the allocator up to hold on to little. The daemon calls it before it starts any thread.
pub fn keep_heap_small() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    heap::keep_small();
}

/// Gives freed memory back to the system. Worth calling after start-up and after a crowd has left;
/// takes a millisecond or so and stalls whoever allocates meanwhile.
pub fn free_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    heap::free();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_raised_and_the_old_one_kept() {
        let before = getrlimit(Resource::Nofile);
        let raised = raise_nofile_limit().unwrap();
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
        assert_eq!(Some(raised), before.maximum);
        let kept = (before.current.unwrap(), before.maximum.unwrap());
        assert_eq!(original_nofile_limit(), Some(kept));
        raise_nofile_limit().unwrap();
        assert_eq!(original_nofile_limit(), Some(kept), "asked twice, the first is the original");
    }

    #[test]
    fn the_host_has_a_name() {
        assert_eq!(hostname(), std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim());
    }

    #[test]
    fn freed_memory_is_given_back() {
        keep_heap_small();
        let blocks: Vec<Vec<u8>> = (0..4000).map(|_| vec![1; 16 * 1024]).collect();
        let full = usage().unwrap().resident_bytes;
        drop(blocks);
        free_heap();
        let empty = usage().unwrap().resident_bytes;
        assert!(empty + 32 * 1024 * 1024 < full, "{empty} after {full}");
    }
}
