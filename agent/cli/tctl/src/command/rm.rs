//! `tctl rm`: resources that are gone.

use clap::Args;
use terminal::Failure;

use crate::context::Context;
use crate::record::title;
use crate::reference::One;

/// Arguments of `tctl rm`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to remove: KIND/NAME, such as user/joe
    #[arg(required = true, value_name = "KIND/NAME")]
    records: Vec<One>,
}

/// Removes the resources one by one; those before the first that fails are gone then.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let session = context.connect().await?;
    for One { kind, name } in &arguments.records {
        session.client.delete(*kind, name).await?;
        context.printer.line(format_args!("{} has been deleted", title(*kind, name)))?;
    }
    Ok(())
}
