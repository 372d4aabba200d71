//! The commands, one file each: what is asked on the command line, and a short function that does it.

use clap::Subcommand;
use terminal::Failure;

use crate::context::Context;

mod auth;
mod create;
mod edit;
mod get;
mod lock;
mod nodes;
mod plugins;
mod rm;
mod status;
mod tokens;
mod users;
mod version;

/// A command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the state of the cluster: version, authorities, CA pin
    Status(status::Arguments),
    /// Add hosts and list them
    #[command(subcommand)]
    Nodes(nodes::Command),
    /// Manage the tokens with which hosts join and users sign up
    #[command(subcommand)]
    Tokens(tokens::Command),
    /// Manage users
    #[command(subcommand)]
    Users(users::Command),
    /// Print resources as files that `tctl create` reads
    Get(get::Arguments),
    /// Make resources from a file
    Create(create::Arguments),
    /// Remove resources
    Rm(rm::Arguments),
    /// Change a resource in an editor
    Edit(edit::Arguments),
    /// Shut somebody or something out at once
    Lock(lock::Arguments),
    /// Operate the plugins of this host
    #[command(subcommand)]
    Plugins(plugins::Command),
    /// Print authorities and make certificates
    #[command(subcommand)]
    Auth(auth::Command),
    /// Print the version of this program
    Version(version::Arguments),
}

impl Command {
    /// Does what was asked.
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Status(arguments) => status::run(arguments, context).await,
            Self::Nodes(command) => command.run(context).await,
            Self::Tokens(command) => command.run(context).await,
            Self::Users(command) => command.run(context).await,
            Self::Get(arguments) => get::run(arguments, context).await,
            Self::Create(arguments) => create::run(arguments, context).await,
            Self::Rm(arguments) => rm::run(arguments, context).await,
            Self::Edit(arguments) => edit::run(arguments, context).await,
            Self::Lock(arguments) => lock::run(arguments, context).await,
            Self::Plugins(command) => command.run(context).await,
            Self::Auth(command) => command.run(context).await,
            Self::Version(arguments) => version::run(arguments, context),
        }
    }
}
