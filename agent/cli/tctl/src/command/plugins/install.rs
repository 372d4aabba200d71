//! `tctl plugins install`: from a file or a registry into the plugin directory, once everything about it
//! has been checked.
//!
//! It grants nothing: the operator does, in `teleport.yaml`, with the lines that are printed.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use config::Settings;
use domain::plugin::grant::{known_needs, need_text};
use domain::plugin::{Digest, Manifest, PluginName, Publisher};
use domain::printable::escape;
use plugin_host::publish::{Delivery, installed, settle};
use plugin_host::{Compiler, PluginSettings};
use terminal::{Explain as _, Failure};

use super::arrival::{Arrival, SourceArgs};
use super::lacking::{self, Beyond, limits_beyond};
use super::patience;
use super::uptake::{Uptake, Watched};
use crate::context::Context;

/// Arguments of `tctl plugins install`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A component with its manifest in it, its signature beside it; or a place in a registry
    #[arg(value_name = "FILE|oci://HOST/REPOSITORY[:TAG|@sha256:…]")]
    from: String,
    /// Replace a version that is installed
    #[arg(short, long)]
    yes: bool,
    /// How a registry is reached.
    #[command(flatten)]
    source: SourceArgs,
    /// Where to.
    #[command(flatten)]
    directory: DirectoryArgs,
}

/// Which plugin directory.
#[derive(Debug, Args)]
pub(super) struct DirectoryArgs {
    /// The plugin directory [default: teleport.plugins.directory of the configuration]
    #[arg(long, value_name = "DIR")]
    plugin_dir: Option<PathBuf>,
}

impl DirectoryArgs {
    /// Whether there is one to look in, by what was given or written.
    pub(super) fn is_set(&self, settings: &Settings) -> bool {
        self.named(settings).is_some()
    }

    fn named<'a>(&'a self, settings: &'a Settings) -> Option<&'a PathBuf> {
        self.plugin_dir.as_ref().or(settings.plugins.directory.as_ref())
    }

    /// The plugin directory.
    ///
    /// # Errors
    /// A failure that says how to set one.
    pub(super) fn find(&self, settings: &Settings) -> Result<PathBuf, Failure> {
        let Some(directory) = self.named(settings) else {
            let failure = Failure::new(format!("no plugin directory is set in {}", settings.source));
            return Err(failure
                .hint("set teleport.plugins.directory, for example to /var/lib/teleport-plugins, and make it: mkdir -m 755 /var/lib/teleport-plugins")
                .hint("or name one with --plugin-dir DIR"));
        };
        if !directory.is_dir() {
            let path = directory.display();
            return Err(Failure::new(format!("the plugin directory {path} is not there"))
                .hint(format!("make it: mkdir -m 755 {path}")));
        }
        Ok(directory.clone())
    }
}

/// Who vouches for a plugin, by what the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// This publisher, listed for it.
    Publisher(String),
    /// This publisher, known and not listed for it yet.
    KnownPublisher(String),
    /// Its digest is pinned.
    Pinned,
    /// Nobody.
    Nobody,
}

impl Trust {
    /// After [`Delivery::vouched`] has found nothing wrong.
    pub(super) fn of(
        publisher: Option<&Publisher>,
        settings: &Settings,
        manifest: &Manifest,
        digest: Digest,
    ) -> Self {
        let plugin = settings.plugins.load.get(&manifest.name);
        match publisher {
            Some(publisher) => {
                let listed = plugin.is_some_and(|plugin| plugin.publishers.contains(publisher));
                let name = publisher.name.to_string();
                if listed { Self::Publisher(name) } else { Self::KnownPublisher(name) }
            }
            None if plugin.is_some_and(|plugin| plugin.digests.contains(&digest)) => Self::Pinned,
            None => Self::Nobody,
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publisher(name) => write!(f, "signed by {name}"),
            Self::KnownPublisher(name) => {
                write!(f, "signed by {name}, who is not listed for this plugin yet")
            }
            Self::Pinned => f.write_str("its digest is pinned"),
            Self::Nobody => f.write_str("nobody vouches for it: not signed, and its digest is not pinned"),
        }
    }
}

/// Installs a plugin.
pub(super) async fn run(arguments: &Arguments, context: &mut Context<'_>) -> Result<(), Failure> {
    let settings = context.place.settings()?;
    let directory = arguments.directory.find(&settings)?;
    let Arrival { delivery, from } = arguments.source.fetch(&arguments.from, context).await?;
    let manifest = delivery.manifest();
    known_needs(manifest).while_doing("the host would refuse this plugin")?;
    let limits = limits_beyond(manifest)?;
    let publisher = delivery.vouched(&written(&settings, &manifest.name), &known_publishers(&settings))?;
    let trust = Trust::of(publisher.as_ref(), &settings, manifest, delivery.digest());
    context.printer.line(summary(&delivery, &from, &trust, &limits))?;
    if let Some(path) = installed(&directory, &manifest.name) {
        match before(&path).await {
            Some(old) if old.digest() == delivery.digest() && old.signature() == delivery.signature() => {
                settle(&directory, &manifest.name)?;
                context.printer.line(format!("it is installed already: {}", path.display()))?;
                return Ok(());
            }
            old => context.printer.line(difference(old.as_ref(), &delivery))?,
        }
        if !arguments.yes {
            context.printer.flush()?;
            return Err(Failure::new(format!("{} would be replaced", path.display()))
                .hint("if that is what you want, run this again with --yes"));
        }
    }
    let changes = lacking::changes(&delivery, &trust, &settings);
    // One that runs on another directory has nothing to say.
    let watched = if settings.plugins.directory.as_ref() == Some(&directory) {
        Some(Watched::begin(settings.data_dir.clone(), manifest.name.clone()).await)
    } else {
        None
    };
    let path = delivery.install(&directory)?;
    context.printer.line(format!("installed {}", path.display()))?;
    if let Some(changes) = &changes {
        context.printer.line(changes)?;
    }
    context.printer.flush()?;
    // Also where something is left to write: what `tctl plugins ls` says afterwards is of these bytes.
    let uptake = match watched {
        Some(watched) => patience::heard(context, watched.end(delivery.digest())).await,
        None => Uptake::NoDaemon,
    };
    if changes.is_none() {
        return Ok(context.printer.line(told(uptake, &manifest.name)?)?);
    }
    if let Some(note) = until_then(&uptake) {
        context.note(note);
    }
    Ok(())
}

/// What the daemon makes of a plugin that is not granted what it asks for: no failure, for it was said what to write.
fn until_then(uptake: &Uptake) -> Option<String> {
    Some(match uptake {
        Uptake::Not(_) => {
            "note: until then the running daemon does not serve it; why is shown by: tctl plugins ls"
                .to_owned()
        }
        Uptake::Served => {
            "note: the running daemon serves it by what teleport.yaml said when it started".to_owned()
        }
        Uptake::Off(how) => format!("note: it is switched off {how}"),
        Uptake::NotYet => {
            "note: the running daemon has not taken notice of it yet; see: tctl plugins ls".to_owned()
        }
        Uptake::NoDaemon => return None,
    })
}

/// What the daemon makes of it, in words; a failure where it does not serve it.
fn told(uptake: Uptake, name: &PluginName) -> Result<String, Failure> {
    Ok(match uptake {
        Uptake::Served => "the running daemon has taken it up".to_owned(),
        Uptake::Off(how) => format!("it is switched off {}", escape(&how)),
        Uptake::NotYet => "the running daemon has not taken it up yet; see: tctl plugins ls".to_owned(),
        Uptake::NoDaemon => {
            "teleport.yaml grants what it asks for; a daemon takes it up by itself".to_owned()
        }
        Uptake::Not(why) => return Err(not_served(name, &why)),
    })
}

fn not_served(name: &PluginName, why: &str) -> Failure {
    Failure::new(format!("it is installed, but the running daemon does not serve it: {}", escape(why)))
        .hint("the daemon reads teleport.yaml when it starts: restart it after a change there")
        .hint(format!("what it asks for and may do is shown by: tctl plugins explain {name}"))
}

/// The version that is installed, if it can be looked into.
async fn before(path: &Path) -> Option<Delivery> {
    Delivery::look(path, &Compiler::this_program()).await.ok()
}

fn summary(delivery: &Delivery, from: &str, trust: &Trust, limits: &[Beyond]) -> String {
    let manifest = delivery.manifest();
    let mut lines = vec![
        format!("{} {}: {}", manifest.name, manifest.version, escape(&manifest.description)),
        format!("from {}, {}", escape(from), delivery.digest()),
        trust.to_string(),
    ];
    lines.push(if manifest.needs.is_empty() { "it asks for nothing" } else { "it asks for:" }.to_owned());
    let needs = manifest.needs.iter();
    lines.extend(needs.map(|need| format!("  {} ({})", escape(&need_text(need)), escape(&need.reason))));
    lines.extend(limits.iter().map(ToString::to_string));
    lines.join("\n")
}

/// What a new version asks for beside or instead of what the old one did.
fn difference(old: Option<&Delivery>, new: &Delivery) -> String {
    let Some(old) = old else { return "in place of one that cannot be read".to_owned() };
    let needs = |of: &Delivery| {
        let limits = limits_beyond(of.manifest()).unwrap_or_default();
        let limits = limits.iter().map(|limit| format!("the limit {}", limit.line()));
        of.manifest().needs.iter().map(need_text).chain(limits).collect::<BTreeSet<_>>()
    };
    let (before, after) = (needs(old), needs(new));
    let mut lines = vec![format!("in place of version {}, {}", old.manifest().version, old.digest())];
    lines.extend(after.difference(&before).map(|need| format!("  + asks for {} in addition", escape(need))));
    lines.extend(before.difference(&after).map(|need| format!("  - no longer asks for {}", escape(need))));
    if lines.len() == 1 {
        lines.push("  asks for the same".to_owned());
    }
    lines.join("\n")
}

/// What the configuration says of whose word counts for a plugin.
pub(super) fn written(settings: &Settings, name: &PluginName) -> PluginSettings {
    let mut written = PluginSettings::default();
    if let Some(plugin) = settings.plugins.load.get(name) {
        written.digests.clone_from(&plugin.digests);
        written.publishers.clone_from(&plugin.publishers);
    }
    written
}

/// Everybody the configuration names.
pub(super) fn known_publishers(settings: &Settings) -> Vec<Publisher> {
    let publishers = settings.plugins.publishers.iter();
    publishers.map(|(name, key)| Publisher { name: name.clone(), key: key.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_to_grant_is_no_failure_and_the_daemons_word_is_passed_on() {
        let refused = Uptake::Not("Refused: it is not granted kv".to_owned());
        let said = until_then(&refused).unwrap();
        assert!(said.contains("does not serve it") && said.ends_with("tctl plugins ls"), "{said}");
        assert_eq!(until_then(&Uptake::NoDaemon), None);
        let name = PluginName::new("label-x").unwrap();
        assert!(told(refused, &name).is_err(), "nothing is left to write, and still it is refused");
    }
}
