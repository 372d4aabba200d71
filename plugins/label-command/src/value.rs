//! From what a command left behind to a label's value, or to a reason an operator can act on.

use teleport_plugin_sdk::label_provider::{Failure, VALUE_MAX};
use teleport_plugin_sdk::process::{Ending, Outcome};

/// The longest piece of standard error shown in a reason, in characters.
const DETAIL_MAX: usize = 200;

/// Checks that there is something to run.
///
/// # Errors
/// [`Failure::Invalid`] says where to write the command.
pub fn check(command: &[String]) -> Result<(), Failure> {
    if command.first().is_none_or(String::is_empty) {
        return Err(Failure::Invalid(
            "the label has no command; write one as command: [program, argument]".to_owned(),
        ));
    }
    Ok(())
}

/// The value of a label whose command ended so: its standard output, trimmed, when it succeeded.
///
/// # Errors
/// [`Failure`] names the command, how it ended and the first line of its standard error.
pub fn of(command: &[String], outcome: &Outcome) -> Result<String, Failure> {
    let program = command.first().map_or("", String::as_str);
    match outcome.ending {
        Ending::Exited(0) => Ok(clipped(&outcome.stdout)),
        Ending::Exited(code) => {
            Err(Failure::Unavailable(format!("{program} exited with code {code}{}", detail(&outcome.stderr))))
        }
        Ending::Signalled(signal) => Err(Failure::Unavailable(format!(
            "{program} was ended by signal {signal}{}",
            detail(&outcome.stderr)
        ))),
        Ending::Flooded => {
            let (stream, kept) = if outcome.stdout_truncated {
                ("output", outcome.stdout.len())
            } else {
                ("error", outcome.stderr.len())
            };
            Err(Failure::Invalid(format!(
                "{program} wrote more than {kept} bytes to standard {stream} and was stopped; \
                 a label takes one line of at most {VALUE_MAX} bytes"
            )))
        }
    }
}

/// The output as text, trimmed and cut between characters.
fn clipped(stdout: &[u8]) -> String {
    let text = String::from_utf8_lossy(stdout);
    let text = text.trim();
    let end = text.floor_char_boundary(VALUE_MAX);
    text.get(..end).unwrap_or_default().to_owned()
}

/// `: first line`, or nothing.
fn detail(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    match text.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => format!(": {}", line.chars().take(DETAIL_MAX).collect::<String>()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Vec<String> {
        vec!["uptime".to_owned(), "-p".to_owned()]
    }

    fn outcome(ending: Ending, stdout: &[u8], stderr: &[u8]) -> Outcome {
        Outcome {
            ending,
            stdout: stdout.to_vec(),
            stderr: stderr.to_vec(),
            stdout_truncated: false,
            stderr_truncated: false,
        }
    }

    #[test]
    fn the_value_is_the_trimmed_output() {
        assert_eq!(
            of(&command(), &outcome(Ending::Exited(0), b" up 3 days\n", b"warning")),
            Ok("up 3 days".to_owned())
        );
        assert_eq!(of(&command(), &outcome(Ending::Exited(0), b"", b"")), Ok(String::new()));
    }

    #[test]
    fn output_that_is_no_text_is_kept_readable() {
        assert_eq!(of(&command(), &outcome(Ending::Exited(0), b"a\xffb", b"")), Ok("a\u{fffd}b".to_owned()));
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let value = of(&command(), &outcome(Ending::Exited(0), "é".repeat(4000).as_bytes(), b"")).unwrap();
        assert_eq!(value.len(), VALUE_MAX);
        // Invalid bytes grow when they are made text; the value still fits.
        let value = of(&command(), &outcome(Ending::Exited(0), &[0xff; 4096], b"")).unwrap();
        assert!(value.len() <= VALUE_MAX);
    }

    #[test]
    fn a_failure_names_the_command_and_the_reason_it_gave() {
        let failed = of(&command(), &outcome(Ending::Exited(1), b"half", b"\nuptime: no /proc\nmore"));
        assert_eq!(
            failed,
            Err(Failure::Unavailable("uptime exited with code 1: uptime: no /proc".to_owned()))
        );
        let killed = of(&command(), &outcome(Ending::Signalled(9), b"", b""));
        assert_eq!(killed, Err(Failure::Unavailable("uptime was ended by signal 9".to_owned())));
    }

    #[test]
    fn a_flood_says_how_much_was_too_much() {
        let mut flooded = outcome(Ending::Flooded, &[b'y'; 64], b"");
        flooded.stdout_truncated = true;
        let Err(Failure::Invalid(text)) = of(&command(), &flooded) else { panic!("a flood has no value") };
        assert!(
            text.starts_with("uptime wrote more than 64 bytes to standard output and was stopped"),
            "{text}"
        );
    }

    #[test]
    fn an_empty_command_says_where_to_write_one() {
        assert!(check(&command()).is_ok());
        assert!(matches!(check(&[]), Err(Failure::Invalid(_))));
        assert!(matches!(check(&[String::new()]), Err(Failure::Invalid(_))));
    }
}
