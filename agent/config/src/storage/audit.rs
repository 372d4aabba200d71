//! `audit_events_uri` and `audit_sessions_uri`: where events and recordings are written.

use std::path::{Path, PathBuf};

use crate::field::Field;
use crate::section::Section;
use crate::unserved;

/// Where events and recordings go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditSettings {
    /// The directory of events, with one file per day.
    pub events: PathBuf,
    /// The directory of recordings.
    pub sessions: PathBuf,
}

/// Where events could go.
enum EventSink {
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
        events(&items)
    });
    let instead = "sessions are not recorded";
    unserved::without_effect(storage, &[("audit_sessions_uri", instead)]);
    let sessions = storage.field("audit_sessions_uri").and_then(|field| match sink(&field)? {
        EventSink::Directory(path) => Some(path),
        EventSink::Stdout => {
            field.problem("recordings cannot go to stdout; write file:///absolute/path");
            None
        }
    });
    AuditSettings {
        events: events.flatten().unwrap_or_else(|| log.clone()),
        sessions: sessions.unwrap_or(log),
    }
}

/// The first directory; whatever else is named gets nothing, and is told so.
fn events(items: &[Field<'_>]) -> Option<PathBuf> {
    let mut directory = None;
    for item in items {
        match sink(item) {
            Some(EventSink::Directory(path)) if directory.is_none() => directory = Some(path),
            Some(_) => item.warning("has no effect in this version: events are written to one directory"),
            None => {}
        }
    }
    directory
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
