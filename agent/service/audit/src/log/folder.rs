//! The files of the log, behind two small traits so that tests can make them fail.
//!
//! Two processes may append to the same file for a moment, when one takes over from the other; an
//! exclusive lock around each group keeps their lines apart.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What each file of the log ends in; before it stands the day.
const SUFFIX: &str = ".00:00:00.log";

/// Always leads to the file written last.
const CURRENT: &str = "events.log";

/// Written and removed to find out whether a disk that was full takes bytes again.
const PROBE: &str = ".probe";
const PROBE_BYTES: usize = 64 * 1024;

/// The folder of the daily files.
pub(crate) trait Folder: Send {
    /// Opens the file of a day (`2026-11-21`) for appending, and makes it when it is not there.
    fn open(&mut self, day: &str) -> io::Result<Box<dyn LogFile>>;

    /// Tries whether the disk takes bytes.
    fn probe(&mut self) -> io::Result<()>;
}

/// The file of a day.
pub(crate) trait LogFile: Send {
    /// Keeps other processes out until `unlock`, or until this is dropped. Returns the length, or
    /// nothing when someone has removed the file.
    fn lock(&mut self) -> io::Result<Option<u64>>;

    /// Lets other processes in again.
    fn unlock(&mut self) -> io::Result<()>;

    /// The byte before `end`.
    fn byte_before(&mut self, end: u64) -> io::Result<u8>;

    /// Adds bytes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Takes away everything from `length` on.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Returns when everything is on disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// The folder on disk.
#[derive(Debug, Clone)]
pub(crate) struct DiskFolder {
    path: PathBuf,
}

impl DiskFolder {
    /// Makes the folder, readable by the group like its files.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o750).create(path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// The ends of the newest files, newest first, at most this many bytes of each. What is returned
    /// is on disk.
    pub(crate) fn newest_tails(&self, files: usize, bytes: u64) -> io::Result<Vec<Vec<u8>>> {
        let mut names: Vec<_> = fs::read_dir(&self.path)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(SUFFIX))
            .collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        names.iter().take(files).map(|name| tail(&self.path.join(name), bytes)).collect()
    }

    /// Leads `events.log` to a file. The link is a convenience: failing is no reason not to write.
    fn link(&self, name: &str) {
        let fresh = self.path.join(format!(".{CURRENT}.{}", std::process::id()));
        let _ = fs::remove_file(&fresh);
        let linked = std::os::unix::fs::symlink(name, &fresh)
            .and_then(|()| fs::rename(&fresh, self.path.join(CURRENT)));
        if let Err(error) = linked {
            tracing::warn!(component = "audit", %error, "cannot lead {CURRENT} to {name}");
        }
    }
}

impl Folder for DiskFolder {
    fn open(&mut self, day: &str) -> io::Result<Box<dyn LogFile>> {
        let name = format!("{day}{SUFFIX}");
        let path = self.path.join(&name);
        let mut options = OpenOptions::new();
        options.read(true).append(true).mode(0o640);
        let file = match options.clone().create_new(true).open(&path) {
            Ok(file) => {
                // The file's own fsync does not keep its name.
                File::open(&self.path)?.sync_all()?;
                file
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => options.open(&path)?,
            Err(error) => return Err(error),
        };
        self.link(&name);
        Ok(Box::new(DiskFile(file)))
    }

    fn probe(&mut self) -> io::Result<()> {
        let path = self.path.join(PROBE);
        let tried = File::create(&path).and_then(|mut file| {
            file.write_all(&[0; PROBE_BYTES])?;
            file.sync_data()
        });
        let removed = fs::remove_file(&path);
        tried.and(removed)
    }
}

/// The end of a file, beginning with a whole line.
fn tail(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.sync_data()?;
    let start = file.metadata()?.len().saturating_sub(bytes);
    file.seek(SeekFrom::Start(start))?;
    let mut text = Vec::new();
    file.take(bytes).read_to_end(&mut text)?;
    if start > 0 {
        let first = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
        text.drain(..first);
    }
    Ok(text)
}

struct DiskFile(File);

impl LogFile for DiskFile {
    fn lock(&mut self) -> io::Result<Option<u64>> {
        self.0.lock()?;
        let metadata = self.0.metadata()?;
        Ok((metadata.nlink() > 0).then_some(metadata.len()))
    }

    fn unlock(&mut self) -> io::Result<()> {
        self.0.unlock()
    }

    fn byte_before(&mut self, end: u64) -> io::Result<u8> {
        let mut byte = [0];
        self.0.read_exact_at(&mut byte, end.saturating_sub(1))?;
        let [byte] = byte;
        Ok(byte)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
