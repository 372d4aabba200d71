//! Reads the command line. Help goes to standard output and is a success; a wrong command line is
//! explained on standard error and exits with 2.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::failure::USAGE;

/// Reads the arguments of a program, its own name first.
///
/// # Errors
/// The code to exit with, once help or the mistake has been printed.
pub fn parse<P: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<P, ExitCode> {
    P::try_parse_from(arguments).map_err(|error| {
        let text = error.render().to_string();
        let wrong = error.use_stderr();
        // Should the stream be gone, the exit code is all that is left to tell.
        let _ = if wrong { err.write_all(text.as_bytes()) } else { out.write_all(text.as_bytes()) };
        if wrong { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, FormatArgs};

    #[derive(Debug, Parser)]
    #[command(name = "tctl", version = "1.2.3")]
    struct Arguments {
        #[command(flatten)]
        format: FormatArgs,
    }

    fn read(arguments: &[&str]) -> (Result<Format, ExitCode>, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let arguments = std::iter::once(&"tctl").chain(arguments).map(OsString::from);
        let parsed = parse::<Arguments>(arguments, &mut out, &mut err);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (parsed.map(|arguments| arguments.format.format), text(out), text(err))
    }

    #[test]
    fn the_format_is_text_unless_it_is_said() {
        assert_eq!(read(&[]).0, Ok(Format::Text));
        assert_eq!(read(&["--format=json"]).0, Ok(Format::Json));
        assert_eq!(read(&["--format", "yaml"]).0, Ok(Format::Yaml));
    }

    #[test]
    fn help_is_a_success_on_standard_output() {
        let (parsed, out, err) = read(&["--help"]);
        assert_eq!((parsed, err.as_str()), (Err(ExitCode::SUCCESS), ""));
        assert!(out.contains("--format <FORMAT>") && out.contains("one YAML document per record"), "{out}");
        assert_eq!(read(&["--version"]).1, "tctl 1.2.3\n");
    }

    #[test]
    fn a_wrong_command_line_is_explained_on_standard_error() {
        for wrong in ["--format=xml", "--fromat=json", "extra"] {
            let (parsed, out, err) = read(&[wrong]);
            assert_eq!((parsed, out.as_str()), (Err(ExitCode::from(2)), ""));
            assert!(err.contains("--help"), "{err}");
        }
    }
}
