//! The JSON of DynamoDB: items are maps of attributes, each attribute a map of its type and its value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use teleport_plugin_sdk::storage_backend::Failure;

/// An item, or a part of one.
pub type Attributes = Map<String, Value>;

/// An attribute that is text.
pub fn text(text: &str) -> Value {
    json!({ "S": text })
}

/// An attribute that is a number.
pub fn number(number: u64) -> Value {
    json!({ "N": number.to_string() })
}

/// An attribute that is bytes.
pub fn bytes(bytes: &[u8]) -> Value {
    json!({ "B": STANDARD.encode(bytes) })
}

/// A text of an item; none when it is not there.
pub fn text_of<'a>(item: &'a Attributes, name: &str) -> Option<&'a str> {
    item.get(name)?.get("S")?.as_str()
}

/// A number of an item; none when it is not there or is no whole number.
pub fn number_of(item: &Attributes, name: &str) -> Option<u64> {
    item.get(name)?.get("N")?.as_str()?.parse().ok()
}

/// Bytes of an item; none when they are not there.
pub fn bytes_of(item: &Attributes, name: &str) -> Option<Vec<u8>> {
    STANDARD.decode(item.get(name)?.get("B")?.as_str()?).ok()
}

/// The key of an item: its partition and its place there.
pub fn key(partition: &str, place: &str) -> Value {
    json!({ "p": text(partition), "s": text(place) })
}

/// The items of an answer, under any name.
pub fn items(answer: &mut Value, name: &str) -> Result<Vec<Attributes>, Failure> {
    let Some(Value::Array(list)) = answer.get_mut(name).map(Value::take) else {
        return Err(corrupt(&format!("an answer without {name}")));
    };
    list.into_iter()
        .map(|item| match item {
            Value::Object(item) => Ok(item),
            _ => Err(corrupt("an item that is none")),
        })
        .collect()
}

/// What was read makes no sense.
pub fn corrupt(what: &str) -> Failure {
    Failure::Corrupt(format!(
        "DynamoDB gave {what}: either somebody else writes to this table, or a newer version of the plugin does"
    ))
}
