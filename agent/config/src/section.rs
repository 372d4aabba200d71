//! A section of the file, read key by key.
//!
//! A key that is asked for becomes known; [`Section::within`] and [`Section::finish`] report every
//! key nobody asked for, with the known name it resembles. An absent section reads as an empty one,
//! so a topic has one way to its defaults.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::field::Field;
use crate::report::{Position, Report};
use crate::shown::shown_key;
use crate::suggest;
use crate::tree::{Entry, Node, Value};

/// One section of the file.
pub(crate) struct Section<'a> {
    key: String,
    entries: &'a [Entry],
    known: Vec<&'static str>,
    report: &'a Report,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(crate) fn root(node: &'a Node, report: &'a Report) -> Self {
        let mut root = Self { key: String::new(), entries: &[], known: Vec::new(), report };
        match &node.value {
            Value::Map(entries) => root.entries = entries,
            _ => {
                report.problem(Some(node.at), "", "expected sections such as `teleport:` and `ssh_service:`")
            }
        }
        root
    }

    /// A section that is not in the file.
    pub(crate) fn absent(key: String, report: &'a Report) -> Self {
        Self { key, entries: &[], known: Vec::new(), report }
    }

    /// A section with these entries.
    pub(crate) fn new(key: String, entries: &'a [Entry], report: &'a Report) -> Self {
        Self { key, entries, known: Vec::new(), report }
    }

    /// Where problems go.
    pub(crate) fn report(&self) -> &'a Report {
        self.report
    }

    /// The value of a key, when there is one. The first of two keys of one name wins; the second was
    /// reported when the file was read.
    pub(crate) fn field(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.known.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!entry.node.is_null()).then(|| Field::new(self.path_of(key), &entry.node, self.report))
    }

    /// Where the key itself stands, when it is there.
    pub(crate) fn key_at(&self, key: &str) -> Option<Position> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.at)
    }

    /// A key with the sections around it.
    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) }
    }

    /// Reads the section below `key`, empty when absent, and reports the keys nobody asked for.
    pub(crate) fn within<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'a>) -> T) -> T {
        let section = self.field(key).and_then(|field| field.section());
        let mut section = section.unwrap_or_else(|| Section::absent(self.path_of(key), self.report));
        let result = read(&mut section);
        section.finish();
        result
    }

    /// Every pair of a section whose keys are chosen by the operator: labels, variables, plugins.
    pub(crate) fn pairs(&mut self) -> Vec<(&'a str, Position, Field<'a>)> {
        let pair = |entry: &'a Entry| {
            let path = self.path_of(&shown_key(&entry.key));
            (entry.key.as_str(), entry.at, Field::new(path, &entry.node, self.report))
        };
        let pairs = self.entries.iter().map(pair).collect();
        // All keys are taken, so none is left to report.
        self.entries = &[];
        pairs
    }

    /// Reports a problem with a key of this section.
    pub(crate) fn problem(&self, key: &str, message: impl std::fmt::Display) {
        self.report.problem(self.key_at(key), &self.path_of(key), message);
    }

    /// Reports every key nobody asked for.
    pub(crate) fn finish(self) {
        for entry in self.entries {
            if self.known.contains(&entry.key.as_str()) {
                continue;
            }
            let path = self.path_of(&shown_key(&entry.key));
            self.report.problem(Some(entry.at), &path, unknown(&entry.key, &self.known));
        }
    }

    /// A yes or no.
    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.field(key)?.flag()
    }

    /// A text that says something.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<&'a str> {
        self.field(key)?.text()
    }

    /// A duration.
    pub(crate) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.field(key)?.duration()
    }

    /// An absolute path.
    pub(crate) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.field(key)?.path()
    }

    /// A whole number between `least` and `most`.
    pub(crate) fn whole(&mut self, key: &'static str, least: u64, most: u64) -> Option<u64> {
        self.field(key)?.whole(least, most)
    }

    /// A whole number from 1 on.
    pub(crate) fn count(&mut self, key: &'static str) -> Option<u32> {
        let number = self.whole(key, 1, u64::from(u32::MAX))?;
        u32::try_from(number).ok()
    }

    /// An address to listen on; what is left out comes from `default`.
    pub(crate) fn listen(&mut self, key: &'static str, default: SocketAddr) -> Option<SocketAddr> {
        self.field(key)?.listen(default)
    }
}

/// What to say about a key nobody asked for.
pub(crate) fn unknown(key: &str, known: &[&str]) -> String {
    if let Some((name, _)) = key.split_once(':') {
        return match known.iter().find(|known| **known == name) {
            Some(name) => format!("unknown key; put a space after the colon: `{name}: …`"),
            None => "unknown key; put a space after the colon".to_owned(),
        };
    }
    if let Some(name) = suggest::closest(key, known.iter().copied()) {
        return format!("unknown key; did you mean `{name}`?");
    }
    let mut names = known.to_vec();
    names.sort_unstable();
    names.dedup();
    format!("unknown key; the keys here are {}", names.join(", "))
}
