//! `tctl users rm`: the users are gone, and so is whatever their certificates opened.

use clap::Args;
use domain::printable::escape;
use domain::resource::Kind;
use terminal::Failure;

use crate::context::Context;

/// Arguments of `tctl users rm`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Names of users, separated by commas
    #[arg(required = true, value_name = "NAMES", value_delimiter = ',')]
    names: Vec<String>,
}

/// Removes the users one by one; those before the first that fails are gone then.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.connect().await?;
    for name in &arguments.names {
        session.client.delete(Kind::User, name).await?;
        context.printer.line(format_args!("User \"{}\" has been deleted", escape(name)))?;
    }
    Ok(())
}
