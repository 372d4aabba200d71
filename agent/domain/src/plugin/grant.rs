//! Two keys: the plugin's manifest asks, the operator grants, and what holds is what both say.
//!
//! A difference either way is an error and not a silent narrowing: a need without a grant would fail
//! later as if it were a bug, a grant without a need is a leftover or a slip nobody would notice. A
//! grant of fewer places than were asked for is no difference: it is the operator's choice.

use super::capability::{ArgvError, check_argv};
use super::destination::Destination;
use super::{Argv, Capability, Manifest, Need, PluginName, SecretLabel};

mod account;
mod effective;
mod wording;

pub use account::{Item, Meeting, Use, account, need_text};
pub use effective::{Effective, HttpScope};
pub use wording::{http_line, process_line};

/// One thing the operator allows a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The capability as written; checked by [`effective`].
    pub capability: String,
    /// How far it goes.
    pub scope: Scope,
}

/// How far a grant goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Exactly this argument list.
    Argv(Argv),
    /// Exactly the argument list the operator configured for the label being computed.
    Configured,
    /// Requests to these places.
    Http(HttpScope),
    /// This secret.
    Secret(SecretLabel),
    /// All of the capability: it has no parts.
    Whole,
}

impl Grant {
    /// Leave to run one argument list.
    pub fn process(argv: Argv) -> Self {
        Self::of(Capability::Process, Scope::Argv(argv))
    }

    /// Leave to run what is configured beside each label: what a plugin of ours has from the start.
    pub fn process_configured() -> Self {
        Self::of(Capability::Process, Scope::Configured)
    }

    /// Leave to send requests there. `private`: also when that is on a network of one's own or on this
    /// machine.
    pub fn http(destination: Destination, private: bool) -> Self {
        Self::of(Capability::Http, Scope::Http(HttpScope { destination, private }))
    }

    /// Leave to use a secret, which giving it to the plugin is.
    pub fn secret(label: SecretLabel) -> Self {
        Self::of(Capability::Secret, Scope::Secret(label))
    }

    /// Leave to see a secret.
    pub fn secret_reveal(label: SecretLabel) -> Self {
        Self::of(Capability::SecretReveal, Scope::Secret(label))
    }

    /// Leave to keep a few bytes.
    pub fn kv() -> Self {
        Self::of(Capability::Kv, Scope::Whole)
    }

    fn of(capability: Capability, scope: Scope) -> Self {
        Self { capability: capability.key().to_owned(), scope }
    }
}

/// Why manifest and configuration do not meet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Asked for and not granted.
    #[error("plugin {plugin} asks for {what} ({reason}) and is not granted it; if it may, {line}{also}")]
    NotGranted {
        /// The plugin.
        plugin: PluginName,
        /// What it asks for.
        what: String,
        /// The reason its manifest gives.
        reason: String,
        /// Where to add what.
        line: String,
        /// The same for whatever else is missing, as further clauses.
        also: String,
    },
    /// Granted and not asked for.
    #[error(
        "plugin {plugin} is granted {what} and does not ask for it; {asked} in teleport.yaml under teleport.plugins.load.{plugin}"
    )]
    NotAsked {
        /// The plugin.
        plugin: PluginName,
        /// What the operator granted.
        what: String,
        /// What the plugin asks for instead, and what to do.
        asked: String,
    },
    /// The manifest asks for something no host has.
    #[error("the manifest of plugin {plugin} asks for {capability:?}, which this host does not know; it knows {known}", known = Capability::keys())]
    UnknownNeed {
        /// The plugin.
        plugin: PluginName,
        /// The capability as written.
        capability: String,
    },
    /// The operator grants something no host has.
    #[error("teleport.plugins.load.{plugin}.grants names {capability:?}, which this host does not know; it knows {known}", known = Capability::keys())]
    UnknownGrant {
        /// The plugin.
        plugin: PluginName,
        /// The capability as written.
        capability: String,
    },
    /// A granted command that could never run.
    #[error("teleport.plugins.load.{plugin}.grants.process has a command that cannot be run")]
    Argv {
        /// The plugin.
        plugin: PluginName,
        /// The rule it breaks.
        #[source]
        source: ArgvError,
    },
}

/// That a manifest asks for nothing but what a host has, whatever an operator grants.
///
/// # Errors
/// [`GrantError::UnknownNeed`] for the first that none has.
pub fn known_needs(manifest: &Manifest) -> Result<(), GrantError> {
    let unknown = |need: &&Need| Capability::parse(&need.capability).is_none();
    match manifest.needs.iter().find(unknown) {
        Some(need) => Err(GrantError::UnknownNeed {
            plugin: manifest.name.clone(),
            capability: need.capability.clone(),
        }),
        None => Ok(()),
    }
}

/// What follows from a manifest and the operator's grants.
///
/// # Errors
/// [`GrantError`] names everything that is too much, or else everything that is missing.
pub fn effective(manifest: &Manifest, grants: &[Grant]) -> Result<Effective, GrantError> {
    let plugin = || manifest.name.clone();
    known_needs(manifest)?;
    let (mut effective, mut unasked) = (Effective::default(), Vec::new());
    for grant in grants {
        let Some(capability) = Capability::parse(&grant.capability) else {
            return Err(GrantError::UnknownGrant { plugin: plugin(), capability: grant.capability.clone() });
        };
        if let Scope::Argv(argv) = &grant.scope {
            check_argv(argv).map_err(|source| GrantError::Argv { plugin: plugin(), source })?;
        }
        let mut asked = false;
        for scope in manifest.needs.iter().flat_map(|need| both(need, grant)) {
            effective.add(capability, scope);
            asked = true;
        }
        if !asked {
            unasked.push(wording::granted(capability, &grant.scope));
        }
    }
    if !unasked.is_empty() {
        let (what, asked) = (unasked.join(" and "), wording::asked_list(manifest));
        return Err(GrantError::NotAsked { plugin: plugin(), what, asked });
    }
    let missing: Vec<_> = manifest.needs.iter().filter(|need| !is_met(need, grants)).collect();
    match missing.split_first() {
        Some((need, further)) => Err(wording::not_granted(manifest, need, further)),
        None => Ok(effective),
    }
}

/// What a need and a grant have in common.
fn both(need: &Need, grant: &Grant) -> Vec<Scope> {
    if need.capability != grant.capability {
        return Vec::new();
    }
    let fits = match (&grant.scope, &need.argv, &need.label) {
        (Scope::Http(scope), ..) if !need.hosts.is_empty() => {
            let narrower = |host: &Destination| narrower(host, &scope.destination);
            let scope = |destination| Scope::Http(HttpScope { destination, private: scope.private });
            return need.hosts.iter().filter_map(narrower).map(scope).collect();
        }
        (Scope::Argv(granted), Some(asked), _) => asked == granted,
        (Scope::Configured, Some(_), _) => false,
        (Scope::Secret(granted), _, asked) => asked.as_ref() == Some(granted),
        _ => true,
    };
    if fits { vec![grant.scope.clone()] } else { Vec::new() }
}

fn narrower(one: &Destination, other: &Destination) -> Option<Destination> {
    if one.contains(other) {
        return Some(other.clone());
    }
    other.contains(one).then(|| one.clone())
}

/// Whether every part of a need has a grant.
fn is_met(need: &Need, grants: &[Grant]) -> bool {
    let has_part = |host: &Destination| {
        grants.iter().filter(|grant| grant.capability == need.capability).any(|grant| {
            matches!(&grant.scope, Scope::Http(scope) if narrower(host, &scope.destination).is_some())
        })
    };
    if need.hosts.is_empty() {
        grants.iter().any(|grant| !both(need, grant).is_empty())
    } else {
        need.hosts.iter().all(has_part)
    }
}

#[cfg(test)]
mod tests;
