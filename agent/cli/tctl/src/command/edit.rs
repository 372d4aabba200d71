//! `tctl edit`: a resource in an editor, written back only if nobody else changed it meanwhile.
//!
//! What was typed is never lost: when it cannot be written back, it stays in a file that the error
//! names.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use clap::Args;
use client::ClientError;
use domain::resource::Kind;
use terminal::{Explain, Failure, Printer, Screen};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tonic::Code;

use crate::context::{Context, Session};
use crate::demotion;
use crate::document;
use crate::record::{Record, title};
use crate::reference::One;
use crate::shell::quoted;

/// Arguments of `tctl edit`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to edit: KIND/NAME, such as role/access
    #[arg(value_name = "KIND/NAME")]
    record: One,
    /// The editor to run, with its arguments
    #[arg(long, value_name = "COMMAND", env = "VISUAL")]
    editor: Option<String>,
    /// The editor to run when neither --editor nor VISUAL names one
    #[arg(long, hide = true, value_name = "COMMAND", env = "EDITOR")]
    fallback_editor: Option<String>,
}

/// The editor where nobody names one.
const EDITOR: &str = "vi";

/// Lets the resource be edited and writes it back.
pub(super) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let Arguments { record: One { kind, name }, editor, fallback_editor } = arguments;
    let editor = chosen([editor, fallback_editor]);
    let session = context.connect().await?;
    let json = session.client.get_json(kind, &name).await?;
    let original = Record::from_server(kind, &json);
    let revision = original.metadata().and_then(|metadata| metadata.revision.clone());
    let (Some(revision), Some(_)) = (revision, original.kind()) else {
        let message =
            format!("{} cannot be read by this version of tctl, so it is not edited", title(kind, &name));
        return Err(Failure::new(message));
    };
    let draft = Draft::write(kind, &original)?;
    let edited = draft.edit(&editor).await;
    let text = draft.read()?;
    if text == draft.original {
        edited?;
        return Ok(context.printer.line(format_args!("{} has not been changed", original.title()))?);
    }
    let written = match edited {
        Ok(()) => write_back(&session, &draft.path, &text, &original, revision).await,
        Err(failure) => Err(failure),
    };
    let edited = match written {
        Ok(edited) => edited,
        Err(failure) => {
            return Err(failure.hint(format!("what you typed is in {}", draft.keep().display())));
        }
    };
    context.printer.line(format_args!("{} has been updated", original.title()))?;
    if let Some(note) = demotion::note(&original, &edited) {
        context.note(note);
    }
    Ok(())
}

/// The first editor that is named. A variable that is set to nothing names none.
fn chosen(named: [Option<String>; 2]) -> String {
    let named = named.into_iter().flatten().find(|editor| !editor.trim().is_empty());
    named.unwrap_or_else(|| EDITOR.to_owned())
}

/// Checks what was typed, writes it back over the record that was read, and returns it.
async fn write_back(
    session: &Session,
    file: &Path,
    text: &str,
    original: &Record,
    revision: String,
) -> Result<Record, Failure> {
    let force = format!("correct it and run: tctl create -f {}", quoted(&file.display().to_string()));
    let mut written = document::read(&file.display().to_string(), text).hint(force.clone())?;
    let edited = match (written.pop(), written.is_empty()) {
        (Some(edited), true) => edited.record,
        _ => return Err(Failure::new("there is more than one resource in what you typed").hint(force)),
    };
    if (edited.kind(), edited.name()) != (original.kind(), original.name()) {
        let message = format!("{} cannot be renamed or become something else", original.title());
        return Err(Failure::new(message).hint("make the new one with `tctl create` and remove the old one"));
    }
    let put = session.client.put_json(edited.to_json(), true, Some(revision)).await;
    let changed = matches!(&put, Err(ClientError::Call { code: Code::Aborted, .. }));
    let put = put.while_doing(format!("{} was not updated", original.title()));
    if changed {
        put.hint("repeat the change on the new version, or overwrite it with `tctl create -f`")?;
    } else {
        put?;
    }
    Ok(edited)
}

/// The file somebody edits. Its folder belongs to this run alone, because editors make files of their
/// own beside it; both are private, because a record may be secret.
struct Draft {
    folder: tempfile::TempDir,
    path: PathBuf,
    original: String,
}

impl Draft {
    fn write(kind: Kind, record: &Record) -> Result<Self, Failure> {
        let mut yaml = Vec::new();
        Printer::new(&mut yaml, Screen::pipe()).yaml(std::slice::from_ref(record))?;
        let original = String::from_utf8_lossy(&yaml).into_owned();
        let private = Permissions::from_mode(0o700);
        let made = tempfile::Builder::new().prefix("tctl-edit-").permissions(private).tempdir();
        let folder = made.while_doing("cannot make a folder for the file to edit")?;
        let path = folder.path().join(format!("{kind}.yaml"));
        std::fs::write(&path, &original).while_doing(format!("cannot write {}", path.display()))?;
        Ok(Self { folder, path, original })
    }

    /// Runs the editor and waits for it. Interrupts are the editor's business meanwhile.
    async fn edit(&self, editor: &str) -> Result<(), Failure> {
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&self.path);
        let mut child = command.spawn().while_doing(format!("cannot run the editor {editor:?}"))?;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                _ = interrupts.recv() => {}
            }
        };
        if status.success() { Ok(()) } else { Err(failed(editor, status)) }
    }

    fn read(&self) -> Result<String, Failure> {
        let read = config::read_file(&self.path);
        read.while_doing(format!("cannot read {} after editing", self.path.display()))
    }

    /// Leaves the file where it is, also after this program.
    fn keep(self) -> PathBuf {
        let _ = self.folder.keep();
        self.path
    }
}

fn failed(editor: &str, status: ExitStatus) -> Failure {
    Failure::new(format!("the editor {editor:?} ended with {status}; nothing was changed"))
        .hint("choose an editor with --editor, VISUAL or EDITOR")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_set_to_nothing_names_no_editor() {
        let chosen = |first: Option<&str>, second: Option<&str>| {
            chosen([first.map(str::to_owned), second.map(str::to_owned)])
        };
        assert_eq!(chosen(Some("code -w"), Some("nano")), "code -w");
        assert_eq!(chosen(Some(" "), Some("nano")), "nano");
        for nothing in [None, Some(""), Some(" \t")] {
            assert_eq!(chosen(None, nothing), "vi");
            assert_eq!(chosen(Some(""), nothing), "vi");
        }
    }
}
