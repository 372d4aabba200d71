//! `tctl users`: who may be given certificates.

use clap::Subcommand;
use terminal::Failure;

use crate::context::Context;

mod add;
mod ls;
mod rm;

/// A command about users.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a user and an invite for them
    Add(add::Arguments),
    /// List the users
    Ls(ls::Arguments),
    /// Remove users; their certificates are refused from then on
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
