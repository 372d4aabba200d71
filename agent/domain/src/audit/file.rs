//! What events say of files that were copied or changed.

use serde::Serialize;

/// Which way a file went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileAction {
    /// From the node to the client.
    Download,
    /// From the client to the node.
    Upload,
}

/// How files are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyProtocol {
    /// The command `scp`.
    Scp,
    /// The subsystem `sftp`.
    Sftp,
}

/// What was done to a file over SFTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileOperation {
    /// Opened.
    Open,
    /// Attributes changed.
    Setstat,
    /// A folder listed.
    Opendir,
    /// Removed.
    Remove,
    /// A folder made.
    Mkdir,
    /// A folder removed.
    Rmdir,
    /// Renamed.
    Rename,
    /// A symbolic link made.
    Symlink,
    /// A hard link made.
    Link,
}

/// What a file was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
pub enum FileAccess {
    /// To be read: taken from the node, for all the node knows.
    #[serde(rename = "read")]
    Read,
    /// To be written.
    #[serde(rename = "write")]
    Write,
    /// Both.
    #[serde(rename = "read+write")]
    ReadWrite,
}

impl FileOperation {
    /// The code of its event.
    pub(super) fn code(self, success: bool) -> &'static str {
        use FileOperation as Op;
        match (self, success) {
            (Op::Open, true) => "TS001I",
            (Op::Open, false) => "TS001E",
            (Op::Setstat, true) => "TS007I",
            (Op::Setstat, false) => "TS007E",
            (Op::Opendir, true) => "TS009I",
            (Op::Opendir, false) => "TS009E",
            (Op::Remove, true) => "TS011I",
            (Op::Remove, false) => "TS011E",
            (Op::Mkdir, true) => "TS012I",
            (Op::Mkdir, false) => "TS012E",
            (Op::Rmdir, true) => "TS013I",
            (Op::Rmdir, false) => "TS013E",
            (Op::Rename, true) => "TS016I",
            (Op::Rename, false) => "TS016E",
            (Op::Symlink, true) => "TS018I",
            (Op::Symlink, false) => "TS018E",
            (Op::Link, true) => "TS019I",
            (Op::Link, false) => "TS019E",
        }
    }
}
