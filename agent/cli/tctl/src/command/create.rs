//! `tctl create`: resources from a file. The whole file is checked before the first is made.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use domain::resource::Kind;
use terminal::{Explain, Failure};

use crate::context::{Context, Session};
use crate::demotion;
use crate::document;
use crate::record::Record;

/// Arguments of `tctl create`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// YAML or JSON, several documents separated by `---`; standard input when absent or `-`
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Replace resources that exist already
    #[arg(short, long)]
    force: bool,
}

/// What the help shows.
const EXAMPLES: &str = "\
Examples:
  tctl create role.yaml
  tctl get user/joe > joe.yaml; $EDITOR joe.yaml; tctl create -f joe.yaml";

/// Makes the resources.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let (name, text) = match arguments.file.as_deref().filter(|path| *path != Path::new("-")) {
        Some(path) => (path.display().to_string(), config::read_file(path)),
        None => {
            if io::stdin().is_terminal() {
                context.note("note: reading resources from the terminal; end with Ctrl-D");
            }
            ("standard input".to_owned(), read_input())
        }
    };
    let text = text.while_doing(format!("cannot read {name}"))?;
    let written = document::read(&name, &text).hint("nothing was changed")?;
    let session = context.connect().await?;
    for one in &written {
        // Only where something may be replaced.
        let before = if arguments.force { user_before(&session, &one.record).await } else { None };
        let put = session.client.put_json(one.record.to_json(), arguments.force, None).await;
        let put = put.map_err(|error| {
            let is_taken = error.is_taken();
            let failure = Failure::from(error).while_doing(one.place.clone());
            if is_taken { failure.hint("to replace what there is: tctl create -f") } else { failure }
        })?;
        let deed = if put.replaced { "updated" } else { "created" };
        context.printer.line(format_args!("{} has been {deed}", one.record.title()))?;
        if let Some(end) = one.record.metadata().and_then(|metadata| metadata.expires)
            && end <= context.now()
        {
            context.note(format_args!("note: {} expired at {end}: it is gone already", one.record.title()));
        }
        if let Some(note) = before.and_then(|before| demotion::note(&before, &one.record)) {
            context.note(note);
        }
    }
    Ok(())
}

/// The user that is about to be replaced. Only a note depends on it: what keeps the answer away keeps the new one
/// away, too, and is told then.
async fn user_before(session: &Session, record: &Record) -> Option<Record> {
    let Record::User(user) = record else { return None };
    let json = session.client.get_json(Kind::User, user.name()).await.ok()?;
    Some(Record::from_server(Kind::User, &json))
}

/// Standard input, as far as a file may reach.
fn read_input() -> io::Result<String> {
    let most = u64::try_from(config::FILE_MAX).unwrap_or(u64::MAX);
    let mut text = String::new();
    io::stdin().lock().take(most + 1).read_to_string(&mut text)?;
    if text.len() > config::FILE_MAX {
        let message = format!("larger than {} bytes", config::FILE_MAX);
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(text)
}
