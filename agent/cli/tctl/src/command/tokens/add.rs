//! `tctl tokens add`: a token for hosts of any kind.

use std::time::Duration;

use clap::Args;
use domain::identity::SystemRole;
use domain::label::{Labels, spec};
use terminal::{Failure, Format};

use crate::context::Context;
use crate::invite::{self, Wish};

/// Arguments of `tctl tokens add`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What hosts may join as, separated by commas: node, proxy, auth, app, discovery, trusted_cluster
    #[arg(long, value_name = "TYPES", required = true, value_delimiter = ',')]
    #[arg(value_parser = SystemRole::parse_joinable)]
    r#type: Vec<SystemRole>,
    /// How long the token can be used, such as 5m or 12h
    #[arg(long, default_value = "30m", value_parser = invite::ttl)]
    ttl: Duration,
    /// The token's value [default: 32 random hexadecimal digits]
    #[arg(long, value_name = "VALUE")]
    value: Option<String>,
    /// Labels for people, shown by `tctl tokens ls`: key=value,key2=value2
    #[arg(long, value_name = "LABELS", value_parser = labels)]
    labels: Option<Labels>,
    /// How to print the result: text is the bare token [default: with the command that uses it]
    #[arg(long, value_enum)]
    format: Option<Format>,
}

fn labels(text: &str) -> Result<Labels, String> {
    let spec = spec::parse(text).map_err(|error| error.to_string())?;
    if spec.dynamic.is_empty() { Ok(spec.fixed) } else { Err("a token has no commands as labels".to_owned()) }
}

/// Makes the token and prints it.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let Arguments { r#type: roles, ttl, value, labels, format } = arguments;
    let session = context.connect().await?;
    let wish = Wish { roles, value, ttl, labels: labels.unwrap_or_default(), user: None };
    let invite = invite::make(context, &session, wish).await?;
    match format {
        None => context.printer.line(invite::host_text(&invite, &session.status, ttl))?,
        Some(format) => context.printer.record(format, &invite, |invite| invite.token.clone())?,
    }
    Ok(())
}
