//! YAML text → a tree in which every key and value knows its line and column.
//!
//! Scalars stay as they are written: what `yes`, `1.10` or `off` means is decided by the key that
//! holds it, not by the YAML schema, so a label `version: 1.10` keeps its zero and `off` needs no
//! quotes. Refused, because a configuration needs none of it and each hides what a file says: tags,
//! merge keys, directives, several documents, keys that are not text. Anchors and aliases work,
//! within a bound on the nodes they may unfold to. Called by [`crate::load`] alone.

use std::borrow::Cow;

use granit_parser::{ErrorKind, Parser, ScanError};

use crate::report::{Position, Report};

mod builder;

use builder::Builder;

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
    let mut builder = Builder::new(report);
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
    Some(builder.finish().filter(|root| !root.is_null()).unwrap_or(empty))
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
        ErrorKind::UnclosedQuotedScalar | ErrorKind::InvalidQuotedScalarIndent => {
            "a quote is opened here or above and not closed"
        }
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::InvalidColonPlacement
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::ExpectedFlowMappingSeparator => {
            "a `[` or `{` is opened here or above and not closed, or a comma is missing"
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn scalars(node: &Node, found: &mut Vec<(String, usize, usize)>) {
        match &node.value {
            Value::Scalar { text, .. } => found.push((text.clone(), node.at.line, node.at.column)),
            Value::List(items) => items.iter().for_each(|item| scalars(item, found)),
            Value::Map(entries) => entries.iter().for_each(|entry| {
                found.push((entry.key.clone(), entry.at.line, entry.at.column));
                scalars(&entry.node, found);
            }),
        }
    }

    #[test]
    fn keys_and_values_know_where_they_stand() {
        let report = Report::new("t");
        let tree = parse("a:\n  bé: [x, 'y']\nc: \"é\" # comment\n", &report).unwrap();
        let mut found = Vec::new();
        scalars(&tree, &mut found);
        let found: Vec<_> =
            found.iter().map(|(text, line, column)| (text.as_str(), *line, *column)).collect();
        assert_eq!(found, [("a", 1, 1), ("bé", 2, 3), ("x", 2, 8), ("y", 2, 11), ("c", 3, 1), ("é", 3, 4)]);
    }

    #[test]
    fn only_an_unquoted_nothing_is_nothing() {
        let report = Report::new("t");
        let tree = parse("[~, null, '', 'null', \"~\", x]", &report).unwrap();
        let Value::List(items) = tree.value else { panic!("a list") };
        let nothing: Vec<_> = items.iter().map(Node::is_null).collect();
        assert_eq!(nothing, [true, true, false, false, false, false]);
    }
}
