//! How a record looks as one line.

use std::borrow::Cow;
use std::fmt::Write;

use domain::printable;
use serde_json::Value;
use tracing::Level;

use super::record::Record;
use super::{Encoding, ExtraField, Output, Settings};

/// The longest line, in bytes. A field that would pass it is left out, and the line says so.
const LINE_MAX: usize = 16 * 1024;

/// The same for syslog, whose daemons cut or drop longer messages.
const SYSLOG_LINE_MAX: usize = 8 * 1024;

/// RFC 3164 section 4.1.1: facility 3 (system daemons), shifted to its place.
const DAEMON: u8 = 3 << 3;

/// Writes records as lines.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    encoding: Encoding,
    extra: Vec<ExtraField>,
    /// The process, when lines go to syslog and need its header.
    syslog: Option<u32>,
    line_max: usize,
}

impl Encoder {
    pub(super) fn new(settings: &Settings) -> Self {
        let syslog = matches!(settings.output, Output::Syslog(_)).then(std::process::id);
        Self {
            encoding: settings.encoding,
            extra: settings.extra_fields.clone(),
            syslog,
            line_max: if syslog.is_some() { SYSLOG_LINE_MAX } else { LINE_MAX },
        }
    }

    /// The record as one line, without the line break.
    pub(super) fn line(&self, record: &Record<'_>) -> String {
        let mut line = String::with_capacity(160);
        if let Some(pid) = self.syslog {
            // RFC 3164 without the time: what listens on the machine's own socket puts its own, and
            // ours would have to be in local time to be understood (section 4.3.2).
            let _ = write!(line, "<{}>teleport[{pid}]: ", DAEMON + severity(record.level));
        }
        match self.encoding {
            Encoding::Text => self.text(record, &mut line),
            Encoding::Json => self.json(record, &mut line),
        }
        line
    }

    fn has(&self, field: ExtraField) -> bool {
        self.extra.contains(&field)
    }

    fn text(&self, record: &Record<'_>, line: &mut String) {
        if self.has(ExtraField::Timestamp) {
            let _ = write!(line, "{:.3} ", record.time);
        }
        if self.has(ExtraField::Level) {
            let _ = write!(line, "{} ", record.level);
        }
        if self.has(ExtraField::Component) {
            let _ = write!(line, "[{}] ", printable::escape(&component(record)));
        }
        line.push_str(&printable::escape(&record.fields.message));
        for (name, value) in &record.fields.pairs {
            if !self.append(line, &format!(" {name}={}", text_value(value))) {
                line.push_str(" truncated=true");
                break;
            }
        }
        if let Some(caller) = self.caller(record) {
            let _ = write!(line, " {caller}");
        }
    }

    fn json(&self, record: &Record<'_>, line: &mut String) {
        line.push('{');
        if self.has(ExtraField::Timestamp) {
            let _ = write!(line, r#""timestamp":"{:.3}","#, record.time);
        }
        if self.has(ExtraField::Level) {
            let _ = write!(line, r#""level":"{}","#, record.level.as_str().to_ascii_lowercase());
        }
        if self.has(ExtraField::Component) {
            let _ = write!(line, r#""component":{},"#, json_text(&component(record).to_lowercase()));
        }
        if let Some(caller) = self.caller(record) {
            let _ = write!(line, r#""caller":{},"#, json_text(&caller));
        }
        let _ = write!(line, r#""message":{}"#, json_text(&record.fields.message));
        for (name, value) in &record.fields.pairs {
            let field = format!(r#","{}":{}"#, json_key(name), json_value(value));
            if !self.append(line, &field) {
                line.push_str(r#","truncated":true"#);
                break;
            }
        }
        line.push('}');
    }

    /// Adds a field if the line has room for it.
    fn append(&self, line: &mut String, field: &str) -> bool {
        let fits = line.len() + field.len() <= self.line_max;
        if fits {
            line.push_str(field);
        }
        fits
    }

    fn caller(&self, record: &Record<'_>) -> Option<String> {
        let (file, line) = record.caller.filter(|_| self.has(ExtraField::Caller))?;
        Some(format!("{}:{line}", short(file)))
    }
}

/// RFC 3164 section 4.1.1: the numerical code of a severity.
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// The room that speaks, in capitals: what the record says, else what its crate is called.
fn component(record: &Record<'_>) -> String {
    let named = record.fields.component.as_deref().filter(|name| !name.is_empty());
    named.unwrap_or_else(|| room(record.target)).to_uppercase()
}

/// The room in a target such as `teleport_service_node::shell`.
fn room(target: &str) -> &str {
    let name = target.split("::").next().unwrap_or(target);
    let name = name.strip_prefix("teleport_").unwrap_or(name);
    name.strip_prefix("service_").unwrap_or(name)
}

/// A source file without the folders of the machine it was built on.
fn short(file: &str) -> &str {
    if !file.starts_with('/') {
        return file;
    }
    let tail = file.rmatch_indices('/').nth(2).and_then(|(at, _)| file.get(at + 1..));
    tail.unwrap_or(file)
}

/// A value as text: bare when it cannot be misread, else in quotes.
fn text_value(value: &Value) -> Cow<'_, str> {
    let Value::String(text) = value else { return Cow::Owned(value.to_string()) };
    let bare = |c: char| printable::is_printable(c) && !c.is_whitespace() && !matches!(c, '"' | '=' | '\\');
    if !text.is_empty() && text.chars().all(bare) {
        return Cow::Borrowed(text);
    }
    let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
    Cow::Owned(format!("\"{}\"", printable::escape(&quoted)))
}

/// A JSON string that holds nothing unprintable.
fn json_text(text: &str) -> String {
    printable::escape_json(&Value::from(text).to_string()).into_owned()
}

fn json_value(value: &Value) -> String {
    match value {
        Value::String(text) => json_text(text),
        other => other.to_string(),
    }
}

/// A field's name; those that a record has of its own get a prefix, so that no key comes twice.
fn json_key(name: &str) -> Cow<'_, str> {
    match name {
        "timestamp" | "level" | "component" | "caller" | "message" | "truncated" => {
            Cow::Owned(format!("field.{name}"))
        }
        name => Cow::Borrowed(name),
    }
}
