//! Two keys: the plugin's manifest asks, the operator grants, and what holds is what both say.
//!
//! A difference either way is an error and not a silent narrowing: a need without a grant would fail
//! later as if it were a bug, a grant without a need is a leftover or a slip nobody would notice.

use super::capability::{ArgvError, argv_text, check_argv};
use super::{Argv, Capability, Manifest, PluginName};

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
}

impl Grant {
    /// Leave to run one argument list.
    pub fn process(argv: Argv) -> Self {
        Self { capability: Capability::Process.key().to_owned(), scope: Scope::Argv(argv) }
    }

    /// Leave to run what is configured beside each label: what a plugin of ours has from the start.
    pub fn process_configured() -> Self {
        Self { capability: Capability::Process.key().to_owned(), scope: Scope::Configured }
    }
}

/// Why manifest and configuration do not meet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Asked for and not granted.
    #[error("plugin {plugin} asks for {what} ({reason}) and is not granted it; if it may, {line}")]
    NotGranted {
        /// The plugin.
        plugin: PluginName,
        /// What it asks for.
        what: String,
        /// The reason its manifest gives.
        reason: String,
        /// Where to add what.
        line: String,
    },
    /// Granted and not asked for.
    #[error(
        "plugin {plugin} is granted {what} and does not ask for it; {asked}; remove the grant from teleport.yaml under teleport.plugins.load.{plugin}.grants"
    )]
    NotAsked {
        /// The plugin.
        plugin: PluginName,
        /// What the operator granted.
        what: String,
        /// What the plugin asks for instead.
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

/// What a plugin may do: asked for and granted both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective {
    process: Vec<Scope>,
}

impl Effective {
    /// Whether the plugin may run this argument list, where `configured` is the one the operator
    /// wrote beside the label being computed.
    pub fn may_run(&self, argv: &[String], configured: &[String]) -> bool {
        check_argv(argv).is_ok()
            && self.process.iter().any(|scope| match scope {
                Scope::Argv(granted) => granted == argv,
                Scope::Configured => configured == argv,
            })
    }

    /// One line per thing allowed, for people.
    pub fn lines(&self) -> Vec<String> {
        self.process.iter().map(|scope| describe(Capability::Process, Some(scope))).collect()
    }
}

/// What follows from a manifest and the operator's grants.
///
/// # Errors
/// [`GrantError`] names the first difference between the two.
pub fn effective(manifest: &Manifest, grants: &[Grant]) -> Result<Effective, GrantError> {
    let plugin = || manifest.name.clone();
    for need in &manifest.needs {
        let capability = need.capability.clone();
        if Capability::parse(&capability).is_none() {
            return Err(GrantError::UnknownNeed { plugin: plugin(), capability });
        }
    }
    let mut effective = Effective::default();
    for grant in grants {
        let Some(capability) = Capability::parse(&grant.capability) else {
            return Err(GrantError::UnknownGrant { plugin: plugin(), capability: grant.capability.clone() });
        };
        if let Scope::Argv(argv) = &grant.scope {
            check_argv(argv).map_err(|source| GrantError::Argv { plugin: plugin(), source })?;
        }
        if !manifest.needs.iter().any(|need| meets(need, grant)) {
            let what = describe(capability, Some(&grant.scope));
            return Err(GrantError::NotAsked { plugin: plugin(), what, asked: asked_list(manifest) });
        }
        match capability {
            Capability::Process => effective.process.push(grant.scope.clone()),
        }
    }
    match manifest.needs.iter().find(|need| !grants.iter().any(|grant| meets(need, grant))) {
        Some(need) => Err(not_granted(manifest, need)),
        None => Ok(effective),
    }
}

/// Whether a grant is one the need asks for: the same capability, and the same command where the
/// manifest names one.
fn meets(need: &super::Need, grant: &Grant) -> bool {
    need.capability == grant.capability
        && match (&need.argv, &grant.scope) {
            (None, _) => true,
            (Some(asked), Scope::Argv(granted)) => asked == granted,
            (Some(_), Scope::Configured) => false,
        }
}

fn not_granted(manifest: &Manifest, need: &super::Need) -> GrantError {
    let scope = need.argv.clone().map(Scope::Argv);
    let what = describe(Capability::Process, scope.as_ref());
    let example = vec!["PROGRAM".to_owned(), "ARGUMENT".to_owned()];
    let line = process_line(&manifest.name, need.argv.as_ref().unwrap_or(&example));
    GrantError::NotGranted { plugin: manifest.name.clone(), what, reason: need.reason.clone(), line }
}

/// Where to add what, so that a plugin may run a command.
pub fn process_line(plugin: &PluginName, argv: &[String]) -> String {
    format!("add under teleport.plugins.load.{plugin}.grants: process: [{}]", argv_text(argv))
}

fn describe(capability: Capability, scope: Option<&Scope>) -> String {
    match scope {
        None => format!("{capability} with commands of your choice"),
        Some(Scope::Argv(argv)) => format!("{capability} {}", argv_text(argv)),
        Some(Scope::Configured) => format!("{capability} with the command configured for each label"),
    }
}

fn asked_list(manifest: &Manifest) -> String {
    let needs: Vec<String> = manifest
        .needs
        .iter()
        .map(|need| match &need.argv {
            Some(argv) => format!("{} {}", need.capability, argv_text(argv)),
            None => need.capability.clone(),
        })
        .collect();
    if needs.is_empty() {
        "it asks for nothing".to_owned()
    } else {
        format!("it asks for {}", needs.join(", "))
    }
}

#[cfg(test)]
mod tests;
