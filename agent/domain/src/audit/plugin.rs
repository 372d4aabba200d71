//! What the log tells of plugins: each time other code begins to run in the daemon, is kept from it, or
//! is left alone. Calls are not events.
//!
//! Teleport has no such events; names and codes are our own, in the shape of its own.

use serde::Serialize;

use crate::Timestamp;

/// What happened to a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginChange {
    /// It was loaded.
    Load,
    /// It took the place of another version.
    Reload,
    /// It was refused; what was loaded before goes on, if anything was.
    Reject,
    /// It failed too often and is not called for a while.
    Quarantine,
    /// It is called again after a quarantine.
    Release,
    /// An administrator of the host switched it off.
    Disable,
    /// An administrator of the host let it run again.
    Enable,
    /// It has seen a secret, which most plugins only have used for them.
    Reveal,
}

impl PluginChange {
    /// The event's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Load => "plugin.load",
            Self::Reload => "plugin.reload",
            Self::Reject => "plugin.reject",
            Self::Quarantine | Self::Release => "plugin.quarantine",
            Self::Disable => "plugin.disable",
            Self::Enable => "plugin.enable",
            Self::Reveal => "plugin.reveal",
        }
    }

    /// The event's code.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Load => "TPL00I",
            Self::Reload => "TPL01I",
            Self::Reject => "TPL02W",
            Self::Quarantine => "TPL03W",
            Self::Release => "TPL03I",
            Self::Disable => "TPL04I",
            Self::Enable => "TPL05I",
            Self::Reveal => "TPL06I",
        }
    }
}

/// Which plugin, which bytes, and why. What is not known is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PluginFacts {
    /// Its name.
    pub plugin: String,
    /// Its own version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The SHA-256 of its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The contract it is built for, with its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// Where it came from: a path, or `this program`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Who signed it, where that counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// The version it replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_version: Option<String>,
    /// The SHA-256 of the file it replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_digest: Option<String>,
    /// Why it was refused or quarantined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The label of the secret it has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// When a quarantine ends at the earliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::audit::{Context, Detail, Event};

    fn json(change: PluginChange, facts: PluginFacts) -> serde_json::Value {
        let detail = Detail::Plugin { change, facts };
        let (uid, time) = (Uuid::nil(), Timestamp::UNIX_EPOCH);
        Event { uid, time, context: Context::default(), detail }.to_json().into()
    }

    #[test]
    fn an_event_tells_what_is_known_and_no_more() {
        let facts = PluginFacts {
            plugin: "label-x".into(),
            digest: Some("sha256:00".into()),
            reason: Some("it is not pinned".into()),
            ..PluginFacts::default()
        };
        let expected = serde_json::json!({
            "event": "plugin.reject", "code": "TPL02W", "uid": Uuid::nil().to_string(), "namespace": "default",
            "ei": 0,
            "time": "1970-01-01T00:00:00.000Z",
            "plugin": "label-x", "digest": "sha256:00", "reason": "it is not pinned",
        });
        assert_eq!(json(PluginChange::Reject, facts), expected);
    }

    #[test]
    fn a_quarantine_begins_as_a_warning_and_ends_as_news() {
        let began = PluginFacts { until: Some(Timestamp::UNIX_EPOCH), ..PluginFacts::default() };
        let began = json(PluginChange::Quarantine, began);
        let ended = json(PluginChange::Release, PluginFacts::default());
        assert_eq!((&began["event"], &began["event"]), (&ended["event"], &"plugin.quarantine".into()));
        assert_eq!((&began["code"], &ended["code"]), (&"TPL03W".into(), &"TPL03I".into()));
        assert_eq!(began["until"], "1970-01-01T00:00:00Z");
    }
}
