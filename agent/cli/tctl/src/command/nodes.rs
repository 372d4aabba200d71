//! `tctl nodes`: the hosts that serve SSH.

use clap::Subcommand;
use terminal::Failure;

use crate::context::Context;

mod add;
mod ls;

/// A command about nodes.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token with which a host joins, and print the command to run there
    Add(add::Arguments),
    /// List the hosts that are online
    Ls(ls::Arguments),
}

impl Command {
    /// Does what was asked.
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Add(arguments) => add::run(arguments, context).await,
            Self::Ls(arguments) => ls::run(arguments, context).await,
        }
    }
}
