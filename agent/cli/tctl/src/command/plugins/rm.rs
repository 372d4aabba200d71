//! `tctl plugins rm`: takes a plugin out of the plugin directory and, where that is asked for, deletes what it kept on
//! this host.

use std::path::{Path, PathBuf};

use clap::Args;
use config::{Settings, Storage};
use domain::plugin::PluginName;
use plugin_host::publish::{InstallError, uninstall};
use plugin_host::{LoadError, delete_kept, is_carried, kept_file};
use terminal::{Explain as _, Failure};

use super::install;
use super::uptake::{Served, gone, served};
use crate::context::Context;

/// Arguments of `tctl plugins rm`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The plugin
    name: String,
    /// Delete what it kept on this host, too; also what one that was removed before has left
    #[arg(long)]
    purge: bool,
    /// The plugin directory [default: what the configuration says]
    #[command(flatten)]
    directory: install::DirectoryArgs,
}

/// Removes a plugin.
pub(super) async fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let name = PluginName::new(arguments.name.as_str())?;
    let settings = context.place.settings()?;
    if is_carried(&name) && !arguments.directory.is_set(&settings) {
        return Err(carried(&name));
    }
    let directory = arguments.directory.find(&settings)?;
    let kept = kept_file(&settings.data_dir, &name);
    keeps_no_records(&name, &settings)?;
    let before = served(&settings.data_dir, &name).await;
    match uninstall(&directory, &name) {
        Ok(()) => {
            let directory = directory.display();
            context.printer.line(format!("plugin {name} has been removed from {directory}"))?;
        }
        // It was removed before; what it left is still there.
        Err(InstallError::NotInstalled { .. }) if arguments.purge && kept.exists() => {}
        Err(error) => return Err(not_removed(error, &name)),
    }
    context.printer.flush()?;
    // The daemon notices by itself, a moment later. It may serve what is in another directory.
    if (arguments.purge || comes_from(&before, &directory))
        && !gone(&before, async || served(&settings.data_dir, &name).await).await
    {
        still_served(&name, arguments.purge.then_some(&kept), context)?;
    }
    if arguments.purge {
        context.printer.line(purge(&settings.data_dir, &name)?)?;
    } else if kept.exists() {
        context.note(format_args!(
            "note: what it kept stays in {}, and the next plugin called {name} reads it; to delete it, run: tctl plugins rm --purge {name}",
            kept.display()
        ));
    }
    if settings.plugins.load.contains_key(&name) {
        context.note(format_args!(
            "note: {} still says something of it under teleport.plugins.load.{name}",
            settings.source
        ));
    }
    Ok(())
}

/// Says that the plugin goes on; what it kept cannot be deleted then.
fn still_served(name: &PluginName, kept: Option<&PathBuf>, context: &mut Context<'_>) -> Result<(), Failure> {
    let Some(kept) = kept else {
        context.note(format_args!(
            "note: the running daemon still serves {name}; look at it with: tctl plugins ls"
        ));
        return Ok(());
    };
    Err(Failure::new(format!("the running daemon still serves {name}; {} was left", kept.display()))
        .hint("look at it with: tctl plugins ls")
        .hint(format!("once it is gone, run: tctl plugins rm --purge {name}")))
}

fn comes_from(served: &Served, directory: &Path) -> bool {
    matches!(served, Served::From { source, .. } if Path::new(source).starts_with(directory))
}

/// A plugin from elsewhere that keeps the records: without it the daemon would not start again. One of ours is carried,
/// and the daemon goes on with what it serves until then.
fn keeps_no_records(name: &PluginName, settings: &Settings) -> Result<(), Failure> {
    match &settings.storage {
        Storage::Plugin { name: keeper } if keeper == name && !is_carried(name) => {
            Err(LoadError::KeepsRecords(name.clone()).into())
        }
        _ => Ok(()),
    }
}

/// Without a plugin directory there is no other of its name.
fn carried(name: &PluginName) -> Failure {
    Failure::new(format!("plugin {name} is carried in the program and cannot be removed"))
        .hint(format!("stop it with: tctl plugins disable {name}"))
}

fn not_removed(error: InstallError, name: &PluginName) -> Failure {
    match error {
        InstallError::NotInstalled { .. } if is_carried(name) => Failure::from(error)
            .hint(format!("one that the program carries is switched off with: tctl plugins disable {name}")),
        InstallError::NotInstalled { .. } => Failure::from(error).hint("list them with: tctl plugins ls"),
        error => error.into(),
    }
}

fn purge(data_dir: &Path, name: &PluginName) -> Result<String, Failure> {
    let kept = kept_file(data_dir, name);
    let deleted = delete_kept(data_dir, name).while_doing(format!("{} cannot be deleted", kept.display()));
    Ok(match deleted.hint("run tctl as the user that runs teleport, for example with sudo")? {
        true => format!("what it kept in {} has been deleted", kept.display()),
        false => "it kept nothing on this host".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_carries_is_stopped_and_not_removed() {
        let name = PluginName::new("label-command").unwrap();
        assert!(is_carried(&name));
        let said = carried(&name).render();
        assert!(said.contains("label-command is carried in the program"), "{said}");
        assert!(said.contains("tctl plugins disable label-command"), "{said}");
        let directory = PathBuf::from("/plugins");
        let said = not_removed(InstallError::NotInstalled { name: name.clone(), directory }, &name).render();
        assert!(said.contains("tctl plugins disable label-command"), "{said}");
    }
}
