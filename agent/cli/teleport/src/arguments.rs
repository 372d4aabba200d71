//! The command line.

use clap::{Parser, Subcommand};

use crate::command::{configure, plugin, start, version};

/// Certificate-only access to servers: auth server, proxy and SSH node in one daemon.
#[derive(Debug, Parser)]
#[command(name = "teleport", disable_version_flag = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the daemon.
    Start(Box<start::Arguments>),
    /// Print a sample configuration, or check one with --test.
    Configure(Box<configure::Arguments>),
    /// Make, try, test, sign and publish plugins.
    Plugin(plugin::Arguments),
    /// Print the version.
    Version(version::Arguments),
    /// Show the session this command runs in.
    Status,
}
