//! What is done to files, by path or by descriptor.
//!
//! Relative paths start at the user's home folder, where the process stands. Nothing here checks what
//! the user may do: the process is the user.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use domain::audit::FileAccess;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid, chmod, chownat,
    fchmod, fchown, ftruncate, futimens, lstat, open, renameat, renameat_with, utimensat,
};
use rustix::io::Errno;

use super::attributes::Attributes;
use super::status::Failure;

/// How a file is opened (draft-ietf-secsh-filexfer-02 section 6.3).
const READ: u32 = 1;
const WRITE: u32 = 2;
const APPEND: u32 = 4;
const CREATE: u32 = 8;
const TRUNCATE: u32 = 16;
const EXCLUSIVE: u32 = 32;

/// The mode bits a client may set.
const MODE_BITS: u32 = 0o7777;

fn mode_of(attributes: &Attributes, default: u32) -> Mode {
    Mode::from_raw_mode(attributes.permissions.unwrap_or(default) & MODE_BITS)
}

/// Opens or makes a file.
pub(super) fn open_file(path: &[u8], flags: u32, attributes: &Attributes) -> Result<OwnedFd, Failure> {
    // Never blocking: opening a pipe without another end would hold the whole session up.
    let mut how = OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    how |= match access(flags) {
        FileAccess::ReadWrite => OFlags::RDWR,
        FileAccess::Write => OFlags::WRONLY,
        FileAccess::Read => OFlags::RDONLY,
    };
    for (flag, meaning) in [
        (APPEND, OFlags::APPEND),
        (CREATE, OFlags::CREATE),
        (TRUNCATE, OFlags::TRUNC),
        (EXCLUSIVE, OFlags::EXCL),
    ] {
        how.set(meaning, flags & flag != 0);
    }
    Ok(open(path, how, mode_of(attributes, 0o666))?)
}

/// What a file is opened for.
pub(super) fn access(flags: u32) -> FileAccess {
    match (flags & READ != 0, flags & WRITE != 0) {
        (true, true) => FileAccess::ReadWrite,
        (false, true) => FileAccess::Write,
        (_, false) => FileAccess::Read,
    }
}

pub(super) fn open_folder(path: &[u8]) -> Result<OwnedFd, Failure> {
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(open(path, how, Mode::empty())?)
}

/// Reads at most this much and appends it; nothing at the end of the file.
pub(super) fn read_at(
    file: impl AsFd,
    offset: u64,
    length: usize,
    out: &mut Vec<u8>,
) -> Result<usize, Failure> {
    let start = out.len();
    out.resize(start + length, 0);
    let space = out.get_mut(start..).unwrap_or_default();
    let read = rustix::io::retry_on_intr(|| rustix::io::pread(&file, &mut *space, offset));
    out.truncate(start + read.unwrap_or(0));
    Ok(read?)
}

/// Writes all of it.
pub(super) fn write_at(file: impl AsFd, mut offset: u64, mut data: &[u8]) -> Result<(), Failure> {
    while !data.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(&file, data, offset))?;
        if written == 0 {
            return Err(Errno::IO.into());
        }
        data = data.get(written..).unwrap_or_default();
        offset = offset.saturating_add(written as u64);
    }
    Ok(())
}

fn timestamps((accessed, changed): (u32, u32)) -> Timestamps {
    let time = |seconds: u32| Timespec { tv_sec: seconds.into(), tv_nsec: 0 };
    Timestamps { last_access: time(accessed), last_modification: time(changed) }
}

fn owner((user, group): (u32, u32)) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))
}

/// Sets what the client names, in OpenSSH's order; stops at the first that fails.
pub(super) fn set_path(path: &[u8], attributes: &Attributes) -> Result<(), Failure> {
    if let Some(size) = attributes.size {
        let how = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        ftruncate(open(path, how, Mode::empty())?, size)?;
    }
    if attributes.permissions.is_some() {
        chmod(path, mode_of(attributes, 0))?;
    }
    if let Some(times) = attributes.times {
        utimensat(CWD, path, &timestamps(times), AtFlags::empty())?;
    }
    if let Some(ids) = attributes.owner {
        let (user, group) = owner(ids);
        chownat(CWD, path, user, group, AtFlags::empty())?;
    }
    Ok(())
}

/// The same for an open file.
pub(super) fn set_file(file: impl AsFd, attributes: &Attributes) -> Result<(), Failure> {
    if let Some(size) = attributes.size {
        ftruncate(&file, size)?;
    }
    if attributes.permissions.is_some() {
        fchmod(&file, mode_of(attributes, 0))?;
    }
    if let Some(times) = attributes.times {
        futimens(&file, &timestamps(times))?;
    }
    if let Some(ids) = attributes.owner {
        let (user, group) = owner(ids);
        fchown(&file, user, group)?;
    }
    Ok(())
}

/// The same for a link itself. Links have no size and, on Linux, no mode of their own.
pub(super) fn set_link(path: &[u8], attributes: &Attributes) -> Result<(), Failure> {
    if attributes.size.is_some() {
        return Err(Errno::INVAL.into());
    }
    if attributes.permissions.is_some() {
        if FileType::from_raw_mode(lstat(path)?.st_mode) == FileType::Symlink {
            return Err(Errno::OPNOTSUPP.into());
        }
        chmod(path, mode_of(attributes, 0))?;
    }
    if let Some(times) = attributes.times {
        utimensat(CWD, path, &timestamps(times), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    if let Some(ids) = attributes.owner {
        let (user, group) = owner(ids);
        chownat(CWD, path, user, group, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

pub(super) fn make_folder(path: &[u8], attributes: &Attributes) -> Result<(), Failure> {
    Ok(rustix::fs::mkdir(path, mode_of(attributes, 0o777))?)
}

/// Renames, but never over something that is there: version 3 has it so.
pub(super) fn rename_new(from: &[u8], to: &[u8]) -> Result<(), Failure> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Old kernels, and file systems that cannot promise it.
        Err(Errno::NOSYS | Errno::INVAL) => match lstat(to) {
            Ok(_) => Err(Errno::EXIST.into()),
            Err(_) => Ok(renameat(CWD, from, CWD, to)?),
        },
        renamed => Ok(renamed?),
    }
}

/// The absolute path without links, dots and doubled slashes. The last part need not exist, so that
/// clients can ask where a new file would be.
pub(super) fn real_path(path: &[u8]) -> Result<Vec<u8>, Failure> {
    let path = Path::new(OsStr::from_bytes(if path.is_empty() { b"." } else { path }));
    match path.canonicalize() {
        Ok(real) => Ok(real.into_os_string().into_vec()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // A link that leads nowhere exists, and what it leads to does not.
            let (Some(name), Err(_)) = (path.file_name(), path.symlink_metadata()) else {
                return Err(error.into());
            };
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            Ok(folder.canonicalize()?.join(name).into_os_string().into_vec())
        }
        Err(error) => Err(error.into()),
    }
}
