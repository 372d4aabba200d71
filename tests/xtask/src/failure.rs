//! Why a command did not succeed, as a person reads it: what failed, why, what was printed meanwhile,
//! and what to do next. One struct for all commands; nothing branches on it but the exit code.

use std::error::Error;
use std::fmt::{self, Display, Write};
use std::process::ExitCode;

/// The exit code of programs that a signal ended, by the custom of shells: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// Something did not work.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    reasons: Vec<String>,
    attachments: Vec<(String, String)>,
    next: Vec<String>,
    interrupted: bool,
}

impl Failure {
    /// Lower case, without a full stop: it stands behind `error: `.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            reasons: Vec::new(),
            attachments: Vec::new(),
            next: Vec::new(),
            interrupted: false,
        }
    }

    /// Somebody asked to stop.
    pub(crate) fn interrupted() -> Self {
        Self { interrupted: true, ..Self::new("stopped before it was done") }
    }

    /// Why.
    pub(crate) fn because(mut self, reason: impl Display) -> Self {
        self.reasons.push(reason.to_string());
        self
    }

    /// What to do now.
    pub(crate) fn next(mut self, advice: impl Into<String>) -> Self {
        self.next.push(advice.into());
        self
    }

    /// Text that helps to understand it, such as the end of a log.
    pub(crate) fn attach(mut self, title: impl Into<String>, text: &str) -> Self {
        self.attachments.push((title.into(), text.trim_end().to_owned()));
        self
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::FAILURE }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for reason in &self.reasons {
            write!(f, ": {reason}")?;
        }
        f.write_char('\n')?;
        for (title, text) in &self.attachments {
            writeln!(f, "--- {title}")?;
            writeln!(f, "{}", if text.is_empty() { "(empty)" } else { text })?;
        }
        for advice in &self.next {
            writeln!(f, "next: {advice}")?;
        }
        Ok(())
    }
}

impl Error for Failure {}

/// Says which step an error of the system belongs to.
pub(crate) trait During<T> {
    /// Makes it a failure of this step.
    ///
    /// # Errors
    /// Those that were there already.
    fn during(self, what: impl Display) -> Result<T, Failure>;
}

impl<T, E: Display> During<T> for Result<T, E> {
    fn during(self, what: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(what.to_string()).because(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_why_how_it_looked_and_what_next() {
        let failure = Failure::new("node-1 did not start")
            .because("it ended with exit status: 1")
            .attach("node.log", "line one\nline two\n")
            .next("run: rm -r target/up");
        assert_eq!(
            failure.to_string(),
            "error: node-1 did not start: it ended with exit status: 1\n\
             --- node.log\nline one\nline two\nnext: run: rm -r target/up\n"
        );
        assert!(!failure.is_interrupted());
    }
}
