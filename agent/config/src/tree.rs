//! YAML text → a tree in which every key and value knows its line and column.
//!
//! Scalars stay as they are written: what `yes`, `1.10` or `off` means is decided by the key that
//! holds it, not by the YAML schema, so a label `version: 1.10` keeps its zero and `off` needs no
//! quotes. Refused, because a configuration needs none of it and each hides what a file says: tags,
//! merge keys, directives, several documents, keys that are not text. Anchors and aliases work,
//! within a bound on the nodes they may unfold to. Called by [`crate::load`] alone.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use crate::field::shown_key;
use crate::report::{Position, Report};

/// The most nodes of one file, aliases unfolded.
const NODES_MAX: usize = 20_000;

/// The deepest nesting; the deepest key that exists is at 7.
const DEPTH_MAX: usize = 32;

/// A value and where it starts. No `Debug`: some values are secrets.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

/// The three shapes of YAML.
#[derive(Clone)]
pub(crate) enum Value {
    /// A single value; `plain` when it stands without quotes.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A section.
    Map(Vec<Entry>),
}

/// A key, where it stands, and its value.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Position,
    pub(crate) node: Node,
}

impl Node {
    /// Whether there is no value: `key:` with nothing after it, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar { text, plain } => *plain && matches!(text.as_str(), "" | "~" | "null"),
            Value::List(_) | Value::Map(_) => false,
        }
    }

    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar { .. } => 0,
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.node.size()).sum(),
        }
    }
}

/// Reads one document. A duplicate key is noted and reading goes on; anything that leaves the shape
/// of the rest in doubt is noted and ends it with `None`. An empty file is an empty section.
pub(crate) fn parse(text: &str, report: &Report) -> Option<Node> {
    let mut options = granit_parser::options! {
        disallow_directives: true,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    options.set_emit_comments(false);
    let mut builder = Builder { report, stack: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None };
    for event in Parser::new_from_str_with_options(text, options) {
        let result = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(syntax(&error)),
        };
        if let Err(Fault { at, message }) = result {
            report.problem(Some(at), &builder.path(), message);
            return None;
        }
    }
    let empty = Node { at: Position { line: 1, column: 1 }, value: Value::Map(Vec::new()) };
    Some(builder.root.filter(|root| !root.is_null()).unwrap_or(empty))
}

/// Something after which the rest cannot be read.
struct Fault {
    at: Position,
    message: Cow<'static, str>,
}

fn fault(at: Position, message: impl Into<Cow<'static, str>>) -> Fault {
    Fault { at, message: message.into() }
}

/// What a broken file usually means, in words for an operator. The parser's own words never hold
/// more of the file than one character.
fn syntax(error: &ScanError) -> Fault {
    let marker = error.marker();
    let at = Position { line: marker.line(), column: marker.col() + 1 };
    let words = match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar => "a tab is used for indentation; use spaces",
        ErrorKind::UnclosedQuotedScalar => "a quote is opened and never closed",
        ErrorKind::SimpleKeyExpected => "expected `key: value`; a space goes after the colon",
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidIndentation => {
            "a `key:` is not allowed here; check the indentation, and quote a value that contains `: `"
        }
        ErrorKind::UnknownAnchor => "this alias (`*name`) has no anchor (`&name`) above it",
        ErrorKind::DirectiveDisallowed => "directives (`%`) are not used here; remove the line",
        ErrorKind::RecursionLimitExceeded => "nested deeper than any configuration needs",
        other => return fault(at, format!("this is not valid YAML: {other}")),
    };
    fault(at, words)
}

/// A list or section that is not finished yet.
enum Frame {
    List { at: Position, anchor: usize, items: Vec<Node> },
    Map { at: Position, anchor: usize, entries: Vec<Entry>, key: Option<(String, Position)> },
}

struct Builder<'r> {
    report: &'r Report,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let at = Position { line: span.start.line(), column: span.start.col() + 1 };
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                no_tag(tag, at)?;
                self.scalar(text.into_owned(), style == ScalarStyle::Plain, anchor, at)
            }
            Event::SequenceStart(_, anchor, tag) => {
                no_tag(tag, at)?;
                self.open(Frame::List { at, anchor, items: Vec::new() }, at)
            }
            Event::MappingStart(_, anchor, tag) => {
                no_tag(tag, at)?;
                self.open(Frame::Map { at, anchor, entries: Vec::new(), key: None }, at)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                self.key_must_be_set(at)?;
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| fault(at, "an alias cannot stand inside what it names"))?;
                let unfolded = node.size();
                self.place(node, unfolded)
            }
            Event::DocumentStart(..) if self.root.is_some() => Err(fault(
                at,
                "a second document starts here; a configuration is one document, remove the `---`",
            )),
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, text: String, plain: bool, anchor: usize, at: Position) -> Result<(), Fault> {
        if let Some(Frame::Map { entries, key: key @ None, .. }) = self.stack.last_mut() {
            if text == "<<" && plain {
                return Err(fault(at, "merge keys (`<<`) are not read here; write the keys out"));
            }
            if text.is_empty() {
                return Err(fault(at, "a key is missing before the colon"));
            }
            let first = entries.iter().find(|entry| entry.key == text).map(|entry| entry.at.line);
            *key = Some((text, at));
            if let Some(line) = first {
                let message = format!("the key is given twice, first on line {line}; keep one of them");
                self.report.problem(Some(at), &self.path(), message);
            }
            return Ok(());
        }
        let node = Node { at, value: Value::Scalar { text, plain } };
        self.remember(anchor, &node);
        self.place(node, 1)
    }

    fn open(&mut self, frame: Frame, at: Position) -> Result<(), Fault> {
        self.key_must_be_set(at)?;
        self.stack.push(frame);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        let (at, anchor, value) = match self.stack.pop() {
            Some(Frame::List { at, anchor, items }) => (at, anchor, Value::List(items)),
            Some(Frame::Map { at, anchor, entries, .. }) => (at, anchor, Value::Map(entries)),
            None => return Ok(()),
        };
        let node = Node { at, value };
        self.remember(anchor, &node);
        self.place(node, 1)
    }

    /// Puts a finished value where it belongs; `weight` is how many values it adds.
    fn place(&mut self, node: Node, weight: usize) -> Result<(), Fault> {
        self.nodes += weight;
        if self.nodes > NODES_MAX {
            return Err(fault(node.at, format!("more than {NODES_MAX} values, aliases unfolded")));
        }
        match self.stack.last_mut() {
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { entries, key, .. }) => {
                if let Some((key, at)) = key.take() {
                    entries.push(Entry { key, at, node });
                }
            }
            None => self.root = Some(node),
        }
        Ok(())
    }

    fn remember(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
    }

    /// A list, a section or an alias in the place of a key.
    fn key_must_be_set(&self, at: Position) -> Result<(), Fault> {
        match self.stack.last() {
            Some(Frame::Map { key: None, .. }) => Err(fault(at, "a key must be a plain word")),
            _ => Ok(()),
        }
    }

    /// The key being read, with its sections.
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.stack {
            match frame {
                Frame::List { items, .. } => path.push_str(&format!("[{}]", items.len())),
                Frame::Map { key: Some((key, _)), .. } => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&shown_key(key));
                }
                Frame::Map { .. } => {}
            }
        }
        path
    }
}

fn no_tag(tag: Option<Cow<'_, Tag>>, at: Position) -> Result<(), Fault> {
    match tag {
        Some(_) => Err(fault(at, "tags (`!name`) are not used here; remove it")),
        None => Ok(()),
    }
}
