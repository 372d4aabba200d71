//! One record before it is written: what was said, by whom, with which fields.

use std::error::Error;
use std::fmt::{self, Write};

use domain::Timestamp;
use domain::printable::clip;
use serde_json::Value;
use tracing::Level;
use tracing::field::{Field, Visit};

/// The longest message or text field, in bytes; longer ones are cut and end in `…`.
pub(super) const TEXT_MAX: usize = 4 * 1024;

/// How deep a chain of errors is followed.
const CHAIN_MAX: usize = 16;

/// A record.
#[derive(Debug, Clone)]
pub(super) struct Record<'a> {
    pub(super) time: Timestamp,
    pub(super) level: Level,
    /// The module that speaks, such as `teleport_service_node::shell`.
    pub(super) target: &'a str,
    pub(super) caller: Option<(&'a str, u32)>,
    pub(super) fields: Fields,
}

/// A message and its fields, in the order in which they were given.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fields {
    pub(super) message: String,
    /// Set when a record or span names its component itself.
    pub(super) component: Option<String>,
    pub(super) pairs: Vec<(&'static str, Value)>,
}

impl Fields {
    /// Puts the fields of an inner span or of the event itself over these. The inner word wins.
    pub(super) fn overlay(&mut self, inner: Self) {
        self.message = inner.message;
        self.component = inner.component.or_else(|| self.component.take());
        for (name, value) in inner.pairs {
            self.put(name, value);
        }
    }

    fn put(&mut self, name: &'static str, value: Value) {
        match self.pairs.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.pairs.push((name, value)),
        }
    }

    fn text(&mut self, name: &'static str, text: String) {
        match name {
            "message" => self.message = text,
            "component" => self.component = Some(text),
            name => self.put(name, Value::String(text)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), bounded(format_args!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), bounded(format_args!("{value}")));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field.name(), chain(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }
}

/// An error and what caused it: `what: why: why`.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source()).take(CHAIN_MAX);
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    bounded(format_args!("{text}"))
}

/// Formats no further than [`TEXT_MAX`], so that a huge value costs no more memory than it shows.
pub(super) fn bounded(value: fmt::Arguments<'_>) -> String {
    struct Bounded(String);
    impl Write for Bounded {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = TEXT_MAX.saturating_sub(self.0.len());
            let fits = clip(text, room);
            self.0.push_str(fits);
            if fits.len() == text.len() { Ok(()) } else { Err(fmt::Error) }
        }
    }
    let mut bounded = Bounded(String::new());
    if bounded.write_fmt(value).is_err() {
        bounded.0.push('…');
    }
    bounded.0
}
