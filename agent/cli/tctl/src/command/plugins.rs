//! `tctl plugins`: what plugins of this host are, may do and have done.
//!
//! Commands about running plugins ask the daemon of this host over the socket in its data folder; those
//! about files do not need it. Neither needs an auth server here: a node has plugins too.

use api::control::{Answer, Question};
use clap::Subcommand;
use client::control::ControlError;
use terminal::Failure;

use crate::context::Context;

mod arrival;
mod explain;
mod inspect;
mod install;
mod lacking;
mod logs;
mod ls;
mod patience;
mod rm;
mod switch;
mod unread;
mod uptake;
mod yaml;

/// A command about plugins.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the plugins of this host
    Ls(ls::Arguments),
    /// Show one plugin, a file, or what is in a registry
    ///
    /// A file, or oci://HOST/REPOSITORY:TAG, is looked into and not installed.
    Inspect(inspect::Arguments),
    /// Show what a plugin asks for, is granted and has used
    ///
    /// Every difference between its manifest and teleport.yaml comes with the line to change.
    Explain(explain::Arguments),
    /// Show what a plugin logged last
    Logs(logs::Arguments),
    /// Let a plugin run again that was switched off with `disable`
    Enable(switch::Arguments),
    /// Switch a plugin off at once, and for later starts
    ///
    /// The configuration is not changed; what it switches off stays off.
    Disable(switch::Arguments),
    /// Remove a plugin from the plugin directory
    ///
    /// What it kept on this host stays for the next plugin of its name, unless --purge is given.
    Rm(rm::Arguments),
    /// Put a plugin into the plugin directory, from a file or a registry
    ///
    /// Nothing is written before digests, manifest and signature have been checked.
    Install(install::Arguments),
}

impl Command {
    /// Does what was asked.
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Self::Ls(arguments) => ls::run(&arguments, context).await,
            Self::Inspect(arguments) => inspect::run(&arguments, context).await,
            Self::Explain(arguments) => explain::run(&arguments, context).await,
            Self::Logs(arguments) => logs::run(&arguments, context).await,
            Self::Enable(arguments) => switch::run(&arguments, true, context).await,
            Self::Disable(arguments) => switch::run(&arguments, false, context).await,
            Self::Rm(arguments) => rm::run(&arguments, context).await,
            Self::Install(arguments) => install::run(&arguments, context).await,
        }
    }
}

/// Asks the daemon of this host.
async fn ask(context: &mut Context<'_>, question: &Question) -> Result<Answer, Failure> {
    let settings = context.place.settings()?;
    let asking = client::control::ask(&settings.data_dir, question);
    let answer = match question {
        Question::Explain { .. } | Question::Enable { .. } => patience::heard(context, asking).await,
        // Nothing is compiled for those.
        _ => asking.await,
    };
    answer.map_err(|error| match &error {
        ControlError::Nobody { .. } => Failure::from(error)
            .hint("run this on the host whose plugins are meant, with the --config or --data-dir of its daemon")
            .hint("a daemon answers when it has an SSH service or an auth service; look with: systemctl status teleport"),
        ControlError::NotAllowed { .. } => {
            Failure::from(error).hint("run tctl as the user that runs teleport, for example with sudo")
        }
        ControlError::Refused(_) if !matches!(question, Question::List) => {
            Failure::from(error).hint("the plugins of this host are shown by: tctl plugins ls")
        }
        _ => Failure::from(error),
    })
}

/// The daemon answered another question than was asked.
fn astray() -> Failure {
    Failure::new("the daemon answered another question; it may be of another version")
}
