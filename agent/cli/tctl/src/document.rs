//! Resources in files: several YAML documents, JSON, or a JSON list, as `tctl get` prints them.
//!
//! The whole file is read and checked before anything is done with it. Errors name file, line and
//! column, and the document they are in. A line that starts with `---` ends a document wherever it
//! stands (YAML 1.2.2, 9.1.2), so the text is cut there and every part keeps the lines of the file.

use domain::resource::{Kind, ResourceError};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::document_error::DocumentError;
use crate::record::Record;

/// A record and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    /// What was written.
    pub(crate) record: Record,
    /// Where: `roles.yaml: document 2 (line 14)`.
    pub(crate) place: String,
}

/// One document of a file.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    file: &'a str,
    /// Which one, counted from 1.
    number: usize,
    /// The line of the file its text begins on, counted from 1.
    first_line: usize,
    text: &'a str,
}

/// Reads every record of a text. `file` is its name, for errors.
///
/// # Errors
/// [`DocumentError`] about the first document at fault.
pub(crate) fn read(file: &str, text: &str) -> Result<Vec<Written>, DocumentError> {
    let mut records = Vec::new();
    for part in parts(file, text) {
        records.extend(part.records()?);
    }
    if records.is_empty() { Err(DocumentError::Empty(file.to_owned())) } else { Ok(records) }
}

/// Cuts a text at the lines that begin a document. Parts without content are left out and not counted.
fn parts<'a>(file: &'a str, text: &'a str) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let (mut start, mut first_line, mut at) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if begins_document(line) && at > start {
            parts.push((first_line, text.get(start..at).unwrap_or_default()));
            (start, first_line) = (at, index + 1);
        }
        at += line.len();
    }
    parts.push((first_line, text.get(start..).unwrap_or_default()));
    let parts = parts.into_iter().filter(|(_, text)| has_content(text)).enumerate();
    parts.map(|(index, (first_line, text))| Part { file, number: index + 1, first_line, text }).collect()
}

fn begins_document(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn has_content(text: &str) -> bool {
    let lines =
        text.lines().map(|line| if begins_document(line) { line.trim_start_matches('-') } else { line });
    let lines = lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.into_iter().any(|line| line != "...")
}

/// What a document is, as far as it can be told before its kind is known.
#[derive(Debug)]
enum Shape {
    /// One record; the kind as it is written.
    One(Option<String>),
    /// A list of records, as `--format=json` prints them.
    List(Vec<Value>),
}

impl Part<'_> {
    fn records(self) -> Result<Vec<Written>, DocumentError> {
        match self.parse::<Shape>()? {
            Shape::One(kind) => {
                let kind = self.kind(kind.as_deref())?;
                let record = self.record(kind)?;
                self.written(record, self.place()).map(|record| vec![record])
            }
            Shape::List(values) => {
                values.into_iter().enumerate().map(|(index, value)| self.listed(index, value)).collect()
            }
        }
    }

    fn record(self, kind: Kind) -> Result<Record, DocumentError> {
        Ok(match kind {
            Kind::Role => Record::Role(self.parse()?),
            Kind::User => Record::User(self.parse()?),
            Kind::Token => Record::Token(self.parse()?),
            Kind::Node => Record::Node(self.parse()?),
            Kind::Lock => Record::Lock(self.parse()?),
            Kind::CertAuthority => Record::CertAuthority(self.parse()?),
            Kind::Proxy => Record::Proxy(self.parse()?),
            Kind::AuthServer => Record::AuthServer(self.parse()?),
        })
    }

    /// An entry of a list. Its lines are no longer known, so errors count entries.
    fn listed(self, index: usize, value: Value) -> Result<Written, DocumentError> {
        let place = format!("{}, entry {}", self.place(), index + 1);
        let shape = |error: serde_json::Error| self.broken(&place, ResourceError::Shape(error.to_string()));
        let kind = value.get("kind").and_then(Value::as_str).map(str::to_owned);
        let kind = self.kind(kind.as_deref())?;
        let record = match kind {
            Kind::Role => Record::Role(serde_json::from_value(value).map_err(shape)?),
            Kind::User => Record::User(serde_json::from_value(value).map_err(shape)?),
            Kind::Token => Record::Token(serde_json::from_value(value).map_err(shape)?),
            Kind::Node => Record::Node(serde_json::from_value(value).map_err(shape)?),
            Kind::Lock => Record::Lock(serde_json::from_value(value).map_err(shape)?),
            Kind::CertAuthority => Record::CertAuthority(serde_json::from_value(value).map_err(shape)?),
            Kind::Proxy => Record::Proxy(serde_json::from_value(value).map_err(shape)?),
            Kind::AuthServer => Record::AuthServer(serde_json::from_value(value).map_err(shape)?),
        };
        self.written(record, place)
    }

    fn written(self, record: Record, place: String) -> Result<Written, DocumentError> {
        record.check().map_err(|error| self.broken(&place, error))?;
        Ok(Written { record, place })
    }

    fn kind(self, text: Option<&str>) -> Result<Kind, DocumentError> {
        let text = text.ok_or_else(|| DocumentError::NoKind(self.place()))?;
        let unknown = || ResourceError::UnknownKind(text.to_owned());
        Kind::parse(text).ok_or_else(unknown).map_err(|error| self.broken(&self.place(), error))
    }

    fn parse<T: for<'de> Deserialize<'de>>(self) -> Result<T, DocumentError> {
        let options = serde_saphyr::options! { with_snippet: false };
        serde_saphyr::from_str_with_options(self.text, options)
            .map_err(|error| DocumentError::yaml(self.file, self.first_line, &error))
    }

    fn broken(self, place: &str, source: ResourceError) -> DocumentError {
        DocumentError::Record { place: place.to_owned(), source }
    }

    fn place(self) -> String {
        let skipped = self.text.lines().take_while(|line| !has_content(line)).count();
        format!("{}: document {} (line {})", self.file, self.number, self.first_line + skipped)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a resource with kind, version, metadata and spec, or a list of them")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut kind = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "kind" {
                kind = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Shape::One(kind))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Shape::List(values))
    }
}

#[cfg(test)]
mod tests;
