//! `audit_events_uri` and `audit_sessions_uri`: where events and recordings are written.

use std::path::{Path, PathBuf};

use crate::field::Field;
use crate::section::Section;

/// Where events and recordings go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSettings {
    /// Every sink gets every event; the first is the one that is read back.
    pub events: Vec<EventSink>,
    /// The directory of recordings.
    pub sessions: PathBuf,
}

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventSink {
    /// A directory with one file per day.
    Directory(PathBuf),
    /// Standard output, one line of JSON each.
    Stdout,
}

/// Schemes that name stores this version does not write to.
const ELSEWHERE: &[&str] = &["dynamodb", "firestore", "postgresql", "athena", "s3", "gs", "azblob"];

/// Reads both keys; both default to `<data_dir>/log`.
pub(super) fn read(storage: &mut Section<'_>, data_dir: &Path) -> AuditSettings {
    let log = data_dir.join("log");
    let events = storage.field("audit_events_uri").map(|field| {
        let items = field.list_or_one();
        if items.is_empty() {
            field.problem("is empty; list at least one place or remove the key");
        }
        items.iter().filter_map(sink).collect()
    });
    let sessions = storage.field("audit_sessions_uri").and_then(|field| match sink(&field)? {
        EventSink::Directory(path) => Some(path),
        EventSink::Stdout => {
            field.problem("recordings cannot go to stdout; write file:///absolute/path");
            None
        }
    });
    AuditSettings {
        events: events.unwrap_or_else(|| vec![EventSink::Directory(log.clone())]),
        sessions: sessions.unwrap_or(log),
    }
}

fn sink(field: &Field<'_>) -> Option<EventSink> {
    let text = field.text()?;
    let message = match text.split_once("://") {
        Some(("stdout", _)) => return Some(EventSink::Stdout),
        Some(("file", path)) if path.starts_with('/') => {
            return Some(EventSink::Directory(PathBuf::from(path)));
        }
        Some(("file", _)) => "needs three slashes before an absolute path: file:///absolute/path".to_owned(),
        Some((scheme, _)) if ELSEWHERE.contains(&scheme) => {
            format!("{scheme} is not served by this version; use file:///absolute/path or stdout://")
        }
        _ => "must be file:///absolute/path or stdout://".to_owned(),
    };
    field.problem(message);
    None
}
