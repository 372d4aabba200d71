//! `teleport version`.

use std::io::Write;

use telemetry::Build;
use terminal::{Failure, Printer, Screen};

/// Which program this is.
pub(crate) const BUILD: Build =
    Build { version: env!("CARGO_PKG_VERSION"), revision: env!("TELEPORT_REVISION") };

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print the version number alone.
    #[arg(long)]
    raw: bool,
}

pub(crate) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let mut printer = Printer::new(out, Screen::pipe());
    let Build { version, revision } = BUILD;
    if arguments.raw {
        printer.line(version)?;
    } else if revision.is_empty() {
        printer.line(format!("Teleport v{version}"))?;
    } else {
        printer.line(format!("Teleport v{version} git:{revision}"))?;
    }
    Ok(())
}
