//! Which sessions of this host have begun and not ended: of a daemon that is killed nobody hears that they ended, so
//! the next one says it.
//!
//! A file beside the segments, and like them locked by the process that writes it: a line where a session begins and
//! one where it ends, each behind the event itself. A daemon that dies between the two tells of one end too many or too
//! few; so may a machine whose power fails, which forgets what was not on its disk.
//!
//! Refuses to keep a session from beginning or ending: what it cannot write is a line in the daemon's log.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use domain::Timestamp;
use domain::audit::{Context, Detail, Event};
use domain::label::Labels;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

const PREFIX: &str = "sessions-";
const SUFFIX: &str = ".jsonl";

/// How many names are tried for a file; each failure means another process has one, or one that died.
const TRIES: u32 = 100;

/// From this size on a file is emptied when no session is open.
const SPARE: u64 = 64 * 1024;

/// From this size on what is open is written into a new file, and then each time that has doubled.
const FULL: u64 = 1024 * 1024;

/// The most that is read of a file: a hundred thousand sessions, more than a node takes at one time.
const READ_MAX: u64 = 64 * FULL;

/// What is told of a session nobody saw end.
const LOST: &str = "its end was not on record when the daemon started again: session_stop is when that was found out; programs of it that did not need its connection may have gone on";

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Begun(Box<Begun>),
    /// The session of this identifier.
    Ended(String),
}

/// A session that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Begun {
    /// Without the host's labels, which may be many and stand on the session's start.
    context: Context,
    interactive: bool,
    session_start: Timestamp,
}

impl Begun {
    /// Its end, found out now. What place that has among the session's events nobody knows. It goes by the session's
    /// own identifier, so that the log has it once, however often it is told.
    pub(super) fn lost(&self, now: Timestamp) -> Map<String, Value> {
        let uid = Uuid::try_parse(&self.context.sid).unwrap_or_default();
        let detail = Detail::SessionEnd {
            interactive: self.interactive,
            participants: vec![self.context.user.clone()],
            session_start: self.session_start,
            session_stop: now,
            enhanced_recording: false,
            reason: Some(LOST.to_owned()),
        };
        let mut end = Event { uid, time: now, context: self.context.clone(), detail }.to_json();
        end.remove("ei");
        end
    }
}

/// The sessions of this process.
pub(super) struct Ledger {
    folder: PathBuf,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// Made with the first session, so that a full disk keeps no host from starting.
    file: Option<(PathBuf, File)>,
    length: u64,
    /// At which length it is renewed.
    most: u64,
    /// The lines of those that are open.
    open: BTreeMap<String, Vec<u8>>,
}

impl Ledger {
    /// Nothing is made yet.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), book: Mutex::default() }
    }

    /// Notes where a session begins or ends; other events are none of its business.
    pub(super) fn note(&self, event: &Event) {
        let noted = match &event.detail {
            Detail::SessionStart { interactive, .. } => self.begin(event, *interactive),
            Detail::SessionEnd { .. } => self.end(&event.context.sid),
            _ => return,
        };
        if let Err(error) = noted {
            let (component, folder) = ("audit", self.folder.display());
            tracing::warn!(component, %folder, %error, "should this daemon die, a session's end may not be told rightly");
        }
    }

    fn begin(&self, event: &Event, interactive: bool) -> io::Result<()> {
        let context = Context { server_labels: Labels::default(), ..event.context.clone() };
        let sid = context.sid.clone();
        let begun = Begun { context, interactive, session_start: event.time };
        let line = line(&Line::Begun(Box::new(begun)))?;
        let mut book = self.book.lock();
        if book.file.is_none() || book.length >= book.most {
            let renewed = book.renew(&self.folder);
            // Where there is a file, that one goes on.
            if book.file.is_none() {
                renewed?;
            }
        }
        book.append(&line)?;
        book.open.insert(sid, line);
        Ok(())
    }

    fn end(&self, sid: &str) -> io::Result<()> {
        let mut book = self.book.lock();
        if book.open.remove(sid).is_none() {
            return Ok(());
        }
        let ended = book.append(&line(&Line::Ended(sid.to_owned()))?);
        // Cutting needs no room.
        if book.open.is_empty() && (ended.is_err() || book.length >= SPARE) {
            return book.empty();
        }
        if ended.is_err() {
            // Else the session would be told to have been open.
            book.most = 0;
        }
        ended
    }
}

impl Book {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let Some((_, file)) = &self.file else { return Ok(()) };
        if let Err(error) = file.write_all_at(line, self.length) {
            // The next line begins at the same place; what remains of this one must not outlast it.
            let _ = file.set_len(self.length);
            return Err(error);
        }
        self.length += line.len() as u64;
        Ok(())
    }

    fn empty(&mut self) -> io::Result<()> {
        let Some((_, file)) = &self.file else { return Ok(()) };
        file.set_len(0)?;
        self.length = 0;
        Ok(())
    }

    /// Goes on in a new file, which has what is open.
    fn renew(&mut self, folder: &Path) -> io::Result<()> {
        let (path, file) = create(folder)?;
        let open: Vec<u8> = self.open.values().flatten().copied().collect();
        if let Err(error) = file.write_all_at(&open, 0) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        self.length = open.len() as u64;
        self.most = FULL.max(2 * self.length);
        if let Some((path, old)) = self.file.replace((path, file)) {
            // Should it stay, it tells of nobody.
            let _ = old.set_len(0);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(component = "audit", file = %path.display(), %error, "a file for open sessions stays");
            }
        }
        Ok(())
    }
}

fn line(line: &Line) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A new file that is locked by this process.
fn create(folder: &Path) -> io::Result<(PathBuf, File)> {
    for number in 1..=TRIES {
        let path = folder.join(format!("{PREFIX}{number}{SUFFIX}"));
        let mut options = OpenOptions::new();
        let file = match options.read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        };
        // Between making and locking, another process may have found it empty and removed it.
        if file.try_lock().is_ok() && file.metadata()?.nlink() > 0 {
            return Ok((path, file));
        }
    }
    Err(io::Error::other(format!("all {TRIES} names of files for open sessions are taken")))
}

/// A file of a daemon that died. It is locked, so that no other daemon tells of it too.
pub(super) struct Dead {
    path: PathBuf,
    sessions: Vec<Begun>,
    _lock: File,
}

impl Dead {
    /// The sessions that were open.
    pub(super) fn sessions(&self) -> &[Begun] {
        &self.sessions
    }

    /// Their ends are kept.
    pub(super) fn forget(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(component = "audit", file = %self.path.display(), %error, "ends of sessions will be told again");
        }
    }
}

/// What daemons left that died. What cannot be read is passed over: no host is kept from starting by it.
pub(super) fn left_behind(folder: &Path) -> Vec<Dead> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let ours = names.filter(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
    let dead = ours.filter_map(|name| {
        let path = folder.join(name);
        take_over(&path).unwrap_or_else(|error| {
            tracing::warn!(component = "audit", file = %path.display(), %error, "which sessions a daemon left open cannot be read");
            None
        })
    });
    dead.collect()
}

/// A file that nobody holds; none when somebody does or it is gone.
fn take_over(path: &Path) -> io::Result<Option<Dead>> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.try_lock().is_err() || file.metadata()?.nlink() == 0 {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    (&file).take(READ_MAX).read_to_end(&mut bytes)?;
    Ok(Some(Dead { path: path.to_owned(), sessions: open(&bytes), _lock: file }))
}

/// The sessions that are open at the end of these lines; the last may be torn.
fn open(bytes: &[u8]) -> Vec<Begun> {
    let mut open = BTreeMap::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match serde_json::from_slice(line) {
            Ok(Line::Begun(begun)) => {
                open.insert(begun.context.sid.clone(), begun);
            }
            Ok(Line::Ended(sid)) => {
                open.remove(&sid);
            }
            Err(_) => {}
        }
    }
    let mut open: Vec<_> = open.into_values().map(|begun| *begun).collect();
    open.sort_by_key(|begun| begun.session_start);
    open
}

#[cfg(test)]
mod tests;
