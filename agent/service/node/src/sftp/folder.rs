//! Listing a folder, with a line per entry as `ls -l` writes it.
//!
//! OpenSSH's client prints these lines as they come; others read the attributes beside them.

use std::collections::HashMap;
use std::fmt::Write;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType, Stat, statat};

use super::attributes::Attributes;
use super::status::Failure;
use super::wire::Output;

/// The most entries of one answer.
const ENTRIES_MAX: usize = 256;
/// An answer is sent once it has this many bytes.
const BYTES_MAX: usize = 64 * 1024;
/// How many names of users and groups are remembered.
const NAMES_MAX: usize = 4096;
/// How long a change is recent, in seconds: half a year, as for `ls`.
const RECENT: i64 = 365 * 24 * 60 * 60 / 2;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A folder that is being listed.
pub(super) struct Folder {
    entries: Dir,
}

impl Folder {
    pub(super) fn new(folder: OwnedFd) -> Result<Self, Failure> {
        Ok(Self { entries: Dir::new(folder)? })
    }

    /// Writes the count of the next entries and then the entries; an end-of-file failure when there are
    /// no more. `now` is in seconds since 1970.
    pub(super) fn read(&mut self, names: &mut Names, now: i64, out: &mut Vec<u8>) -> Result<(), Failure> {
        let start = out.len();
        let mut count = 0u32;
        out.put_u32(0);
        while (count as usize) < ENTRIES_MAX && out.len() - start < BYTES_MAX {
            let Some(entry) = self.entries.read() else { break };
            let entry = entry?;
            let Ok(stat) = statat(self.entries.fd()?, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else {
                // Removed since, or in a folder that may be listed and not entered.
                continue;
            };
            let name = entry.file_name().to_bytes();
            write_entry(out, name, &names.line(name, &stat, now), &Attributes::from(&stat));
            count += 1;
        }
        if count == 0 {
            return Err(Failure::eof());
        }
        if let Some(field) = out.get_mut(start..start + 4) {
            field.copy_from_slice(&count.to_be_bytes());
        }
        Ok(())
    }
}

/// One entry of an answer of names.
pub(super) fn write_entry(out: &mut Vec<u8>, name: &[u8], line: &[u8], attributes: &Attributes) {
    out.put_string(name);
    out.put_string(line);
    attributes.write(out);
}

/// Names of users and groups, asked for once.
#[derive(Default)]
pub(super) struct Names {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Names {
    /// An entry as `ls -l` writes it.
    fn line(&mut self, name: &[u8], stat: &Stat, now: i64) -> Vec<u8> {
        let mut line = String::with_capacity(64 + name.len());
        let user = remember(&mut self.users, stat.st_uid, sys::users::user_name);
        let group = remember(&mut self.groups, stat.st_gid, sys::users::group_name);
        mode(stat.st_mode, &mut line);
        // Writing to a string does not fail.
        _ = write!(line, " {:>3} {user:<8} {group:<8} {:>8} ", stat.st_nlink, stat.st_size);
        date(stat.st_mtime, now, &mut line);
        line.push(' ');
        let mut line = line.into_bytes();
        line.extend_from_slice(name);
        line
    }
}

/// The name of an id, or its number where it has none.
fn remember(names: &mut HashMap<u32, String>, id: u32, find: impl Fn(u32) -> Option<String>) -> &str {
    if names.len() >= NAMES_MAX && !names.contains_key(&id) {
        names.clear();
    }
    names.entry(id).or_insert_with(|| find(id).unwrap_or_else(|| id.to_string()))
}

/// `drwxr-xr-x`
fn mode(mode: u32, out: &mut String) {
    out.push(match FileType::from_raw_mode(mode) {
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        _ => '-',
    });
    // For each class: its shift, the bit that changes its `x`, and to what, with `x` and without.
    for (shift, special, with, without) in
        [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')]
    {
        let bits = mode >> shift;
        out.push(if bits & 4 != 0 { 'r' } else { '-' });
        out.push(if bits & 2 != 0 { 'w' } else { '-' });
        out.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => with,
            (false, true) => without,
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
}

/// `Jan  1 12:34`, or with the year when it is long ago or yet to come.
fn date(seconds: i64, now: i64, out: &mut String) {
    let Some(time) = sys::local_time::local_time(seconds) else {
        out.push_str("           ?");
        return;
    };
    let month = MONTHS.get(usize::from(time.month)).copied().unwrap_or("???");
    // Writing to a string does not fail.
    _ = if seconds <= now && now - seconds < RECENT {
        write!(out, "{month} {:>2} {:02}:{:02}", time.day, time.hour, time.minute)
    } else {
        write!(out, "{month} {:>2} {:>5}", time.day, time.year)
    };
}

#[cfg(test)]
mod tests {
    use super::super::wire::Input;
    use super::*;

    #[test]
    fn modes_are_written_as_ls_writes_them() {
        let cases = [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o120_777, "lrwxrwxrwx"),
            (0o104_755, "-rwsr-xr-x"),
            (0o106_644, "-rwSr-Sr--"),
            (0o041_777, "drwxrwxrwt"),
            (0o041_776, "drwxrwxrwT"),
            (0o020_620, "crw--w----"),
            (0o140_600, "srw-------"),
            (0o010_000, "p---------"),
            (0o060_000, "b---------"),
        ];
        for (bits, expected) in cases {
            let mut line = String::new();
            mode(bits, &mut line);
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn old_and_future_dates_have_their_year() {
        let written = |seconds, now| {
            let mut line = String::new();
            date(seconds, now, &mut line);
            line
        };
        let noon = 1_700_000_000;
        assert!(written(noon, noon + 60).contains(':'));
        assert!(written(noon, noon + RECENT).ends_with("  2023"));
        assert!(written(noon, noon - 60).ends_with("  2023"));
        assert_eq!(written(noon, noon).len(), written(noon, 0).len(), "columns stay columns");
        assert_eq!(written(i64::MAX, 0).len(), 12);
    }

    #[test]
    fn a_large_folder_comes_in_parts_and_then_ends() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..ENTRIES_MAX * 2 {
            std::fs::write(folder.path().join(format!("file-{index:04}")), "").unwrap();
        }
        let mut listing = Folder::new(std::fs::File::open(folder.path()).unwrap().into()).unwrap();
        let (mut names, mut found) = (Names::default(), Vec::new());
        let end = loop {
            let mut out = Vec::new();
            match listing.read(&mut names, 0, &mut out) {
                Ok(()) => {
                    let mut input = Input::new(&out);
                    let count = input.u32().unwrap();
                    assert!(count as usize <= ENTRIES_MAX);
                    for _ in 0..count {
                        found.push(String::from_utf8(input.string().unwrap().to_vec()).unwrap());
                        assert!(input.string().unwrap().ends_with(found.last().unwrap().as_bytes()));
                        Attributes::read(&mut input).unwrap();
                    }
                    assert!(input.is_empty());
                }
                Err(failure) => break failure,
            }
        };
        assert_eq!(end, Failure::eof());
        found.sort();
        assert_eq!(found.len(), ENTRIES_MAX * 2 + 2, "and the two that every folder has");
        assert_eq!(&found[..3], [".", "..", "file-0000"]);
    }
}
