//! The form in which a command shows what it found.

use clap::{Args, ValueEnum};

/// The form of what a command shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs: one JSON value
    Json,
    /// For programs and editors: one YAML document per record
    Yaml,
}

/// `--format`, for every command that shows records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct FormatArgs {
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}
