//! One client's requests and their answers. No loop and no streams: a packet in, a packet out.

use domain::audit::FileOperation;
use port::clock::{Clock, SystemClock};
use rustix::fd::AsFd;
use rustix::fs::{
    Stat, fstat, fstatvfs, fsync, lstat, readlink, rename, rmdir, stat, statvfs, symlink, unlink,
};

use super::attributes::Attributes;
use super::folder::{Folder, Names, write_entry};
use super::handle::{Handles, Opened};
use super::report::{Deed, Report};
use super::request::{EXTENSIONS, Extension, Packet, Request};
use super::status::{self, Code, Failure};
use super::wire::{DATA_MAX, Malformed, Output, VERSION, kind};
use super::{extension, operation};

/// What ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A packet too short to be answered.
    Short,
    /// A request before the first packet.
    NotBegun,
}

/// The state of one client.
pub(super) struct Server {
    handles: Handles,
    names: Names,
    report: Report,
    begun: bool,
}

/// What a request that succeeded has put into the answer.
enum Answer {
    /// Nothing: it is answered with a status.
    Done,
    /// A whole packet.
    Written,
}

impl Server {
    pub(super) fn new(report: Report) -> Self {
        Self { handles: Handles::default(), names: Names::default(), report, begun: false }
    }

    /// Sends the reports of what was answered so far.
    pub(super) fn send_report(&mut self) -> std::io::Result<()> {
        self.report.send()
    }

    /// Answers one packet.
    ///
    /// # Errors
    /// When no answer is possible; then nothing was written.
    pub(super) fn answer(&mut self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let (id, request) = match Packet::read(packet) {
            Err(Malformed) => return Err(Refusal::Short),
            Ok(Packet::Init) => {
                self.begun = true;
                write_version(out);
                return Ok(());
            }
            Ok(Packet::Request { .. }) if !self.begun => return Err(Refusal::NotBegun),
            Ok(Packet::Request { id, request }) => (id, request),
        };
        let start = out.len();
        let result =
            request.map_err(Failure::from).and_then(|request| self.perform_reported(id, request, out));
        match result {
            Ok(Answer::Written) => {}
            Ok(Answer::Done) => status::write(out, id, Code::Ok, "Success"),
            Err(failure) => {
                // Whatever was begun is not to be sent.
                out.truncate(start);
                status::write(out, id, failure.code, &failure.message);
            }
        }
        Ok(())
    }

    fn perform_reported(
        &mut self,
        id: u32,
        request: Request<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Answer, Failure> {
        if !self.report.is_wanted() {
            return self.perform(id, request, out);
        }
        // Before, because afterwards a handle may be closed.
        let path = match request {
            Request::Fsetstat { handle, .. } => self.handles.path(handle).map(<[u8]>::to_vec),
            _ => None,
        };
        let result = self.perform(id, request, out);
        if let Some(deed) = deed_of(request, path.as_deref()) {
            self.report.note(deed, result.as_ref().map(|_| ()));
        }
        result
    }

    fn perform(&mut self, id: u32, request: Request<'_>, out: &mut Vec<u8>) -> Result<Answer, Failure> {
        match request {
            Request::Open { path, flags, attributes } => {
                self.handles.check_room()?;
                let file = operation::open_file(path, flags, &attributes)?;
                return Ok(self.opened(id, Opened::File(file), path, out));
            }
            Request::Opendir { path } => {
                self.handles.check_room()?;
                let folder = Folder::new(operation::open_folder(path)?)?;
                return Ok(self.opened(id, Opened::Folder(folder), path, out));
            }
            Request::Close { handle } => self.handles.close(handle)?,
            Request::Read { handle, offset, length } => {
                return read(self.handles.file(handle)?, id, (offset, length), out);
            }
            Request::Write { handle, offset, data } => {
                operation::write_at(self.handles.file(handle)?, offset, data)?;
            }
            Request::Readdir { handle } => {
                let now = SystemClock.now().as_second();
                let start = begin(out, kind::NAME, id);
                self.handles.folder(handle)?.read(&mut self.names, now, out)?;
                return Ok(end(out, start));
            }
            Request::Lstat { path } => return Ok(attributes(out, id, &lstat(path)?)),
            Request::Stat { path } => return Ok(attributes(out, id, &stat(path)?)),
            Request::Fstat { handle } => return Ok(attributes(out, id, &fstat(self.handles.file(handle)?)?)),
            Request::Setstat { path, attributes } => operation::set_path(path, &attributes)?,
            Request::Fsetstat { handle, attributes } => {
                operation::set_file(self.handles.file(handle)?, &attributes)?;
            }
            Request::Remove { path } => unlink(path)?,
            Request::Mkdir { path, attributes } => operation::make_folder(path, &attributes)?,
            Request::Rmdir { path } => rmdir(path)?,
            Request::Rename { from, to } => operation::rename_new(from, to)?,
            Request::Symlink { target, link } => symlink(target, link)?,
            Request::Realpath { path } => return Ok(name(out, id, &operation::real_path(path)?)),
            Request::Readlink { path } => return Ok(name(out, id, readlink(path, Vec::new())?.as_bytes())),
            Request::Extended(extension) => return self.extend(id, extension, out),
            Request::Unknown => {
                return Err(Failure::new(Code::Unsupported, "This server knows no such request"));
            }
        }
        Ok(Answer::Done)
    }

    fn extend(&mut self, id: u32, request: Extension<'_>, out: &mut Vec<u8>) -> Result<Answer, Failure> {
        match request {
            Extension::PosixRename { from, to } => rename(from, to)?,
            Extension::Hardlink { from, to } => rustix::fs::link(from, to)?,
            Extension::Fsync { handle } => fsync(self.handles.file(handle)?)?,
            Extension::Lsetstat { path, attributes } => operation::set_link(path, &attributes)?,
            Extension::CopyData { from, from_offset, length, to, to_offset } => {
                // Reading and writing would overtake each other.
                if from == to {
                    return Err(Failure::new(Code::Failure, "A file cannot be copied into itself"));
                }
                let to = self.handles.file(to)?.as_fd().try_clone_to_owned()?;
                extension::copy((self.handles.file(from)?, from_offset), length, (to, to_offset))?;
            }
            Extension::Statvfs { path } => return Ok(file_system(out, id, &statvfs(path)?)),
            Extension::Fstatvfs { handle } => {
                return Ok(file_system(out, id, &fstatvfs(self.handles.file(handle)?)?));
            }
            Extension::Limits => {
                let start = begin(out, kind::EXTENDED_REPLY, id);
                extension::write_limits(out);
                return Ok(end(out, start));
            }
            Extension::ExpandPath { path } => return Ok(name(out, id, &extension::expand_path(path)?)),
            Extension::HomeDirectory { login } => return Ok(name(out, id, &extension::home(login)?)),
            Extension::UsersGroupsById { users, groups } => {
                let start = begin(out, kind::EXTENDED_REPLY, id);
                extension::write_names(out, users, groups)?;
                return Ok(end(out, start));
            }
            Extension::Unknown => {
                return Err(Failure::new(Code::Unsupported, "This server has no such extension"));
            }
        }
        Ok(Answer::Done)
    }

    fn opened(&mut self, id: u32, opened: Opened, path: &[u8], out: &mut Vec<u8>) -> Answer {
        let handle = self.handles.insert(opened, path);
        let start = begin(out, kind::HANDLE, id);
        out.put_string(&handle);
        end(out, start)
    }
}

/// What a request does to a file that is worth reporting, if anything. `open` is the path of the handle
/// it names.
fn deed_of<'a>(request: Request<'a>, open: Option<&'a [u8]>) -> Option<Deed<'a>> {
    use FileOperation as Op;
    let (action, path, target) = match request {
        Request::Open { path, .. } => (Op::Open, path, None),
        Request::Opendir { path } => (Op::Opendir, path, None),
        Request::Setstat { path, .. } | Request::Extended(Extension::Lsetstat { path, .. }) => {
            (Op::Setstat, path, None)
        }
        Request::Fsetstat { .. } => (Op::Setstat, open?, None),
        Request::Remove { path } => (Op::Remove, path, None),
        Request::Mkdir { path, .. } => (Op::Mkdir, path, None),
        Request::Rmdir { path } => (Op::Rmdir, path, None),
        Request::Rename { from, to } | Request::Extended(Extension::PosixRename { from, to }) => {
            (Op::Rename, from, Some(to))
        }
        Request::Symlink { target, link } => (Op::Symlink, target, Some(link)),
        Request::Extended(Extension::Hardlink { from, to }) => (Op::Link, from, Some(to)),
        _ => return None,
    };
    let access = match request {
        Request::Open { flags, .. } => Some(operation::access(flags)),
        _ => None,
    };
    Some(Deed { action, path, target, access })
}

fn begin(out: &mut Vec<u8>, kind: u8, id: u32) -> usize {
    let start = out.begin(kind);
    out.put_u32(id);
    start
}

fn end(out: &mut Vec<u8>, start: usize) -> Answer {
    out.end(start);
    Answer::Written
}

fn write_version(out: &mut Vec<u8>) {
    let start = out.begin(kind::VERSION);
    out.put_u32(VERSION);
    for (name, version) in EXTENSIONS {
        out.put_string(name.as_bytes());
        out.put_string(version.as_bytes());
    }
    out.end(start);
}

fn read(
    file: impl AsFd,
    id: u32,
    (offset, length): (u64, u32),
    out: &mut Vec<u8>,
) -> Result<Answer, Failure> {
    let start = begin(out, kind::DATA, id);
    let field = out.len();
    out.put_u32(0);
    let count = operation::read_at(file, offset, (length as usize).min(DATA_MAX), out)?;
    if count == 0 && length > 0 {
        return Err(Failure::eof());
    }
    if let (Some(field), Ok(count)) = (out.get_mut(field..field + 4), u32::try_from(count)) {
        field.copy_from_slice(&count.to_be_bytes());
    }
    Ok(end(out, start))
}

fn attributes(out: &mut Vec<u8>, id: u32, stat: &Stat) -> Answer {
    let start = begin(out, kind::ATTRS, id);
    Attributes::from(stat).write(out);
    end(out, start)
}

/// A single path, which is its own line.
fn name(out: &mut Vec<u8>, id: u32, path: &[u8]) -> Answer {
    let start = begin(out, kind::NAME, id);
    out.put_u32(1);
    write_entry(out, path, path, &Attributes::default());
    end(out, start)
}

fn file_system(out: &mut Vec<u8>, id: u32, stat: &rustix::fs::StatVfs) -> Answer {
    let start = begin(out, kind::EXTENDED_REPLY, id);
    extension::write_statvfs(out, stat);
    end(out, start)
}

#[cfg(test)]
mod tests;
