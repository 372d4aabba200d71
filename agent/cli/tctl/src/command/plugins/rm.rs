//! `tctl plugins rm`: takes a plugin out of the plugin directory.

use clap::Args;
use domain::plugin::PluginName;
use plugin_host::publish::{InstallError, uninstall};
use terminal::Failure;

use super::install;
use crate::context::Context;

/// Arguments of `tctl plugins rm`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The plugin
    name: String,
    /// The plugin directory [default: what the configuration says]
    #[command(flatten)]
    directory: install::DirectoryArgs,
}

/// Removes a plugin.
pub(super) fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let name = PluginName::new(arguments.name.as_str())?;
    let settings = context.place.settings()?;
    let directory = arguments.directory.find(&settings)?;
    uninstall(&directory, &name).map_err(|error| match error {
        InstallError::NotInstalled { .. } => Failure::from(error)
            .hint(format!("one that the program carries is switched off with: tctl plugins disable {name}")),
        error => error.into(),
    })?;
    context.printer.line(format!("plugin {name} has been removed from {}", directory.display()))?;
    if settings.plugins.load.contains_key(&name) {
        context.note(format_args!(
            "note: {} still says something of it under teleport.plugins.load.{name}",
            settings.source
        ));
    }
    Ok(())
}
