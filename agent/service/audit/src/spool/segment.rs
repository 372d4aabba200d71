//! One file of the spool: a header that says how far it is acknowledged, and lines of events.
//!
//! The header is a line of fixed length, overwritten in place, so that a segment and its position
//! can never part. A segment belongs to the process that holds its lock; when that process dies, by
//! whatever death, the lock is free and the next one may take the segment over.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The length of the header: `{"acked":"` and 20 digits and `"}` and a line break.
const HEADER: u64 = 33;

const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";

/// How many names are tried for a new segment; each failure means another process took one.
const TRIES: usize = 100;

/// Makes the folder of the spool. What is in it names users and commands, so it is private.
pub(super) fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A segment that is locked by this process.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    length: AtomicU64,
    acknowledged: AtomicU64,
    /// Whether the header on disk may point behind lines that are to come.
    stale: AtomicBool,
}

impl Segment {
    /// Begins a segment that sorts behind every other.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let first = numbers(folder)?.last().map_or(1, |last| last + 1);
        for number in (first..).take(TRIES) {
            let path = folder.join(format!("{PREFIX}{number:020}{SUFFIX}"));
            let mut options = OpenOptions::new();
            let file = match options.read(true).write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            // Between making and locking, another process may have found it empty and removed it.
            if file.try_lock().is_ok() && file.metadata()?.nlink() > 0 {
                let segment = Self {
                    path,
                    file,
                    length: HEADER.into(),
                    acknowledged: HEADER.into(),
                    stale: false.into(),
                };
                return match segment.write_header(HEADER) {
                    Ok(()) => Ok(segment),
                    // A full disk must not be littered with one more name for each event.
                    Err(error) => segment.remove().and(Err(error)),
                };
            }
        }
        Err(io::Error::other("other processes keep taking the names of new segments"))
    }

    /// Takes over a segment that nobody holds; none when somebody does or it is gone.
    pub(super) fn take_over(path: &Path) -> io::Result<Option<Self>> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let metadata = file.metadata()?;
        if metadata.nlink() == 0 {
            return Ok(None);
        }
        let length = metadata.len();
        let acknowledged = read_header(&file)?.clamp(HEADER, length.max(HEADER));
        Ok(Some(Self {
            path: path.to_owned(),
            file,
            length: length.into(),
            acknowledged: acknowledged.into(),
            stale: false.into(),
        }))
    }

    /// Whether it is this file.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        self.path == path
    }

    /// Where the next line goes. Lines before it are whole.
    pub(super) fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// Up to where the auth server has everything.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// Whether no line is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.length() <= HEADER
    }

    /// Adds a line. The caller sees to it that one line is added at a time.
    pub(super) fn append(&self, line: &[u8]) -> io::Result<()> {
        if self.stale.load(Ordering::Acquire) {
            // A line that the next process would pass over is not kept.
            self.rewind()?;
        }
        let at = self.length();
        if let Err(error) = self.file.write_all_at(line, at) {
            // The next line begins at the same place; what remains of this one must not outlast it.
            let _ = self.file.set_len(at);
            return Err(error);
        }
        self.length.store(at + line.len() as u64, Ordering::Release);
        Ok(())
    }

    /// Bytes from a position on, at most so many and never beyond the last line.
    pub(super) fn read(&self, from: u64, most: usize) -> io::Result<Vec<u8>> {
        let there = usize::try_from(self.length().saturating_sub(from)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; there.min(most)];
        self.file.read_exact_at(&mut bytes, from)?;
        Ok(bytes)
    }

    /// Notes that everything before a position has arrived.
    pub(super) fn acknowledge(&self, up_to: u64) -> io::Result<()> {
        self.write_header(up_to)?;
        self.acknowledged.store(up_to, Ordering::Release);
        Ok(())
    }

    /// Forgets its lines, all of which have arrived. The caller keeps others from adding meanwhile.
    pub(super) fn empty(&self) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        // In this order: after a death between the two the header points behind the end, which
        // reads as an empty segment. The other way round, lines would be sent again.
        self.file.set_len(HEADER)?;
        self.length.store(HEADER, Ordering::Release);
        self.acknowledged.store(HEADER, Ordering::Release);
        self.stale.store(true, Ordering::Release);
        self.rewind()
    }

    /// Has the header say that nothing is acknowledged.
    fn rewind(&self) -> io::Result<()> {
        self.write_header(HEADER)?;
        self.stale.store(false, Ordering::Release);
        Ok(())
    }

    /// Removes the file.
    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    fn write_header(&self, acknowledged: u64) -> io::Result<()> {
        let mut header = Vec::with_capacity(HEADER as usize);
        writeln!(header, r#"{{"acked":"{acknowledged:020}"}}"#)?;
        self.file.write_all_at(&header, 0)
    }
}

/// The position in the header; the beginning when it cannot be read, which only sends events again.
fn read_header(file: &File) -> io::Result<u64> {
    let mut header = [0; HEADER as usize];
    match file.read_exact_at(&mut header, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(HEADER),
        Err(error) => return Err(error),
    }
    let digits = std::str::from_utf8(&header).ok().and_then(|text| text.get(10..30));
    Ok(digits.and_then(|digits| digits.parse().ok()).unwrap_or(HEADER))
}

/// The numbers of the segments there are, in order.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<_> = fs::read_dir(folder)?
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()
        })
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The segments there are, in order, whoever holds them.
pub(super) fn paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let path = |number| folder.join(format!("{PREFIX}{number:020}{SUFFIX}"));
    Ok(numbers(folder)?.into_iter().map(path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_could_not_be_written_hides_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut segment = Segment::create(folder.path()).unwrap();
        segment.append(b"first\n").unwrap();
        segment.acknowledge(segment.length()).unwrap();
        // A descriptor that may be read and cut but not written to stands for a disk that is full.
        let whole = std::mem::replace(&mut segment.file, File::open(&segment.path).unwrap());
        whole.set_len(HEADER).unwrap();
        segment.length.store(HEADER, Ordering::Release);
        segment.acknowledged.store(HEADER, Ordering::Release);
        segment.stale.store(true, Ordering::Release);
        assert!(segment.append(b"second\n").is_err(), "it cannot be told that nothing is acknowledged");
        segment.file = whole;
        segment.append(b"second\n").unwrap();
        assert_eq!(segment.read(segment.acknowledged(), 100).unwrap(), b"second\n");
        let path = segment.path.clone();
        drop(segment);
        let again = Segment::take_over(&path).unwrap().unwrap();
        assert_eq!(again.read(again.acknowledged(), 100).unwrap(), b"second\n");
    }
}
