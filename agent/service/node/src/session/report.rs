//! What the SFTP server reports, line by line, becomes events.
//!
//! The lines come from a process that is the user's. What they say is written down as that user's
//! doing, and nothing else follows from it.

use std::sync::Arc;

use domain::audit::{Detail, FileAccess, FileOperation, Outcome};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;

use super::journal::Journal;

/// The longest line, in bytes: two paths of the longest kind, escaped.
const LINE_MAX: u64 = 64 * 1024;

/// One operation, as the server tells it.
#[derive(Debug, Deserialize)]
struct Report {
    action: FileOperation,
    path: String,
    #[serde(default)]
    target_path: Option<String>,
    #[serde(default)]
    access: Option<FileAccess>,
    success: bool,
    #[serde(default)]
    error: Option<String>,
}

/// Writes events until the server has ended.
pub(super) async fn follow(report: pipe::Receiver, journal: Arc<Journal>) {
    let mut lines = BufReader::new(report);
    loop {
        let mut line = Vec::new();
        match (&mut lines).take(LINE_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        // A line that makes no sense is not ours to repair; the next one may.
        let Ok(Report { action, path, target_path, access, success, error }) = serde_json::from_slice(&line)
        else {
            continue;
        };
        let detail = Detail::Sftp { action, path, target_path, access, outcome: Outcome { success, error } };
        journal.note(detail).await;
    }
}
