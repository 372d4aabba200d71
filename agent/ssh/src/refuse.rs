//! Saying no, with the reason where the protocol lets us.

use russh::ChannelOpenFailure;

/// The longest reason told, in characters.
const REASON_MAX: usize = 800;

/// A refusal to open a channel: `administratively prohibited` with a sentence. OpenSSH prints it.
pub fn prohibited(reason: impl std::fmt::Display) -> ChannelOpenFailure {
    ChannelOpenFailure::Other { code: 1, reason: clip(reason) }
}

/// A channel that could not be opened: `connect failed` with a sentence.
pub fn connect_failed(reason: impl std::fmt::Display) -> ChannelOpenFailure {
    ChannelOpenFailure::Other { code: 2, reason: clip(reason) }
}

/// One line, bounded, without anything that could steer a terminal.
fn clip(reason: impl std::fmt::Display) -> String {
    reason.to_string().chars().filter(|c| !c.is_control()).take(REASON_MAX).collect()
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_one_bounded_line() {
        let ChannelOpenFailure::Other { code, reason } =
            prohibited(format!("a\nb\u{1b}[31m{}", "x".repeat(2000)))
        else {
            panic!("not a reason of our own");
        };
        assert_eq!((code, reason.len()), (1, REASON_MAX));
        assert!(reason.starts_with("ab[31mx"));
    }
}
