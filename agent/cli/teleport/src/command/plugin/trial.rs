//! A plugin host for one plugin that its author tries out: the daemon's own, with grants from the command
//! line in place of `teleport.yaml`.
//!
//! Compiled code is kept below the user's cache folder, so that the next try starts at once; nothing else
//! outlives the command.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::label::DynamicLabel;
use domain::plugin::configuration::{ConfigError, Written};
use domain::plugin::manifest::Wishes;
use domain::plugin::{Argv, Capability, Destination, Grant, Manifest, Need, PluginName, SecretLabel};
use domain::secret::Secret;
use plugin_host::rehearsal::Rehearsal;
use plugin_host::{PluginHost, PluginSettings, SecretFrom, SecretSettings, Settings};
use tempfile::TempDir;
use terminal::{Explain as _, Failure};

use super::project::Staged;

mod flags;

/// What stands here for the operator's limits.
pub(super) const LIMITS: &str = "here that is --limit=KEY=VALUE, or --grant-all for what its manifest wants";

/// What whoever tries the plugin lets it do and gives it.
#[derive(Debug, Default)]
pub(super) struct Leave {
    /// Everything its manifest asks for, also limits.
    pub(super) all: bool,
    /// What it asks for of these kinds.
    pub(super) capabilities: BTreeSet<Capability>,
    /// The places for requests, where its manifest leaves them to the operator.
    pub(super) hosts: Vec<Destination>,
    /// The commands, where its manifest leaves them to the operator.
    pub(super) programs: Vec<Argv>,
    /// Places on private networks and on this machine are within reach of what it may ask.
    pub(super) private: bool,
    /// Its configuration.
    pub(super) config: BTreeMap<String, Written>,
    /// Its secrets.
    pub(super) secrets: BTreeMap<SecretLabel, SecretFrom>,
    /// Its limits.
    pub(super) limits: Wishes,
}

impl Leave {
    fn is_given(&self, capability: Capability) -> bool {
        self.all || self.capabilities.contains(&capability)
    }

    /// What is wrong with the configuration, all of it; asked before the host is, which would name lines of
    /// `teleport.yaml`.
    fn config_faults(&self, manifest: &Manifest) -> Option<String> {
        let faults = manifest.config.faults(&manifest.name, &self.config);
        let reasons: Vec<_> = faults.iter().map(ConfigError::reason).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Refuses configuration that a test's file has wrong.
    ///
    /// # Errors
    /// Every key at fault, with `hint` for where it is written.
    pub(super) fn check_config(&self, manifest: &Manifest, hint: &str) -> Result<(), Failure> {
        let faults = self.config_faults(manifest);
        faults.map_or(Ok(()), |faults| Err(Failure::new(faults).hint(hint.to_owned())))
    }

    fn grants(&self, manifest: &Manifest) -> Vec<Grant> {
        let mut grants = Vec::new();
        for need in &manifest.needs {
            match Capability::parse(&need.capability) {
                Some(capability) if !self.is_given(capability) => {}
                Some(Capability::Process) => match &need.argv {
                    Some(argv) => grants.push(Grant::process(argv.clone())),
                    None => {
                        grants.push(Grant::process_configured());
                        grants.extend(self.programs.iter().cloned().map(Grant::process));
                    }
                },
                Some(Capability::Http) => {
                    let hosts = self.hosts_of(need).iter();
                    grants.extend(hosts.map(|host| Grant::http(host.clone(), self.private)));
                }
                Some(Capability::SecretReveal) => {
                    grants.extend(need.label.clone().map(Grant::secret_reveal));
                }
                Some(Capability::Kv) => grants.push(Grant::kv()),
                Some(Capability::Secret) | None => {}
            }
        }
        grants
    }

    /// Where requests of this need may go.
    fn hosts_of<'a>(&'a self, need: &'a Need) -> &'a [Destination] {
        if need.hosts.is_empty() { &self.hosts } else { &need.hosts }
    }

    fn limits(&self, manifest: &Manifest) -> Wishes {
        let mut limits = if self.all { manifest.limits.clone() } else { Wishes::new() };
        limits.extend(self.limits.clone());
        limits
    }

    /// As the operator would write it.
    fn settings(&self, staged: &Staged) -> PluginSettings {
        let manifest = &staged.manifest;
        // A secret may go wherever the plugin may send requests.
        let sends = |need: &&Need| need.capability == Capability::Http.key();
        let needs = manifest.needs.iter().filter(sends);
        let hosts: Vec<_> = needs.flat_map(|need| self.hosts_of(need).iter().cloned()).collect();
        let secret = |(label, from): (&SecretLabel, &SecretFrom)| {
            (label.clone(), SecretSettings { from: from.clone(), hosts: hosts.clone() })
        };
        PluginSettings {
            digests: vec![staged.digest],
            grants: self.grants(manifest),
            limits: self.limits(manifest),
            config: self.config.clone(),
            secrets: self.secrets.iter().map(secret).collect(),
            ..PluginSettings::default()
        }
    }
}

/// Where the host keeps compiled code.
pub(super) struct Place {
    path: PathBuf,
    /// Where there is no cache folder: removed with this.
    _passing: Option<TempDir>,
}

impl Place {
    /// Below the user's cache folder, or where nothing stays if there is none.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(super) fn open() -> Result<Self, Failure> {
        let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
        let Some(cache) = cache.filter(|path| path.is_absolute()) else {
            let passing = tempfile::tempdir().while_doing("cannot make a folder for compiled code")?;
            return Ok(Self { path: passing.path().to_owned(), _passing: Some(passing) });
        };
        let path = cache.join("teleport");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.while_doing(format!("cannot make {} for compiled code", path.display()))?;
        Ok(Self { path, _passing: None })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// What of a call is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// What came of it: the plugin runs as it does in the daemon.
    Outcome,
    /// The fuel it took too, for which it is compiled otherwise and runs slower.
    Fuel,
}

/// A host that has nothing but this plugin.
///
/// # Errors
/// The host's.
pub(super) fn host(
    staged: &Staged,
    place: &Place,
    leave: &Leave,
    rehearsal: Rehearsal,
    look: Look,
) -> Result<Arc<PluginHost>, Failure> {
    let mut settings = Settings::new(place.path());
    settings.directory = Some(staged.directory().to_owned());
    settings.plugins.insert(staged.manifest.name.clone(), leave.settings(staged));
    settings.environment = plugin_host::PASSED_ON
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var_os(name)?.into_string().ok()?)))
        .collect();
    settings.storage =
        (staged.kind == domain::plugin::ContractKind::StorageBackend).then(|| staged.manifest.name.clone());
    settings.concurrency = 1;
    settings.counting = look == Look::Fuel;
    settings.rehearsal = Some(rehearsal);
    Ok(PluginHost::new(settings)?)
}

/// A secret on the command line.
pub(super) type GivenSecret = (SecretLabel, SecretFrom);

/// A runtime for one call; the plugin has a thread of its own.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.while_doing("cannot start the runtime")
}

/// The label a plugin computes.
pub(super) fn label(plugin: &PluginName, name: Option<String>, command: Vec<String>) -> DynamicLabel {
    let name = name.unwrap_or_else(|| plugin.to_string());
    DynamicLabel { name, command, period: Duration::from_secs(3600), plugin: plugin.to_string() }
}

/// Reads `LABEL=env:NAME` or `LABEL=file:PATH`.
///
/// # Errors
/// What it should look like.
pub(super) fn secret(text: &str) -> Result<GivenSecret, String> {
    let form = || format!("{text:?} is no secret: write LABEL=env:NAME or LABEL=file:PATH");
    let (label, from) = text.split_once('=').ok_or_else(form)?;
    let label = SecretLabel::new(label).map_err(|error| error.to_string())?;
    let from = match from.split_once(':').ok_or_else(form)? {
        ("env", name) => {
            let value = std::env::var_os(name).and_then(|value| value.into_string().ok());
            SecretFrom::Environment { name: name.to_owned(), value: value.map(Secret::new) }
        }
        ("file", path) => SecretFrom::File(PathBuf::from(path)),
        _ => return Err(form()),
    };
    Ok((label, from))
}

/// Reads `KEY=VALUE`.
///
/// # Errors
/// What it should look like.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Values by key; a key that is given more than once is a list.
pub(super) fn configuration(pairs: &[(String, String)]) -> BTreeMap<String, Written> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in pairs {
        values.entry(key.clone()).or_default().push(value.clone());
    }
    let written = |mut values: Vec<String>| match values.len() {
        1 => Written::One(values.pop().unwrap_or_default()),
        _ => Written::Many(values),
    };
    values.into_iter().map(|(key, values)| (key, written(values))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_given_twice_is_a_list() {
        let pairs = ["a=1", "b=x", "a=2=3"].map(|text| pair(text).unwrap());
        let written = configuration(&pairs);
        assert_eq!(written["a"], Written::Many(vec!["1".to_owned(), "2=3".to_owned()]));
        assert_eq!(written["b"], Written::One("x".to_owned()));
        assert!(pair("a").is_err());
    }

    #[test]
    fn a_secret_names_where_it_is_read_from() {
        let (label, from) = secret("token=file:/etc/token").unwrap();
        assert_eq!((label.as_str(), from), ("token", SecretFrom::File("/etc/token".into())));
        for wrong in ["token", "token=s3cret", "token=vault:x", "=env:X", "T=env:X"] {
            assert!(secret(wrong).is_err(), "{wrong}");
        }
    }
}
