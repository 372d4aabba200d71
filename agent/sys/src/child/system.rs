//! The calls of the helper that no safe interface offers.

#![allow(unsafe_code, reason = "making a process and resetting signals have no safe interface")]

use std::io;

use rustix::fs::FileType;

/// One more than the last signal number of Linux.
const SIGNALS_END: libc::c_int = 65;
/// The kernel's set of signals, in bytes.
const SIGNAL_SET_BYTES: usize = 8;
/// Room for the kernel's action: handler, flags, restorer, set.
const KERNEL_ACTION_WORDS: usize = 4;

/// Whether standard input is a socket, as it is in a helper.
pub(super) fn stdin_is_socket() -> bool {
    rustix::fs::fstat(io::stdin()).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket)
}

/// Puts away what the process inherited: signals ignored, descriptors left open, terminal, folder.
pub(super) fn begin_clean() {
    let default = [0u64; KERNEL_ACTION_WORDS];
    for number in 1..SIGNALS_END {
        // SAFETY: all zeroes is the default action in the kernel's own structure, which is no longer
        // than this; it runs no code of ours. KILL and STOP are refused, which is fine. The C library's
        // own call would refuse two more, which a parent may well have ignored.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                default.as_ptr(),
                std::ptr::null::<u64>(),
                SIGNAL_SET_BYTES,
            )
        };
    }
    close_from(3);
    // Not in the daemon's process group, so the operator's Ctrl-C ends the daemon alone, which then
    // closes the socket. None of these can fail here in a way that matters.
    _ = rustix::process::setsid();
    _ = rustix::process::chdir("/");
    // A child that is the user already but not yet their program must not be traced by them.
    _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Closes every descriptor from `first` on.
fn close_from(first: libc::c_uint) {
    // SAFETY: nothing of this process owns a descriptor from 3 on yet: it has opened none.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
    if closed == 0 {
        return;
    }
    // Kernels before 5.9. The folder that is read is closed again by the time its number is.
    let listed: Vec<libc::c_int> = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for number in
        listed.into_iter().filter(|number| libc::c_uint::try_from(*number).is_ok_and(|n| n >= first))
    {
        // SAFETY: as above; a number that is closed already is refused.
        unsafe { libc::close(number) };
    }
}

/// Makes a process like this one whose parent is this one's parent. Its number, or none in the new
/// process itself.
pub(super) fn make_sibling() -> io::Result<Option<u32>> {
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: without CLONE_VM and with no stack given this is fork(2). The process has one thread,
    // so no lock is held by someone who does not exist in the new one.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags), 0, 0, 0, 0) };
    match u32::try_from(pid) {
        Ok(0) => Ok(None),
        Ok(pid) => Ok(Some(pid)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}
