//! One value of the file, read as what its key wants.
//!
//! Each reader notes what is wrong and answers `None`; the caller goes on with a default, because the
//! whole configuration is refused in the end. Values are shown in errors, cut short; a key that holds
//! a secret is read with [`Field::text`], which shows nothing.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use domain::duration;
use domain::plugin::size;

use crate::address::{self, HostPort};
use crate::report::{Position, Report};
use crate::section::Section;
use crate::shown::{clipped, not_one_of, shown};
use crate::tree::{Node, Value};

/// A value with its key.
pub(crate) struct Field<'a> {
    key: String,
    node: &'a Node,
    report: &'a Report,
}

impl<'a> Field<'a> {
    /// The value of `key`, which is written with its sections.
    pub(crate) fn new(key: String, node: &'a Node, report: &'a Report) -> Self {
        Self { key, node, report }
    }

    /// The key with its sections.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Where the value stands.
    pub(crate) fn at(&self) -> Position {
        self.node.at
    }

    /// Whether the key stands there without a value.
    pub(crate) fn is_null(&self) -> bool {
        self.node.is_null()
    }

    /// Whether the value is a section.
    pub(crate) fn is_section(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    /// Whether the value is a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    /// The key and where it stands, for an error that comes up after the file was read.
    pub(crate) fn place(&self) -> String {
        self.report.place(Some(self.node.at), &self.key)
    }

    /// Notes what is wrong with the value.
    pub(crate) fn problem(&self, message: impl fmt::Display) {
        self.report.problem(Some(self.node.at), &self.key, message);
    }

    /// Notes something worth saying about the value.
    pub(crate) fn warning(&self, message: impl fmt::Display) {
        self.report.warning(Some(self.node.at), &self.key, message);
    }

    /// The value, or the problem it has.
    pub(crate) fn checked<T, E: fmt::Display>(&self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.problem(error)).ok()
    }

    /// Any text, even an empty one.
    pub(crate) fn any_text(&self) -> Option<&'a str> {
        self.scalar("a text")
    }

    /// A text that says something. It is not shown in errors, so secrets are read with it too.
    pub(crate) fn text(&self) -> Option<&'a str> {
        let text = self.scalar("a text")?;
        if text.trim().is_empty() {
            self.problem("is empty; write the value or remove the key");
            return None;
        }
        Some(text)
    }

    /// A yes or no, quoted or not.
    pub(crate) fn flag(&self) -> Option<bool> {
        let text = self.scalar("yes or no")?;
        match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "true" => Some(true),
            "no" | "off" | "false" => Some(false),
            _ => {
                self.problem(format!("must be yes or no, not {}", shown(text)));
                None
            }
        }
    }

    /// Whether the value is a word for nothing at all. Never a problem.
    pub(crate) fn is_off(&self) -> bool {
        const WORDS: [&str; 5] = ["no", "off", "false", "never", "0"];
        match &self.node.value {
            Value::Scalar { text, .. } => WORDS.iter().any(|word| word.eq_ignore_ascii_case(text)),
            _ => false,
        }
    }

    /// A whole number between `least` and `most`, both allowed.
    pub(crate) fn whole(&self, least: u64, most: u64) -> Option<u64> {
        let text = self.scalar("a whole number")?;
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            Ok(number) => {
                self.problem(format!("must be from {least} to {most}, not {number}"));
                None
            }
            Err(_) => {
                self.problem(format!("must be a whole number, not {}", shown(text)));
                None
            }
        }
    }

    /// A duration.
    pub(crate) fn duration(&self) -> Option<Duration> {
        let text = self.scalar("a duration such as 90s, 30m or 12h")?;
        self.checked(duration::parse(clipped(text)))
    }

    /// A size in bytes: `32MiB`, `64KiB`, `4096`.
    pub(crate) fn size(&self) -> Option<u64> {
        let text = self.scalar("a size such as 32MiB")?;
        self.checked(size::parse(clipped(text)))
    }

    /// An absolute path.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let text = self.scalar("an absolute path")?;
        if !text.starts_with('/') {
            self.problem(format!("must be an absolute path, not {}", shown(text)));
            return None;
        }
        Some(PathBuf::from(text))
    }

    /// An address to listen on; what is left out comes from `default`.
    pub(crate) fn listen(&self, default: SocketAddr) -> Option<SocketAddr> {
        let text = self.scalar("an address such as 0.0.0.0:3022")?;
        self.checked(address::listen(text, default))
    }

    /// An address to dial or to announce.
    pub(crate) fn host_port(&self, default_port: u16) -> Option<HostPort> {
        let text = self.scalar("an address such as teleport.example.com:443")?;
        self.checked(HostPort::parse(text, default_port))
    }

    /// One name of a table; letter case does not matter.
    pub(crate) fn choice<T: Copy>(&self, table: &[(&'static str, T)]) -> Option<T> {
        let text = self.scalar("one word")?;
        let found = table.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        if found.is_none() {
            let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
            self.problem(not_one_of(text, &names));
        }
        found.map(|(_, value)| *value)
    }

    /// The items of a list.
    pub(crate) fn list(&self) -> Option<Vec<Field<'a>>> {
        match &self.node.value {
            Value::List(items) => Some(self.items(items)),
            _ => self.wrong_shape("a list (one `- item` per line, or [a, b])"),
        }
    }

    /// The items of a list, or a single value as a list of one.
    pub(crate) fn list_or_one(&self) -> Vec<Field<'a>> {
        match &self.node.value {
            Value::List(items) => self.items(items),
            _ => vec![Field::new(self.key.clone(), self.node, self.report)],
        }
    }

    /// A section.
    pub(crate) fn section(&self) -> Option<Section<'a>> {
        match &self.node.value {
            Value::Map(entries) => Some(Section::new(self.key.clone(), entries, self.report)),
            _ => self.wrong_shape("a section (`key: value` lines, indented)"),
        }
    }

    /// Reads a section and reports the keys nobody asked for.
    pub(crate) fn within<T>(&self, read: impl FnOnce(&mut Section<'a>) -> T) -> Option<T> {
        let mut section = self.section()?;
        let result = read(&mut section);
        section.finish();
        Some(result)
    }

    fn items(&self, items: &'a [Node]) -> Vec<Field<'a>> {
        let item = |(index, node): (usize, &'a Node)| {
            Field::new(format!("{}[{index}]", self.key), node, self.report)
        };
        items.iter().enumerate().map(item).collect()
    }

    fn scalar(&self, wanted: &str) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, .. } if !self.node.is_null() => Some(text),
            _ => self.wrong_shape(wanted),
        }
    }

    fn wrong_shape<T>(&self, wanted: &str) -> Option<T> {
        let found = match &self.node.value {
            Value::Scalar { .. } if self.node.is_null() => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a section",
        };
        self.problem(format!("must be {wanted}, not {found}"));
        None
    }
}
