//! The plugin host of this process: what it is told, and who hears what it tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::audit::Context;
use domain::label::DynamicLabel;
use domain::plugin::publisher::PublicKey;
use domain::plugin::{Publisher, PublisherName};
use plugin_host::{Compiler, PluginHost};
use tokio::sync::mpsc;

use crate::agent::Member;
use crate::data_dir::DataDir;
use crate::error::ProcessError;
use crate::host::Host;
use crate::supervise::{Group, Tokens};
use crate::watchdog::Watchdog;

mod told;

use told::{Chronicle, Numbers, WAITING};

/// What the plugins of a process are started with.
pub(crate) struct Starting<'a> {
    pub(crate) host: &'a Host,
    pub(crate) data: &'a DataDir,
    pub(crate) settings: &'a config::Settings,
    pub(crate) member: &'a Member,
    pub(crate) watchdog: &'a Watchdog,
}

impl Starting<'_> {
    /// Starts a plugin host with what the operator says of each plugin. Those that labels need are
    /// loaded meanwhile, which can take longer than everything else does.
    pub(crate) fn start(
        &self,
        labels: &[DynamicLabel],
        stop: &Tokens,
        group: &mut Group,
    ) -> Result<Arc<PluginHost>, ProcessError> {
        let numbers = Numbers::default();
        self.watchdog.register("plugin", |registry| numbers.register(registry));
        let (sender, changes) = mpsc::channel(WAITING);
        let mut settings = settings(self.host, self.data, &self.settings.plugins);
        settings.clock = Arc::clone(&self.host.clock);
        let counting = numbers.clone();
        settings.on_call = Some(Arc::new(move |report| counting.call(report)));
        settings.on_change = Some(Arc::new(move |change| {
            numbers.change(change);
            if let Err(error) = sender.try_send(change.clone()) {
                tracing::error!(plugin = %change.plugin, %error, "an audit event of a plugin is lost");
            }
        }));
        let plugins = PluginHost::new(settings)?;
        let chronicle =
            Chronicle { changes, recorder: Arc::clone(&self.member.recorder), context: self.context() };
        let (names, checked) = (needed(labels), Arc::clone(&plugins));
        let (stop, stopped) = (stop.agents.clone(), stop.agents.clone());
        group.spawn("plugins", async move {
            let checking = async {
                tokio::select! {
                    () = check(&checked, names) => {}
                    () = stopped.cancelled() => {}
                }
            };
            tokio::join!(checking, chronicle.run(stop));
        });
        Ok(plugins)
    }

    /// This host, in audit events.
    fn context(&self) -> Context {
        let bundle = self.member.identity.borrow();
        Context {
            cluster_name: bundle.identity.cluster.to_string(),
            server_id: bundle.identity.host_id.to_string(),
            server_hostname: self.settings.nodename.clone(),
            ..Context::default()
        }
    }
}

fn settings(host: &Host, data: &DataDir, plugins: &config::Plugins) -> plugin_host::Settings {
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
                ..plugin_host::PluginSettings::default()
            };
            (name.clone(), settings)
        })
        .collect();
    settings
}

/// What programs that plugins run may know of this process's environment.
fn passed_on() -> BTreeMap<String, String> {
    ["PATH", "LANG", "HOME"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var_os(name)?.into_string().ok()?)))
        .collect()
}

/// The plugins that labels need.
fn needed(labels: &[DynamicLabel]) -> BTreeSet<String> {
    labels.iter().map(|label| label.plugin.clone()).collect()
}

/// Loads plugins, and says now which do not load and what to change: better than a label that
/// stays empty.
async fn check(plugins: &PluginHost, names: BTreeSet<String>) {
    for refusal in plugins.check(names).await {
        tracing::error!(plugin = %refusal.name, reason = %refusal.reason, "a plugin that labels need does not load");
    }
}
