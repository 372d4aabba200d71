//! `tctl version`: works without an auth server.

use clap::Args;
use serde::Serialize;
use terminal::{Failure, FormatArgs};

use crate::context::Context;

/// Arguments of `tctl version`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The form of the result.
    #[command(flatten)]
    format: FormatArgs,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Version {
    version: &'static str,
}

/// Prints the version.
pub(super) fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let version = Version { version: env!("CARGO_PKG_VERSION") };
    let text = |version: &Version| format!("Teleport v{}", version.version);
    Ok(context.printer.record(arguments.format.format, &version, text)?)
}
