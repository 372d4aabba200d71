//! `tctl users ls`: every user, by name.

use clap::Args;
use domain::user::{User, UserSpec};
use terminal::{Column, Failure, Format, FormatArgs, Table};

use crate::context::Context;

/// Arguments of `tctl users ls`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The form of the result.
    #[command(flatten)]
    format: FormatArgs,
}

/// Lists the users.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.connect().await?;
    let mut users = context.list::<UserSpec>(&session).await?;
    users.sort_by(|a, b| a.name().cmp(b.name()));
    let format = arguments.format.format;
    if users.is_empty() && format == Format::Text {
        return Ok(context.printer.line("No users found")?);
    }
    Ok(context.printer.list(format, &users, table)?)
}

fn table(users: &[User]) -> Table<2> {
    let mut table = Table::new([Column::new("User").at_least(10), Column::new("Roles")]);
    for user in users {
        table.row([user.name().to_owned(), user.spec.roles.join(",")]);
    }
    table
}
