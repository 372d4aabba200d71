//! `tctl auth`: the authorities' public keys, and certificates made outside of signing in.

use clap::Subcommand;
use terminal::Failure;

use crate::context::Context;

mod export;
mod sign;

/// A command about authorities and certificates.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the authorities' public keys as lines for OpenSSH's files
    Export(export::Arguments),
    /// Make keys and certificates for a user, or for a host that runs OpenSSH's sshd
    Sign(sign::Arguments),
}

impl Command {
    /// Does what was asked.
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Export(arguments) => export::run(arguments, context).await,
            Self::Sign(arguments) => sign::run(arguments, context).await,
        }
    }
}
