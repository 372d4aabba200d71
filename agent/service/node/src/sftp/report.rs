//! What is told to the daemon: one JSON document per line.
//!
//! Lines are kept until the answers that belong to them are about to be sent, and are sent first: a
//! client never learns of something that was not reported. Reading and writing are not reported one
//! by one; the opening is.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use domain::audit::{FileAccess, FileOperation};
use serde::Serialize;

use super::status::Failure;

/// As much of a path as is told, in bytes: no path of a real file is longer on Linux.
const PATH_MAX: usize = 4096;

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    action: FileOperation,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<FileAccess>,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// What was done to which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deed<'a> {
    pub(super) action: FileOperation,
    pub(super) path: &'a [u8],
    /// The new path of a rename or link.
    pub(super) target: Option<&'a [u8]>,
    /// What a file is opened for.
    pub(super) access: Option<FileAccess>,
}

/// Where the lines go; nowhere when nobody asked for them.
pub(super) struct Report {
    out: Option<File>,
    lines: Vec<u8>,
    /// What relative paths are relative to.
    folder: PathBuf,
}

impl Report {
    pub(super) fn new(out: Option<File>) -> Self {
        // A folder that was removed under us has no name; paths are then told as they came.
        Self { out, lines: Vec::new(), folder: std::env::current_dir().unwrap_or_default() }
    }

    /// Whether anyone wants to know.
    pub(super) fn is_wanted(&self) -> bool {
        self.out.is_some()
    }

    /// Notes how something went.
    pub(super) fn note(&mut self, deed: Deed<'_>, result: Result<(), &Failure>) {
        let line = Line {
            action: deed.action,
            path: self.absolute(deed.path),
            target_path: deed.target.map(|target| self.absolute(target)),
            access: deed.access,
            success: result.is_ok(),
            error: result.err().map(|failure| failure.message.as_str()),
        };
        // Texts and flags always become JSON.
        if serde_json::to_writer(&mut self.lines, &line).is_ok() {
            self.lines.push(b'\n');
        }
    }

    fn absolute(&self, path: &[u8]) -> String {
        let path = path.get(..PATH_MAX).unwrap_or(path);
        let full = self.folder.join(std::ffi::OsStr::from_bytes(path));
        full.to_string_lossy().into_owned()
    }

    /// Sends what was noted.
    ///
    /// # Errors
    /// When the daemon does not listen any more.
    pub(super) fn send(&mut self) -> io::Result<()> {
        if let Some(out) = &mut self.out {
            out.write_all(&self.lines)?;
        }
        self.lines.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::super::status::Code;
    use super::*;

    #[test]
    fn lines_are_documents_with_whole_paths() {
        let mut file = tempfile::tempfile().unwrap();
        let mut report = Report::new(Some(file.try_clone().unwrap()));
        let access = Some(FileAccess::ReadWrite);
        let open = Deed { action: FileOperation::Open, path: b"/etc/\xffx\n", target: None, access };
        report.note(open, Ok(()));
        let failure = Failure::new(Code::PermissionDenied, "Permission denied");
        let rename = Deed { action: FileOperation::Rename, path: b"a", target: Some(b"/b"), access: None };
        report.note(rename, Err(&failure));
        assert_eq!(file.metadata().unwrap().len(), 0, "nothing is sent before its time");
        report.send().unwrap();
        report.send().unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let here = std::env::current_dir().unwrap();
        let expected = [
            serde_json::json!({"action": "open", "path": "/etc/\u{fffd}x\n", "access": "read+write", "success": true}),
            serde_json::json!({
                "action": "rename", "path": here.join("a").to_str().unwrap(), "target_path": "/b",
                "success": false, "error": "Permission denied"
            }),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_path_as_long_as_a_packet_makes_no_line_longer_than_the_daemon_reads() {
        let mut report = Report::new(None);
        let path = vec![0x01; 200_000];
        let deed = Deed { action: FileOperation::Link, path: &path, target: Some(&path), access: None };
        report.note(deed, Ok(()));
        assert!(report.lines.len() < 60_000, "{}", report.lines.len());
    }
}
