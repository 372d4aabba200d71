//! Why a plugin does not load. Each names what is wrong, where, and what to do; the texts of others
//! in them have been checked or escaped.

use std::error::Error;
use std::path::PathBuf;

use domain::plugin::configuration::ConfigError;
use domain::plugin::contract::ContractError;
use domain::plugin::grant::GrantError;
use domain::plugin::limit::LimitError;
use domain::plugin::name::NameError;
use domain::plugin::{Contract, Digest, PluginName};

use crate::capability::http::HttpError;
use crate::compile::CompileError;
use crate::engine::EngineError;
use crate::place::PlaceError;
use crate::signature::SignatureError;
use crate::switch::SwitchError;

/// Why a plugin does not load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The name could never be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is none of that name.
    #[error("there is no plugin {name}: this program carries {carried}, {directory}")]
    Unknown {
        /// The name.
        name: PluginName,
        /// What is carried.
        carried: String,
        /// Where else was looked.
        directory: String,
    },
    /// The directory of plugins is not there, or others may write to it.
    #[error("the plugin directory (teleport.plugins.directory, --plugin-dir) cannot be used")]
    Directory(#[source] PlaceError),
    /// The operator switched it off.
    #[error("plugin {0} is switched off; to use it, set teleport.plugins.load.{0}.enabled: yes")]
    Disabled(PluginName),
    /// An administrator of this host switched it off.
    #[error("plugin {0} is switched off on this host; to use it, run: tctl plugins enable {0}")]
    SwitchedOff(PluginName),
    /// It cannot be switched off, for the daemon cannot be without it.
    #[error(
        "plugin {0} keeps the records of this auth server, which cannot do without it; change teleport.storage first"
    )]
    KeepsRecords(PluginName),
    /// It could not be switched.
    #[error("plugin {name} could not be switched")]
    Switch {
        /// The plugin.
        name: PluginName,
        /// The reason.
        #[source]
        source: SwitchError,
    },
    /// What was switched off is not known.
    #[error("it cannot be told which plugins are switched off")]
    Switches(#[source] SwitchError),
    /// A plugin from the directory that nobody has vouched for.
    #[error("plugin {name} at {path} is not pinned and no publisher is listed for it; if it is signed and you trust who signed it, add under teleport.plugins.load.{name}: publishers: [NAME] (and NAME with their key under teleport.plugins.publishers); if you trust this file, add under teleport.plugins.load.{name}: digest: {digest}", path = path.display())]
    NotPinned {
        /// The plugin.
        name: PluginName,
        /// Its file.
        path: PathBuf,
        /// The digest of the file.
        digest: Digest,
    },
    /// Another file than the one that was vouched for.
    #[error("plugin {name} at {path} is not the file that is pinned: its digest is {found}, teleport.plugins.load.{name}.digest is {pinned}; restore the file, or pin the new one if you trust it", path = path.display())]
    OtherDigest {
        /// The plugin.
        name: PluginName,
        /// Its file.
        path: PathBuf,
        /// The digest of the file.
        found: Digest,
        /// The digests in the configuration.
        pinned: String,
    },
    /// It must be signed, and is not.
    #[error("plugin {name} is not signed: there is no {path}; put the signature by {publishers} there; or, if you trust this file without one, write under teleport.plugins.load.{name} in place of the publishers: digest: {digest}", path = path.display())]
    Unsigned {
        /// The plugin.
        name: PluginName,
        /// Where the signature should be.
        path: PathBuf,
        /// Whose it should be.
        publishers: String,
        /// The digest of the file.
        digest: Digest,
    },
    /// Its signature does not vouch for it.
    #[error("plugin {name} is not vouched for by {path}", path = path.display())]
    Signature {
        /// The plugin.
        name: PluginName,
        /// The file with the signature.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: SignatureError,
    },
    /// Its folder is there, and no component in it.
    #[error("the folder of plugin {name} holds no plugin: there is no {path}; put it there with `tctl plugins install`, or remove the folder", path = path.display())]
    NoComponent {
        /// The plugin.
        name: PluginName,
        /// The file that is missing.
        path: PathBuf,
    },
    /// The file, its folder or the cache is not as it must be.
    #[error("the files of plugin {name} cannot be relied on")]
    Place {
        /// The plugin.
        name: PluginName,
        /// What is wrong with them.
        #[source]
        source: PlaceError,
    },
    /// The file is larger than any plugin.
    #[error(
        "plugin {name} at {path} is larger than {max} bytes, which no plugin may be; build it for release and without debug information",
        path = path.display()
    )]
    TooLarge {
        /// The plugin.
        name: PluginName,
        /// Its file.
        path: PathBuf,
        /// The most there may be.
        max: u64,
    },
    /// It is no component, or the compiler failed.
    #[error("plugin {name} cannot be compiled")]
    Compile {
        /// The plugin.
        name: PluginName,
        /// The reason.
        #[source]
        source: CompileError,
    },
    /// It imports something no contract offers.
    #[error(
        "plugin {name} imports {import}, which this host does not offer; build it without that, or run it where it is offered. This host offers {offered}"
    )]
    Import {
        /// The plugin.
        name: PluginName,
        /// The import.
        import: String,
        /// What there is.
        offered: String,
    },
    /// It sends requests and does not say so.
    #[error(
        "plugin {name} imports {import} and its manifest does not ask for it; add to plugin.toml: [[needs]] capability = \"http\", reason = \"…\" and, where they are known, hosts = [\"https://…\"]"
    )]
    HttpNotAsked {
        /// The plugin.
        name: PluginName,
        /// The import.
        import: String,
    },
    /// Requests it may send could not be sent.
    #[error("plugin {name} cannot send requests as it is configured")]
    Http {
        /// The plugin.
        name: PluginName,
        /// The reason.
        #[source]
        source: HttpError,
    },
    /// It exports no hook of any contract.
    #[error(
        "plugin {name} exports nothing this host calls; it exports {exports}, and a plugin exports an interface of {served}"
    )]
    NoContract {
        /// The plugin.
        name: PluginName,
        /// What it exports.
        exports: String,
        /// What there is to export.
        served: String,
    },
    /// It is of a kind or version this host does not serve.
    #[error("plugin {name} cannot be served")]
    Contract {
        /// The plugin.
        name: PluginName,
        /// Both versions.
        #[source]
        source: ContractError,
    },
    /// It has no manifest.
    #[error("plugin {name} has no manifest; put {file} beside its plugin.wasm, or into it as custom section {section}", file = domain::plugin::manifest::FILE, section = domain::plugin::manifest::SECTION)]
    NoManifest {
        /// The plugin.
        name: PluginName,
    },
    /// Its manifest cannot be read.
    #[error("the manifest of plugin {name} cannot be used: {reason}")]
    Manifest {
        /// The plugin.
        name: PluginName,
        /// Where and why.
        reason: String,
    },
    /// Its manifest is another plugin's.
    #[error("the manifest of plugin {name} names it {found}; the folder and the manifest must agree")]
    OtherName {
        /// The plugin.
        name: PluginName,
        /// The name in the manifest.
        found: PluginName,
    },
    /// Its manifest says it is of another kind or version than it is.
    #[error(
        "the manifest of plugin {name} says {manifest}, the component is built for {component}; build it again, or mend the manifest"
    )]
    OtherContract {
        /// The plugin.
        name: PluginName,
        /// The manifest's word.
        manifest: Contract,
        /// The component's.
        component: Contract,
    },
    /// Manifest and grants do not meet.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// What the operator wrote for it is not what it reads.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A limit cannot be used.
    #[error("the limits of plugin {name} cannot be used")]
    Limit {
        /// The plugin.
        name: PluginName,
        /// Which, and why.
        #[source]
        source: LimitError,
    },
    /// It uses something of its contract that this host lacks, or of another type.
    #[error("plugin {name} does not fit this host{}", built_for_newer(newer))]
    Link {
        /// The plugin.
        name: PluginName,
        /// The versions it is built for that are later than this host's, and this host's.
        newer: Vec<(Contract, Contract)>,
        /// What is missing.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Code that was compiled here a moment ago does not load.
    #[error(
        "the compiled code of plugin {name} does not load; where it wants more or larger memories, tables or core instances than one plugin can have, build it with fewer and smaller ones"
    )]
    Code {
        /// The plugin.
        name: PluginName,
        /// wasmtime's reason.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// There is no engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// There is no thread for plugins.
    #[error("the thread plugins run on could not be started; raise the limit on threads")]
    Runtime(#[source] std::io::Error),
    /// It failed a short while ago and is not tried again yet.
    #[error("{reason} (not tried again for {wait} s, or by: tctl plugins enable {name})", wait = wait.as_secs() + u64::from(wait.subsec_nanos() > 0))]
    Again {
        /// The plugin.
        name: PluginName,
        /// What was wrong.
        reason: String,
        /// How long until the next try.
        wait: std::time::Duration,
    },
    /// Its folder was removed while it was loaded.
    #[error("plugin {name} was unloaded, because its folder {folder} was removed; to use it again, put the folder back{otherwise}", folder = folder.display())]
    Removed {
        /// The plugin.
        name: PluginName,
        /// Where it was.
        folder: PathBuf,
        /// What else can be done.
        otherwise: &'static str,
    },
    /// Its folder was removed a while ago, and has not come back.
    #[error("{0}")]
    StillRemoved(String),
    /// Its component was removed while it was loaded.
    #[error("the file {path} of plugin {name} was removed; put it back, or the plugin will not load at the next start", path = path.display())]
    FileRemoved {
        /// The plugin.
        name: PluginName,
        /// Where it was.
        path: PathBuf,
    },
    /// A new version of the plugin that keeps the records, which does not find them.
    #[error(
        "plugin {name} {version} loads, but does not work ({step}: {reason}); mend what it says, or put the version before it back"
    )]
    Fails {
        /// The plugin.
        name: PluginName,
        /// Its version.
        version: String,
        /// The function that failed, or that it did not start.
        step: &'static str,
        /// What it said.
        reason: String,
    },
    /// A new version of the plugin that keeps the records, which nobody can reach at the moment.
    #[error(
        "plugin {name} {version} loads, but its records cannot be reached ({step}: {reason}); it is tried again soon"
    )]
    Unready {
        /// The plugin.
        name: PluginName,
        /// Its version.
        version: String,
        /// The function that failed.
        step: &'static str,
        /// What it said.
        reason: String,
    },
    /// The host is going down, or loading panicked.
    #[error("plugin {0} was not loaded, because the plugin host stopped")]
    Stopped(PluginName),
}

impl LoadError {
    /// Whether the same plugin may load later although nobody changes anything: the machine was short of
    /// something, or it is only not tried again yet.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Again { .. }
                | Self::Stopped(_)
                | Self::Runtime(_)
                | Self::Engine(_)
                | Self::Unready { .. }
                | Self::Place { source: PlaceError::Io { .. }, .. }
                | Self::Compile {
                    source: CompileError::Start { .. } | CompileError::Talk(_) | CompileError::TimedOut(_),
                    ..
                }
        )
    }
}

/// An error and its sources in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let part = source.to_string();
        // Some libraries repeat their source in their own text.
        if !text.ends_with(&part) {
            text = format!("{text}: {part}");
        }
        next = source.source();
    }
    text
}

/// What a component is built for beside what this host serves, where the former is later.
fn built_for_newer(newer: &[(Contract, Contract)]) -> String {
    let both = |(asked, served): &(Contract, Contract)| {
        format!(": it is built for {asked} and uses something that {served}, which this host serves, lacks")
    };
    newer.first().map(both).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_says_each_part_once() {
        let name = PluginName::new("label-x").unwrap();
        let source = PlaceError::Kind { path: "/p".into(), wanted: "folder" };
        assert_eq!(
            chain(&LoadError::Place { name, source }),
            "the files of plugin label-x cannot be relied on: /p is not a folder; move it away"
        );
    }
}
