//! `tctl users`: who may be given certificates.

use clap::Subcommand;
use client::ClientError;
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

/// What the auth server said about a user, with the way to see who there is where that is the matter.
pub(super) fn refused(error: ClientError) -> Failure {
    let is_about_names = error.is_not_found() || error.is_taken();
    let failure = Failure::from(error);
    if is_about_names { failure.hint("list the users with: tctl users ls") } else { failure }
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
