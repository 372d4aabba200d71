//! Where events are kept and how much of them.

use std::path::{Path, PathBuf};

/// Settings of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// The folder of the daily files.
    pub folder: PathBuf,
    /// Put on events that do not name their cluster.
    pub cluster_name: String,
    /// How many of the latest events are remembered, so that a second delivery of one is not
    /// written again. Each takes about 50 bytes of memory.
    pub remembered: usize,
}

impl LogSettings {
    /// A log in this folder, with the usual memory.
    pub fn new(folder: PathBuf, cluster_name: impl Into<String>) -> Self {
        Self { folder, cluster_name: cluster_name.into(), remembered: 128 * 1024 }
    }
}

/// Settings of the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolSettings {
    /// The folder of the segments.
    pub folder: PathBuf,
    /// How many bytes of events may wait for the auth server; more are refused.
    pub max_bytes: u64,
    /// How large a segment grows before the next is begun.
    pub segment_bytes: u64,
}

impl SpoolSettings {
    /// The usual place below a data folder, `<data_dir>/spool`, and the usual 64 MiB.
    pub fn new(data_dir: &Path) -> Self {
        const MIB: u64 = 1024 * 1024;
        Self { folder: data_dir.join("spool"), max_bytes: 64 * MIB, segment_bytes: MIB }
    }
}
