//! `tctl nodes add`: a token, and the command that uses it.

use std::time::Duration;

use clap::Args;
use domain::identity::SystemRole;
use domain::label::Labels;
use terminal::{Failure, FormatArgs};

use crate::context::Context;
use crate::invite::{self, Wish};

/// Arguments of `tctl nodes add`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What the host may join as, separated by commas: node, proxy, auth, app, discovery
    #[arg(long, value_name = "ROLES", default_value = "node", value_delimiter = ',')]
    #[arg(value_parser = SystemRole::parse_joinable)]
    roles: Vec<SystemRole>,
    /// How long the token can be used, such as 5m or 12h
    #[arg(long, default_value = "30m", value_parser = invite::ttl)]
    ttl: Duration,
    /// The token's value [default: 32 random hexadecimal digits]
    #[arg(long, value_name = "VALUE")]
    token: Option<String>,
    /// The form of the result.
    #[command(flatten)]
    format: FormatArgs,
}

/// Makes the token and prints how to use it.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let Arguments { roles, ttl, token, format } = arguments;
    let session = context.connect().await?;
    let wish = Wish { roles, value: token, ttl, labels: Labels::default(), user: None };
    let invite = invite::make(context, &session, wish).await?;
    let text = |invite: &invite::Invite| invite::host_text(invite, &session.status, ttl);
    Ok(context.printer.record(format.format, &invite, text)?)
}
