//! Events of the YAML parser → the tree: anchors, aliases, duplicate keys, and what is refused.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, ScalarStyle, Span, Tag};

use super::{Entry, Fault, Node, Value, fault};
use crate::report::{Position, Report};
use crate::shown::shown_key;

/// The most nodes of one file, aliases unfolded.
const NODES_MAX: usize = 20_000;

/// A list or section that is not finished yet.
enum Frame {
    List { at: Position, anchor: usize, items: Vec<Node> },
    Map { at: Position, anchor: usize, entries: Vec<Entry>, key: Option<(String, Position)> },
}

/// Builds the tree of one document, event by event.
pub(super) struct Builder<'r> {
    report: &'r Report,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

impl<'r> Builder<'r> {
    /// Nothing read yet; duplicate keys go to `report`.
    pub(super) fn new(report: &'r Report) -> Self {
        Self { report, stack: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None }
    }

    /// The tree; `None` when the document is empty.
    pub(super) fn finish(self) -> Option<Node> {
        self.root
    }

    /// Takes the next event.
    pub(super) fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
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
    pub(super) fn path(&self) -> String {
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
