//! What is wrong with a configuration, and where: collected while it is read, printed once.
//!
//! Reading goes on after a problem, so that an operator sees all of them at once. Nothing here
//! prints a secret: callers hand in sentences, never raw values of secret keys.

use std::cell::RefCell;
use std::fmt;

/// The most problems printed; the rest are counted.
const SHOWN_MAX: usize = 50;

/// A place in a file, both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One thing that is wrong, or merely worth saying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where in the file; flags and variables have no place there.
    pub position: Option<Position>,
    /// The key with its sections (`ssh_service.commands[0].period`), the flag (`--labels`) or the
    /// variable (`HTTPS_PROXY`). Empty when the file is not even YAML.
    pub key: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl Problem {
    /// The problem in one line, the file's name first where it has a place in the file.
    fn line(&self, file: &str) -> String {
        let mut line = String::new();
        if let Some(Position { line: row, column }) = self.position {
            line = format!("{file}:{row}:{column}: ");
        }
        if !self.key.is_empty() {
            line.push_str(&self.key);
            line.push_str(": ");
        }
        line + &self.message
    }
}

/// Every problem of one configuration, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The file's name, as the operator gave it.
    pub file: String,
    /// The problems, in the order of the file; those of flags and variables last.
    pub list: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.list.as_slice() {
            return f.write_str(&only.line(&self.file));
        }
        write!(f, "the configuration has {} problems:", self.list.len())?;
        for problem in self.list.iter().take(SHOWN_MAX) {
            write!(f, "\n  {}", problem.line(&self.file))?;
        }
        if self.list.len() > SHOWN_MAX {
            write!(f, "\n  and {} more", self.list.len() - SHOWN_MAX)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Collects problems and warnings while one configuration is read.
#[derive(Debug)]
pub(crate) struct Report {
    file: String,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Report {
    /// For the file of that name.
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), problems: RefCell::default(), warnings: RefCell::default() }
    }

    /// Notes something the configuration cannot be used with.
    pub(crate) fn problem(&self, position: Option<Position>, key: &str, message: impl fmt::Display) {
        let (key, message) = (key.to_owned(), message.to_string());
        self.problems.borrow_mut().push(Problem { position, key, message });
    }

    /// Notes something the operator should know.
    pub(crate) fn warning(&self, position: Option<Position>, key: &str, message: impl fmt::Display) {
        let (key, message) = (key.to_owned(), message.to_string());
        self.warnings.borrow_mut().push(Problem { position, key, message });
    }

    /// Where a key stands, for an error that comes up after the file was read.
    pub(crate) fn place(&self, position: Option<Position>, key: &str) -> String {
        match position {
            Some(Position { line, column }) => format!("{}:{line}:{column}: {key}", self.file),
            None => key.to_owned(),
        }
    }

    /// The warnings in one line each, or every problem there was.
    pub(crate) fn close(self) -> Result<Vec<String>, Problems> {
        let mut list = self.problems.into_inner();
        if list.is_empty() {
            let warnings = in_order(self.warnings.into_inner());
            return Ok(warnings.iter().map(|warning| warning.line(&self.file)).collect());
        }
        list = in_order(list);
        list.dedup();
        Err(Problems { file: self.file, list })
    }
}

/// In the order of the file; what has no place there comes last, in the order it was found.
fn in_order(mut list: Vec<Problem>) -> Vec<Problem> {
    list.sort_by_key(|problem| (problem.position.is_none(), problem.position));
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: usize, column: usize) -> Option<Position> {
        Some(Position { line, column })
    }

    #[test]
    fn one_problem_is_one_line() {
        let report = Report::new("t.yaml");
        report.problem(at(3, 5), "teleport.x", "unknown key");
        assert_eq!(report.close().unwrap_err().to_string(), "t.yaml:3:5: teleport.x: unknown key");
    }

    #[test]
    fn several_come_in_the_order_of_the_file_and_flags_last() {
        let report = Report::new("t.yaml");
        report.problem(None, "--roles", "no such role");
        report.problem(at(9, 1), "b", "second");
        report.problem(at(2, 1), "a", "first");
        report.problem(at(2, 1), "a", "first");
        let text = report.close().unwrap_err().to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "the configuration has 3 problems:",
                "  t.yaml:2:1: a: first",
                "  t.yaml:9:1: b: second",
                "  --roles: no such role"
            ]
        );
    }

    #[test]
    fn a_flood_of_problems_is_counted_not_printed() {
        let report = Report::new("t.yaml");
        for line in 1..=80 {
            report.problem(at(line, 1), "k", "bad");
        }
        let text = report.close().unwrap_err().to_string();
        assert_eq!(text.lines().count(), 1 + SHOWN_MAX + 1);
        assert!(text.ends_with("and 30 more"));
    }

    #[test]
    fn warnings_alone_do_not_fail() {
        let report = Report::new("t.yaml");
        report.warning(at(1, 2), "k", "ignored");
        assert_eq!(report.close().unwrap(), ["t.yaml:1:2: k: ignored"]);
    }
}
