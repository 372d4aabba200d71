//! Why a store cannot be opened.

use std::io;
use std::path::PathBuf;

use port::store::StoreError;

/// Why a store cannot be opened. Nothing was changed in a file that is not ours.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder is not there and cannot be made.
    #[error("cannot make the folder {path}; run as a user who may write there, or set another data_dir")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The folder or file is open to others and cannot be closed to them.
    #[error("cannot restrict {path} to its owner; run as the user who owns it, or set another data_dir")]
    Mode {
        /// Which.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The file may be read but not written.
    #[error("{path} is read-only; make it writable for this user, or set another data_dir")]
    ReadOnly {
        /// Which.
        path: PathBuf,
    },
    /// Another process keeps the file locked.
    #[error("another process has kept {path} locked for {seconds} s; find it with: fuser {path}")]
    Locked {
        /// Which.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// The file is something else.
    #[error("{path} is not an SQLite database; move it away to start afresh, or restore it from a backup")]
    NotSqlite {
        /// Which.
        path: PathBuf,
    },
    /// It is a database, but of another program.
    #[error("{path} is a database of another program; move it away, or set another data_dir")]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// It was written by a newer version of this program.
    #[error(
        "{path} has schema version {found}, this program knows up to {known}; run the newer program, or restore a backup made before the upgrade"
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// It is damaged.
    #[error("{path} is damaged; restore it from a backup")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What happened.
        #[source]
        source: rusqlite::Error,
    },
    /// The file system cannot do what the store needs.
    #[error(
        "{path} is on a file system without shared memory (journal mode stays {mode:?}); set data_dir to a local disk"
    )]
    FileSystem {
        /// Which.
        path: PathBuf,
        /// The journal mode the database stays in.
        mode: String,
    },
    /// A step of opening failed in another way.
    #[error("cannot {step} {path}; check the disk and the file's permissions")]
    Database {
        /// Which step.
        step: &'static str,
        /// Which file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: rusqlite::Error,
    },
    /// The writer's thread cannot be started.
    #[error("cannot start the thread that writes {path}; raise the limit of processes (ulimit -u)")]
    Thread {
        /// Which file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The runtime shut down in the middle.
    #[error("opening {path} was interrupted by shutdown")]
    Interrupted {
        /// Which.
        path: PathBuf,
    },
    /// A backend that somebody else keeps does not open.
    #[error("cannot {step} the storage backend; {}", advice(source))]
    Backend {
        /// Which step.
        step: &'static str,
        /// What it said.
        #[source]
        source: StoreError,
    },
}

/// Where to look when a backend does not open for this reason.
fn advice(source: &StoreError) -> &'static str {
    match source {
        StoreError::Refused(_) => "correct what the cause names; trying again does not help before that",
        _ => "check its servers, and under `storage` in teleport.yaml their addresses and credentials",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_refused_is_not_sent_to_look_whether_servers_run() {
        let text = |source| OpenError::Backend { step: "open", source }.to_string();
        let away = text(StoreError::Unavailable("nobody is there".to_owned()));
        assert!(away.contains("check its servers"), "{away}");
        let refused = text(StoreError::Refused("it is not granted kv".to_owned()));
        assert_eq!(
            refused,
            "cannot open the storage backend; correct what the cause names; trying again does not help before that"
        );
    }
}
