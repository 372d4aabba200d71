//! `tctl plugins logs`: the last lines of a plugin, and those to come.

use std::time::Duration;

use api::control::{Answer, Line, Question};
use clap::Args;
use domain::printable::escape;
use terminal::{Failure, Format, FormatArgs};

use super::{ask, astray};
use crate::context::Context;

/// How often the daemon is asked for more.
const AGAIN: Duration = Duration::from_millis(500);

/// Arguments of `tctl plugins logs`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The plugin
    name: String,
    /// Go on with lines as they come, until stopped
    #[arg(short, long)]
    follow: bool,
    /// The form of the result.
    #[command(flatten)]
    format: FormatArgs,
}

/// Shows what a plugin logged.
pub(super) async fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let format = arguments.format.format;
    if format != Format::Text {
        if arguments.follow {
            return Err(Failure::usage("--follow shows lines as text; leave out --format"));
        }
        let lines = lines(arguments, 0, context).await?;
        match format {
            Format::Json => context.printer.json(&lines)?,
            _ => context.printer.yaml(&lines)?,
        }
        return Ok(());
    }
    let mut after = 0;
    loop {
        for line in lines(arguments, after, context).await? {
            after = line.number;
            let level = line.level.to_uppercase();
            context.printer.line(format!("{:.3} {level:5} {}", line.time, escape(&line.text)))?;
        }
        context.printer.flush()?;
        if !arguments.follow {
            if after == 0 {
                context.note(format_args!("{} has logged nothing since the daemon started", arguments.name));
            }
            return Ok(());
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn lines(arguments: &Arguments, after: u64, context: &mut Context<'_>) -> Result<Vec<Line>, Failure> {
    let question = Question::Logs { name: arguments.name.clone(), after };
    let Answer::Lines(lines) = ask(context, &question).await? else { return Err(astray()) };
    Ok(lines)
}
