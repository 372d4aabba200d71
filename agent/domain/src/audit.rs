//! What is written down: one event per thing that happened.
//!
//! An event is typed here and becomes one JSON object, one line in the audit log. Names, codes and
//! fields are those of Teleport's log, so that tools made for it can read ours.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Timestamp;
use crate::label::Labels;

mod detail;
mod file;
mod plugin;
mod record;

pub use detail::{CertKind, Detail, Outcome};
pub use file::{CopyProtocol, FileAccess, FileAction, FileOperation};
pub use plugin::{PluginChange, PluginFacts};
pub use record::RecordFacts;

/// The longest text field of an event, in bytes; longer ones are cut at a character boundary.
pub const FIELD_MAX: usize = 8 * 1024;

/// Who, where and in which session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// The cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_name: String,
    /// The user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The operating-system login.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub login: String,
    /// The host that reports the event.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_id: String,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server_hostname: String,
    /// The session.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sid: String,
    /// The address that was reached.
    #[serde(rename = "addr.local", skip_serializing_if = "String::is_empty")]
    pub addr_local: String,
    /// The address of the client.
    #[serde(rename = "addr.remote", skip_serializing_if = "String::is_empty")]
    pub addr_remote: String,
    /// The event's place in its session, which a missing one leaves free; else 0.
    pub ei: u64,
    /// The labels of the host, on events of which a session has few.
    #[serde(skip_serializing_if = "has_none")]
    pub server_labels: Labels,
}

fn has_none(labels: &Labels) -> bool {
    labels.0.is_empty()
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Unique, so that an event delivered twice is written once.
    pub uid: Uuid,
    /// When it happened.
    pub time: Timestamp,
    /// Who, where, in which session.
    pub context: Context,
    /// What happened.
    pub detail: Detail,
}

impl Event {
    /// The event as the log keeps it.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("event".into(), self.detail.name().into());
        map.insert("code".into(), self.detail.code().into());
        map.insert("uid".into(), self.uid.to_string().into());
        map.insert("time".into(), format!("{:.3}", self.time).into());
        map.insert("namespace".into(), "default".into());
        for part in [serde_json::to_value(&self.context), serde_json::to_value(&self.detail)] {
            if let Ok(Value::Object(fields)) = part {
                map.extend(fields);
            }
        }
        map.values_mut().for_each(bound);
        map
    }
}

/// Cuts over-long text, so that one event cannot fill the log.
fn bound(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > FIELD_MAX => {
            let mut end = FIELD_MAX;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.push('…');
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        Value::Object(fields) => fields.values_mut().for_each(bound),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(detail: Detail) -> Event {
        let context = Context {
            user: "joe".into(),
            login: "root".into(),
            addr_local: "10.5.1.15:3022".into(),
            addr_remote: "73.223.221.14:42146".into(),
            ..Context::default()
        };
        Event { uid: Uuid::nil(), time: "2017-02-03T06:54:05.1234567Z".parse().unwrap(), context, detail }
    }

    #[test]
    fn a_session_start_has_the_fields_of_the_manual() {
        let json = event(Detail::SessionStart {
            size: Some("80:25".into()),
            interactive: true,
            initial_command: Vec::new(),
        })
        .to_json();
        let field = |name: &str| json.get(name).and_then(Value::as_str).unwrap();
        assert_eq!(field("event"), "session.start");
        assert_eq!(field("code"), "T2000I");
        assert_eq!(field("size"), "80:25");
        assert_eq!(field("time"), "2017-02-03T06:54:05.123Z");
        assert_eq!((field("addr.local"), field("namespace")), ("10.5.1.15:3022", "default"));
        assert!(
            !json.contains_key("sid") && !json.contains_key("server_labels"),
            "empty fields are left out"
        );
        assert_eq!(json.get("ei").and_then(Value::as_u64), Some(0));
    }

    #[test]
    fn exec_says_how_it_ended() {
        let exec =
            |code| event(Detail::Exec { command: "ls".into(), exit_code: code, exit_error: None }).to_json();
        assert_eq!(exec(Some(0)).get("code").unwrap(), "T3002I");
        assert_eq!(exec(Some(1)).get("code").unwrap(), "T3002E");
        assert_eq!(exec(Some(1)).get("exitCode").unwrap(), "1", "a text in current logs");
    }

    #[test]
    fn events_of_a_session_have_their_place_and_the_hosts_labels() {
        let mut start =
            event(Detail::SessionStart { size: None, interactive: false, initial_command: Vec::new() });
        start.context.ei = 3;
        start.context.server_labels = [("env", "prod")].into_iter().collect();
        let json = start.to_json();
        assert_eq!((&json["ei"], &json["server_labels"]), (&3.into(), &serde_json::json!({"env": "prod"})));
    }

    #[test]
    fn what_is_not_allowed_has_codes_of_its_own() {
        let refused = |protocol| Detail::CopyDisallowed {
            protocol,
            path: None,
            action: None,
            outcome: Outcome::failed("not allowed"),
        };
        let agent = |outcome| Detail::AgentForward { outcome };
        let named = |detail: Detail| (detail.name(), detail.code());
        assert_eq!(named(refused(CopyProtocol::Scp)), ("scp", "T3010E"));
        assert_eq!(named(refused(CopyProtocol::Sftp)), ("sftp", "T3010E"));
        assert_eq!(named(agent(Outcome::ok())), ("agent-forward", "T3013I"));
        assert_eq!(named(agent(Outcome::failed("not allowed"))), ("agent-forward", "T3013W"));
        let cut = Detail::ClientDisconnect { reason: "access is locked".into() };
        assert_eq!(named(cut), ("client.disconnect", "T3006I"));
    }

    #[test]
    fn long_text_is_cut_and_stays_text() {
        let command = "é".repeat(FIELD_MAX);
        let json = event(Detail::Exec { command, exit_code: Some(0), exit_error: None }).to_json();
        let kept = json.get("command").and_then(Value::as_str).unwrap();
        assert!(kept.len() <= FIELD_MAX + '…'.len_utf8() && kept.ends_with('…'));
    }

    #[test]
    fn line_breaks_in_names_cannot_make_a_second_line() {
        let mut evil =
            event(Detail::SessionStart { size: None, interactive: false, initial_command: Vec::new() });
        evil.context.user = "joe\n{\"event\":\"forged\"}".into();
        assert!(!serde_json::to_string(&evil.to_json()).unwrap().contains('\n'));
    }
}
