//! The calls of the C library behind [`super`], each with a buffer that grows until the answer fits.

#![allow(unsafe_code, reason = "the name service switch is reachable through the C library only")]

use std::ffi::{CStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::ptr;

use port::host_user::HostUser;

/// Where most entries fit.
const BUFFER_FIRST: usize = 1024;
/// Groups of ten thousand members need this; more is refused rather than followed for ever.
const BUFFER_MAX: usize = 4 * 1024 * 1024;
/// `NGROUPS_MAX` of Linux.
const GROUPS_MAX: usize = 65_536;

pub(super) fn user_by_name(name: &CStr) -> io::Result<Option<HostUser>> {
    // SAFETY: the arguments are those `entry` promises: writable entry, buffer of that length, result slot.
    entry(
        |entry, buffer, length, found| unsafe {
            libc::getpwnam_r(name.as_ptr(), entry, buffer, length, found)
        },
        host_user,
    )
}

pub(super) fn user_by_id(uid: u32) -> io::Result<Option<HostUser>> {
    // SAFETY: as above.
    entry(
        |entry, buffer, length, found| unsafe { libc::getpwuid_r(uid, entry, buffer, length, found) },
        host_user,
    )
}

pub(super) fn group_name(gid: u32) -> io::Result<Option<String>> {
    // SAFETY: as above.
    entry(
        |entry, buffer, length, found| unsafe { libc::getgrgid_r(gid, entry, buffer, length, found) },
        // SAFETY: `read` is called while the entry's texts live.
        |group: &libc::group| unsafe { text(group.gr_name) },
    )
}

pub(super) fn group_id(name: &CStr) -> io::Result<Option<u32>> {
    // SAFETY: as above.
    entry(
        |entry, buffer, length, found| unsafe {
            libc::getgrnam_r(name.as_ptr(), entry, buffer, length, found)
        },
        |group: &libc::group| group.gr_gid,
    )
}

/// Calls one of the `_r` functions and reads what it found while the buffer still lives.
fn entry<Entry, Value>(
    call: impl Fn(*mut Entry, *mut libc::c_char, usize, *mut *mut Entry) -> libc::c_int,
    read: impl Fn(&Entry) -> Value,
) -> io::Result<Option<Value>> {
    let mut buffer: Vec<libc::c_char> = vec![0; BUFFER_FIRST];
    loop {
        let mut entry = MaybeUninit::<Entry>::uninit();
        let mut found = ptr::null_mut();
        match call(entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found) {
            // SAFETY: a non-null result points at `entry`, now filled, whose texts lie in `buffer`;
            // both live until `read` has copied what it needs.
            0 => return Ok(unsafe { found.as_ref() }.map(&read)),
            // Some modules say "not found" by an error number instead of an empty result.
            libc::ENOENT | libc::ESRCH => return Ok(None),
            libc::EINTR => {}
            libc::ERANGE if buffer.len() < BUFFER_MAX => buffer.resize(buffer.len() * 4, 0),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

fn host_user(entry: &libc::passwd) -> HostUser {
    // SAFETY: `read` is called while the entry's texts live.
    let (name, home, mut shell) =
        unsafe { (text(entry.pw_name), bytes(entry.pw_dir), bytes(entry.pw_shell)) };
    if shell.is_empty() {
        // passwd(5): an empty field means this shell.
        shell = b"/bin/sh".to_vec();
    }
    HostUser {
        name,
        uid: entry.pw_uid,
        gid: entry.pw_gid,
        groups: Vec::new(),
        home: PathBuf::from(OsString::from_vec(home)),
        shell: PathBuf::from(OsString::from_vec(shell)),
    }
}

pub(super) fn groups_of(name: &CStr, gid: u32) -> io::Result<Vec<u32>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 32];
    loop {
        let mut count = libc::c_int::try_from(groups.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: `groups` has room for `count` ids, and `count` is written back with how many there are.
        let fits =
            unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) } >= 0;
        let count = usize::try_from(count).unwrap_or(0);
        if fits {
            groups.truncate(count);
            return Ok(groups);
        }
        if groups.len() >= GROUPS_MAX {
            return Err(io::Error::from_raw_os_error(libc::E2BIG));
        }
        groups.resize(count.max(groups.len() * 2).min(GROUPS_MAX), 0);
    }
}

/// A copy of a text of an entry; empty where the database gives none.
///
/// # Safety
/// `text` is null or points at bytes that end with a NUL.
unsafe fn bytes(text: *const libc::c_char) -> Vec<u8> {
    if text.is_null() {
        return Vec::new();
    }
    // SAFETY: promised by the caller.
    unsafe { CStr::from_ptr(text) }.to_bytes().to_vec()
}

/// The same as text; what is no UTF-8 is replaced.
///
/// # Safety
/// That of [`bytes`].
unsafe fn text(text: *const libc::c_char) -> String {
    // SAFETY: promised by the caller.
    String::from_utf8_lossy(&unsafe { bytes(text) }).into_owned()
}
