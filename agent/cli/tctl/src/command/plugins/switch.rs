//! `tctl plugins enable` and `tctl plugins disable`.

use api::control::{Answer, Question};
use clap::Args;
use domain::printable::escape;
use terminal::Failure;

use super::{ask, astray, unread};
use crate::context::Context;

/// Arguments of both.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The plugin
    name: String,
}

/// Switches a plugin.
pub(super) async fn run(arguments: &Arguments, on: bool, context: &mut Context<'_>) -> Result<(), Failure> {
    let name = arguments.name.clone();
    let question = if on { Question::Enable { name } } else { Question::Disable { name } };
    let Answer::Switched { changed, plugin } = ask(context, &question).await? else { return Err(astray()) };
    let name = &plugin.name;
    match (on, changed) {
        (true, true) => context.printer.line(format!("plugin {name} has been enabled: {}", plugin.state))?,
        (true, false) => context.printer.line(format!("plugin {name} is as it was: {}", plugin.state))?,
        (false, true) => context.printer.line(format!("plugin {name} has been disabled"))?,
        (false, false) => context.printer.line(format!("plugin {name} was disabled already"))?,
    }
    if let Some(reason) = plugin.reason.as_ref().filter(|_| on) {
        context.printer.line(format!("  {}", escape(reason)))?;
        unread::note(context)?;
    }
    Ok(())
}
