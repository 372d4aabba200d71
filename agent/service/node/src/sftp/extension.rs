//! Requests of OpenSSH's that need more than one call of the system (OpenSSH `PROTOCOL` section 4).

use std::os::unix::ffi::OsStrExt;

use port::host_user::{HostUser, HostUsers};
use rustix::fd::AsFd;
use rustix::fs::{StatVfs, StatVfsMountFlags, fstat};
use rustix::io::Errno;
use sys::users::SystemUsers;

use super::handle::HANDLES_MAX;
use super::operation;
use super::status::{Code, Failure};
use super::wire::{DATA_MAX, Input, Output, PACKET_MAX};

/// As much as is copied at a time, in bytes.
const COPY_CHUNK: usize = 128 * 1024;
/// The flags of a file system, as OpenSSH numbers them.
const READ_ONLY: u64 = 1;
const NO_SETUID: u64 = 2;

/// `statvfs@openssh.com`: eleven numbers about a file system.
pub(super) fn write_statvfs(out: &mut Vec<u8>, stat: &StatVfs) {
    let flag = |mount, ours| if stat.f_flag.contains(mount) { ours } else { 0 };
    let flags = flag(StatVfsMountFlags::RDONLY, READ_ONLY) | flag(StatVfsMountFlags::NOSUID, NO_SETUID);
    for number in [
        stat.f_bsize,
        stat.f_frsize,
        stat.f_blocks,
        stat.f_bfree,
        stat.f_bavail,
        stat.f_files,
        stat.f_ffree,
        stat.f_favail,
        stat.f_fsid,
        flags,
        stat.f_namemax,
    ] {
        out.put_u64(number);
    }
}

/// `limits@openssh.com`: packet, read, write, handles.
pub(super) fn write_limits(out: &mut Vec<u8>) {
    for limit in [PACKET_MAX, DATA_MAX, DATA_MAX, HANDLES_MAX] {
        out.put_u64(limit as u64);
    }
}

/// `copy-data`: from one open file to another, without a way through the client. A length of zero is
/// "to the end" as it is now, so that copying a file behind itself has one.
pub(super) fn copy(
    (from, mut from_offset): (impl AsFd, u64),
    length: u64,
    (to, mut to_offset): (impl AsFd, u64),
) -> Result<(), Failure> {
    let mut left = if length == 0 { rest_of(&from, from_offset)? } else { length };
    let mut chunk = Vec::new();
    while left > 0 {
        chunk.clear();
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(COPY_CHUNK);
        let count = operation::read_at(&from, from_offset, wanted, &mut chunk)? as u64;
        if count == 0 {
            // To the end was asked for; anything else ends too early.
            return if length == 0 { Ok(()) } else { Err(Failure::eof()) };
        }
        operation::write_at(&to, to_offset, &chunk)?;
        left -= count;
        let past = || Failure::from(Errno::FBIG);
        from_offset = from_offset.checked_add(count).ok_or_else(past)?;
        to_offset = to_offset.checked_add(count).ok_or_else(past)?;
    }
    Ok(())
}

/// How much there is behind an offset. Files of the kernel's say that they are empty, and are read to
/// their end.
fn rest_of(file: impl AsFd, offset: u64) -> Result<u64, Failure> {
    let size = u64::try_from(fstat(file)?.st_size).unwrap_or(0);
    Ok(if size == 0 { u64::MAX } else { size.saturating_sub(offset) })
}

/// `expand-path@openssh.com`: `~` and `~login` at the start, then the real path.
pub(super) fn expand_path(path: &[u8]) -> Result<Vec<u8>, Failure> {
    let Some(after) = path.strip_prefix(b"~") else { return operation::real_path(path) };
    let (login, rest) = match after.iter().position(|byte| *byte == b'/') {
        Some(slash) => after.split_at_checked(slash).unwrap_or((after, b"")),
        None => (after, &b""[..]),
    };
    let mut full = home(login)?;
    full.extend_from_slice(rest);
    operation::real_path(&full)
}

/// `home-directory`: of a user, or of this one when none is named.
pub(super) fn home(login: &[u8]) -> Result<Vec<u8>, Failure> {
    let missing = || Failure::new(Code::NoSuchFile, "There is no such user");
    let user: HostUser = if login.is_empty() {
        sys::users::current().map_err(|_| missing())?
    } else {
        SystemUsers.find(std::str::from_utf8(login).map_err(|_| missing())?).map_err(|_| missing())?
    };
    Ok(user.home.as_os_str().as_bytes().to_vec())
}

/// `users-groups-by-id@openssh.com`: a list of names for each list of numbers; empty where there is
/// no name.
pub(super) fn write_names(out: &mut Vec<u8>, users: &[u8], groups: &[u8]) -> Result<(), Failure> {
    write_list(out, users, sys::users::user_name)?;
    write_list(out, groups, sys::users::group_name)
}

fn write_list(out: &mut Vec<u8>, ids: &[u8], find: impl Fn(u32) -> Option<String>) -> Result<(), Failure> {
    let (mut ids, mut names) = (Input::new(ids), Vec::new());
    while !ids.is_empty() {
        let name = find(ids.u32()?).unwrap_or_default();
        names.put_string(name.as_bytes());
        if names.len() > DATA_MAX / 2 {
            return Err(Errno::INVAL.into());
        }
    }
    out.put_string(&names);
    Ok(())
}
