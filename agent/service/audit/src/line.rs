//! One event as one line, never larger than [`EVENT_MAX`].
//!
//! Used by the log and by the spool. An event is never refused for its size: what is recorded must
//! not hang on how long a command line was, and an agent must not be stuck on an event that the
//! log would never take. An oversized one loses its long parts and says `"truncated": true`.

use domain::printable::clip;
use serde_json::{Map, Value};
use uuid::Uuid;

/// The largest event, in bytes of JSON.
pub(crate) const EVENT_MAX: usize = 64 * 1024;

/// The longest text field of an event that was too large.
const CUT_FIELD_MAX: usize = 1024;

/// How many items such an event keeps of a list, and how much of each, in bytes.
const CUT_LIST_MAX: usize = 16;
const CUT_ITEM_MAX: usize = 256;

/// What an event keeps when cutting its fields was not enough.
const ESSENTIAL: [&str; 17] = [
    "event",
    "code",
    "uid",
    "time",
    "cluster_name",
    "namespace",
    "user",
    "login",
    "server_id",
    "server_hostname",
    "sid",
    "ei",
    "addr.local",
    "addr.remote",
    "success",
    "error",
    "truncated",
];

/// An event ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// JSON and a line break.
    pub(crate) bytes: Vec<u8>,
    /// What tells a second delivery. Events of others may have none; they are written each time.
    pub(crate) uid: Option<Uuid>,
}

/// Makes a line of an event.
pub(crate) fn encode(event: Map<String, Value>) -> Line {
    let uid = event.get("uid").and_then(Value::as_str).and_then(|uid| Uuid::try_parse(uid).ok());
    let mut event = Value::Object(event);
    let mut text = event.to_string();
    if text.len() > EVENT_MAX {
        cut_fields(&mut event);
        text = event.to_string();
    }
    if text.len() > EVENT_MAX {
        keep_essentials(&mut event);
        text = event.to_string();
    }
    text.push('\n');
    Line { bytes: text.into_bytes(), uid }
}

/// Cuts long text and long lists, and leaves out what is neither a plain value nor a list of such.
fn cut_fields(event: &mut Value) {
    let Value::Object(fields) = event else { return };
    fields.retain(|_, value| !value.is_object());
    for value in fields.values_mut() {
        match value {
            Value::Array(items) => {
                items.retain(|item| !item.is_array() && !item.is_object());
                items.truncate(CUT_LIST_MAX);
                items.iter_mut().for_each(|item| cut_text(item, CUT_ITEM_MAX));
            }
            value => cut_text(value, CUT_FIELD_MAX),
        }
    }
    fields.insert("truncated".into(), true.into());
}

fn cut_text(value: &mut Value, max: usize) {
    if let Value::String(text) = value
        && text.len() > max
    {
        *text = format!("{}…", clip(text, max));
    }
}

fn keep_essentials(event: &mut Value) {
    if let Value::Object(fields) = event {
        fields.retain(|name, _| ESSENTIAL.contains(&name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn parsed(line: &Line) -> Value {
        serde_json::from_slice(&line.bytes).unwrap()
    }

    #[test]
    fn an_event_is_one_line_with_its_uid() {
        let uid = "6fc5545a-b78c-4ea9-b8ca-abeef9dbd08a";
        let line = encode(object(json!({"event": "exec", "uid": uid, "command": "a\nb"})));
        assert_eq!(line.uid, uid.parse().ok());
        assert_eq!(line.bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(parsed(&line)["command"], "a\nb");
    }

    #[test]
    fn an_oversized_event_keeps_who_and_what() {
        let huge = "x".repeat(EVENT_MAX);
        let event = json!({"event": "exec", "user": "joe", "command": huge, "roles": ["admin", huge], "object": {"x": huge}, "exitCode": "0"});
        let kept = parsed(&encode(object(event)));
        assert_eq!(
            (&kept["event"], &kept["user"], &kept["exitCode"]),
            (&json!("exec"), &json!("joe"), &json!("0"))
        );
        assert_eq!(kept["truncated"], true);
        assert!(kept["command"].as_str().unwrap().ends_with("x…") && kept.get("object").is_none());
        assert_eq!(kept["roles"][0], "admin", "what was granted is told however much it was");
        assert_eq!(kept["roles"][1].as_str().unwrap().len(), CUT_ITEM_MAX + '…'.len_utf8());
    }

    #[test]
    fn an_event_of_countless_fields_keeps_the_essential_ones() {
        let mut event = object(json!({"event": "odd", "user": "joe"}));
        event.extend((0..10_000).map(|n| (format!("field-{n}"), Value::from(n))));
        assert_eq!(parsed(&encode(event)), json!({"event": "odd", "user": "joe", "truncated": true}));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            (1usize..100_000).prop_map(|length| Value::from("é\n".repeat(length))),
        ];
        leaf.prop_recursive(3, 32, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_event_becomes_one_bounded_line(
            fields in prop::collection::btree_map(any::<String>(), any_json(), 0..8)
        ) {
            let mut event: Map<String, Value> = fields.into_iter().collect();
            event.insert("event".into(), "any".into());
            let line = encode(event);
            prop_assert!(line.bytes.len() <= EVENT_MAX + 1);
            prop_assert_eq!(line.bytes.iter().position(|byte| *byte == b'\n'), Some(line.bytes.len() - 1));
            prop_assert_eq!(&parsed(&line)["event"], "any");
        }
    }
}
