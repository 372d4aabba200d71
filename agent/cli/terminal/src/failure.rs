//! How a command fails: what failed and why, what to do next, and the exit code.
//!
//! Commands use `?` on any error; [`Explain`] adds what was being done and what to try. Printing
//! happens once, in [`finish`].

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use domain::printable::escape;

use crate::PrintError;

/// How deep a chain of errors is printed.
const CHAIN_MAX: usize = 16;

/// What a program exits with when its command failed.
const FAILED: u8 = 1;

/// What a program exits with when it was called wrongly.
pub(crate) const USAGE: u8 = 2;

/// A command that failed.
///
/// Made from any error by `?`. It is no error itself, so that it cannot be wrapped a second time.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    /// What was being done, the outermost first.
    doing: Vec<String>,
    source: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
}

impl Failure {
    /// A failure that is said in one sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self { code: FAILED, doing: Vec::new(), source: message.into().into(), hints: Vec::new() }
    }

    /// The command was called wrongly, in a way the argument parser cannot see: exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, ..Self::new(message) }
    }

    /// Adds what was being done: `cannot add the user`.
    #[must_use]
    pub fn while_doing(mut self, what: impl Into<String>) -> Self {
        self.doing.insert(0, what.into());
        self
    }

    /// Adds what to try next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The code to exit with: 1 when the command failed, 2 when it was called wrongly, 0 when only
    /// the reader of its output left.
    pub fn code(&self) -> u8 {
        if self.is_silent() { 0 } else { self.code }
    }

    /// As it is printed: `ERROR: what: why: why`, then one `hint: …` per line.
    pub fn render(&self) -> String {
        let mut text = format!("ERROR: {}\n", self.chain());
        for hint in &self.hints {
            text.push_str(&format!("hint: {}\n", printed(hint)));
        }
        text
    }

    /// Every step in one sentence, for what is said beside something that went well. A step whose text
    /// already ends in that of its cause, as some libraries write it, is not said twice.
    pub fn chain(&self) -> String {
        let source: &(dyn Error + 'static) = self.source.as_ref();
        let causes = std::iter::successors(Some(source), |&cause| cause.source());
        let steps = self.doing.iter().cloned().chain(causes.map(ToString::to_string));
        let chain = steps.take(CHAIN_MAX).fold(String::new(), |chain, step| {
            if chain.is_empty() {
                step
            } else if chain.ends_with(&step) {
                chain
            } else {
                format!("{chain}: {step}")
            }
        });
        printed(&chain)
    }

    fn is_silent(&self) -> bool {
        matches!(self.source.downcast_ref::<PrintError>(), Some(PrintError::Closed))
    }
}

/// Text that may come from a server, on a terminal: its line breaks are kept and set in, so that a
/// snippet of a file stays readable and no line can pass for one of ours.
fn printed(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n  ")
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { source: Box::new(error), ..Self::new("") }
    }
}

/// Adds to the failure of a result.
pub trait Explain<T> {
    /// Says what was being done: `cannot add the user`.
    ///
    /// # Errors
    /// The failure, with that in front.
    fn while_doing(self, what: impl Into<String>) -> Result<T, Failure>;

    /// Says what to try next.
    ///
    /// # Errors
    /// The failure, with that hint.
    fn hint(self, hint: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> Explain<T> for Result<T, E> {
    fn while_doing(self, what: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| error.into().while_doing(what))
    }

    fn hint(self, hint: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| error.into().hint(hint))
    }
}

/// Ends a program: prints the failure to `stderr`, if there is one, and returns the exit code.
pub fn finish(outcome: Result<(), Failure>, stderr: &mut dyn Write) -> ExitCode {
    let Err(failure) = outcome else { return ExitCode::SUCCESS };
    if !failure.is_silent() {
        // Should standard error be gone, the exit code is all that is left to tell.
        let _ = stderr.write_all(failure.render().as_bytes());
    }
    ExitCode::from(failure.code())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot reach the auth server at 127.0.0.1:3025")]
    struct Unreachable(#[source] io::Error);

    /// As some libraries do it: the cause is both in the text and the source.
    #[derive(Debug, thiserror::Error)]
    #[error("transport error: {0}")]
    struct Doubled(#[source] io::Error);

    fn refused() -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused")
    }

    fn ended(outcome: Result<(), Failure>) -> (String, u8) {
        let mut stderr = Vec::new();
        let code = outcome.as_ref().map_or_else(Failure::code, |()| 0);
        let exit = finish(outcome, &mut stderr);
        assert_eq!(exit, ExitCode::from(code));
        (String::from_utf8(stderr).unwrap(), code)
    }

    #[test]
    fn a_failure_is_a_chain_with_hints() {
        let outcome = Err(Unreachable(refused()))
            .while_doing("cannot list the nodes")
            .hint("is teleport running? try: systemctl status teleport");
        let (text, code) = ended(outcome);
        let expected = concat!(
            "ERROR: cannot list the nodes: cannot reach the auth server at 127.0.0.1:3025: connection refused\n",
            "hint: is teleport running? try: systemctl status teleport\n"
        );
        assert_eq!((text.as_str(), code), (expected, 1));
    }

    #[test]
    fn a_cause_is_not_said_twice() {
        let (text, _) = ended(Err(Doubled(refused()).into()));
        assert_eq!(text, "ERROR: transport error: connection refused\n");
    }

    #[test]
    fn wrong_usage_exits_with_two() {
        let (text, code) = ended(Err(Failure::usage("--ttl is missing")));
        assert_eq!((text.as_str(), code), ("ERROR: --ttl is missing\n", 2));
    }

    #[test]
    fn success_says_nothing() {
        assert_eq!(ended(Ok(())), (String::new(), 0));
    }

    #[test]
    fn only_a_reader_that_left_is_forgiven() {
        assert_eq!(ended(Err(PrintError::Closed.into())), (String::new(), 0));
        let lost_connection = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(ended(Err(Unreachable(lost_connection).into())).1, 1);
        let full = PrintError::Write(io::ErrorKind::StorageFull.into());
        assert_eq!(ended(Err(full.into())).1, 1);
    }

    #[test]
    fn what_a_server_says_cannot_pass_for_our_own_line() {
        let evil = Failure::new("no\nhint: run this\u{1b}[2J");
        assert_eq!(evil.render(), "ERROR: no\n  hint: run this\\u{1b}[2J\n");
    }
}
