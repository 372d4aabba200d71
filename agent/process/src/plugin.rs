//! The plugin host of this process.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::label::DynamicLabel;
use domain::plugin::publisher::PublicKey;
use domain::plugin::{Publisher, PublisherName};
use plugin_host::{Compiler, PluginHost};

use crate::data_dir::DataDir;
use crate::error::ProcessError;
use crate::host::Host;

/// A plugin host with what the operator says of each plugin. Nothing is loaded yet.
pub(crate) fn host(
    host: &Host,
    data: &DataDir,
    plugins: &config::Plugins,
) -> Result<Arc<PluginHost>, ProcessError> {
    let mut settings = plugin_host::Settings::new(data.path());
    settings.directory.clone_from(&plugins.directory);
    let publisher =
        |(name, key): (&PublisherName, &PublicKey)| Publisher { name: name.clone(), key: key.clone() };
    settings.publishers = plugins.publishers.iter().map(publisher).collect();
    settings.compiler = Compiler::Child {
        program: host.program.clone(),
        arguments: vec![plugin_host::compile::CHILD_ARGUMENT.into()],
    };
    settings.environment = passed_on();
    settings.plugins = plugins
        .load
        .iter()
        .map(|(name, plugin)| {
            let settings = plugin_host::PluginSettings {
                enabled: plugin.enabled,
                digests: plugin.digests.clone(),
                publishers: plugin.publishers.clone(),
                grants: plugin.grants.clone(),
                limits: plugin.limits.clone(),
            };
            (name.clone(), settings)
        })
        .collect();
    Ok(PluginHost::new(settings)?)
}

/// What programs that plugins run may know of this process's environment.
fn passed_on() -> BTreeMap<String, String> {
    ["PATH", "LANG", "HOME"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var_os(name)?.into_string().ok()?)))
        .collect()
}

/// Loads the plugins that labels need, and says now which do not load and what to change: better
/// than a label that stays empty.
pub(crate) async fn check(plugins: &PluginHost, labels: &[DynamicLabel]) {
    let mut names: Vec<_> = labels.iter().map(|label| label.plugin.clone()).collect();
    names.sort();
    names.dedup();
    for refusal in plugins.check(names).await {
        tracing::error!(plugin = %refusal.name, reason = %refusal.reason, "a plugin that labels need does not load");
    }
}
