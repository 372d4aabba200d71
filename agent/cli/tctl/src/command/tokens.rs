//! `tctl tokens`: what lets hosts join and users sign up.

use clap::Subcommand;
use terminal::Failure;

use crate::context::Context;

mod add;
mod ls;
mod rm;

/// A command about tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token with which hosts join
    Add(add::Arguments),
    /// List the tokens that can still be used
    ///
    /// Tokens of the configuration (`auth_service.tokens`) are not kept by the auth server; they are
    /// taken from the configuration file this command reads, and never expire.
    Ls(ls::Arguments),
    /// Take a token back before it expires
    ///
    /// Hosts that have joined with it stay. A token of the configuration is taken back by removing it
    /// there and restarting the auth server.
    #[command(visible_alias = "del")]
    Rm(rm::Arguments),
}

impl Command {
    /// Does what was asked.
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Add(arguments) => add::run(arguments, context).await,
            Self::Ls(arguments) => ls::run(arguments, context).await,
            Self::Rm(arguments) => rm::run(arguments, context).await,
        }
    }
}
