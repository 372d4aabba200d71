//! The plugins that a daemon with a configuration would miss or refuse on this host, for `teleport configure --test`.
//!
//! Looked at is what labels and records need, and what the configuration lists. Not whether the daemon may read the
//! files, nor what they are made of: that is found out by loading them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use config::Settings;
use domain::plugin::PluginName;
use plugin_host::is_carried;
use plugin_host::publish::{Package, carried_agrees};
use terminal::Failure;

use super::verify::fits;

/// One line for each. A host that is a proxy alone runs no plugins.
pub(crate) fn misfits(settings: &Settings) -> Vec<String> {
    if !process::plugins_are_wanted(settings) {
        return Vec::new();
    }
    let directory = settings.plugins.directory.as_deref();
    let mut lines = Vec::new();
    if let Some(directory) = directory.filter(|directory| is_away(directory)) {
        lines.push(format!(
            "this host has no plugin directory {0}; make it: mkdir -m 755 {0}",
            directory.display()
        ));
    }
    let wanted = wanted(settings);
    let misfit = |(name, by): (&PluginName, &Vec<String>)| {
        let by = (!by.is_empty()).then(|| by.join(", "));
        misfit(name, by.as_deref(), directory, settings)
    };
    lines.extend(wanted.iter().filter_map(misfit));
    lines
}

/// Which plugins are looked at, and what needs each.
fn wanted(settings: &Settings) -> BTreeMap<PluginName, Vec<String>> {
    let listed = settings.plugins.load.iter().filter(|(_, plugin)| plugin.enabled);
    let mut wanted: BTreeMap<_, Vec<_>> = listed.map(|(name, _)| (name.clone(), Vec::new())).collect();
    for label in settings.node.iter().flat_map(|node| &node.dynamic_labels) {
        // Others have been refused with the configuration.
        if let Ok(name) = PluginName::new(label.plugin.as_str()) {
            wanted.entry(name).or_default().push(format!("label {}", label.name));
        }
    }
    if let Some(name) = settings.auth.as_ref().and_then(|_| process::storage_plugin(&settings.storage)) {
        wanted.entry(name).or_default().push("teleport.storage".to_owned());
    }
    wanted
}

/// What is wrong with a plugin, if anything is.
fn misfit(
    name: &PluginName,
    by: Option<&str>,
    directory: Option<&Path>,
    settings: &Settings,
) -> Option<String> {
    if settings.plugins.load.get(name).is_some_and(|plugin| !plugin.enabled) {
        let switch = format!("teleport.plugins.load.{name}.enabled");
        return by.map(|by| format!("{by} needs plugin {name}, which {switch} switches off"));
    }
    let folder = directory.map(|directory| directory.join(name.as_str())).filter(|folder| !is_away(folder));
    let line = |why: String| Some(format!("on this host, {name}: {why}"));
    let Some(folder) = folder else {
        if is_carried(name) {
            let written = process::plugin_settings(settings, name);
            return line(Failure::from(carried_agrees(name, &written).err()?).chain());
        }
        return by.map(|by| {
            format!("{by} needs plugin {name}, which this host does not have; install it with `tctl plugins install`")
        });
    };
    let path = folder.join("plugin.wasm");
    match path.try_exists() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return line(format!("{} may not be looked at; run this as the daemon's user", path.display()));
        }
        Ok(false) => {
            return line(format!("there is no {}; put it there with `tctl plugins install`", path.display()));
        }
        _ => {}
    }
    let package = match Package::installed(&path) {
        Ok(package) => package,
        Err(error) => return line(Failure::from(error).chain()),
    };
    let called = &package.manifest().name;
    if called != name {
        return line(format!(
            "{} is plugin {called}, and belongs into a folder of that name",
            path.display()
        ));
    }
    line(Failure::from(fits(&package, settings).err()?).chain())
}

/// Whether nothing is there; what may not be looked at may be there.
fn is_away(path: &Path) -> bool {
    matches!(path.try_exists(), Ok(false))
}
