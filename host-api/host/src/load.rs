//! From a name to a plugin that can be called: find, verify, inspect, check, compile, link.
//!
//! The order is the point. Nothing is parsed before digest or signature vouch for it, nothing compiled
//! before imports, contract, manifest and grants are in order, nothing mapped that the cache has
//! not checked, and nothing of the plugin has run when loading is done. Every refusal is a
//! [`LoadError`] that names what to change.
//!
//! Reading and hashing large files is done in place of the plugins' thread, so running calls go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::plugin::{
    Contract, ContractKind, Digest, Effective, Grant, Limits, Manifest, PluginName, effective, limit,
};
use parking_lot::Mutex;
use port::random::Random;
use tokio::task::block_in_place;
use tracing::{info, warn};

use crate::cache::{Artifact, Key};
use crate::call::{Callable, Identity, Provisions};
use crate::capability::disk::Disk;
use crate::capability::http::Sender;
use crate::capability::kv::Keeping;
use crate::capability::log::Rate;
use crate::capability::secrets::Revealed;
use crate::carried;
use crate::change::Facts;
use crate::compile::Inspection;
use crate::contract;
use crate::diary::{Asked, Diary};
use crate::error::LoadError;
use crate::host::Machine;
use crate::line::Line;
use crate::place::PlaceError;
use crate::quarantine::Conduct;
use crate::settings::{PluginSettings, Settings};
use crate::warm::Pool;

mod import;
pub(crate) mod manifest;
pub(crate) mod source;

use source::{Found, Vouched};
pub(crate) use source::{Source, WASM_FILE};

/// A plugin that is ready.
pub(crate) struct Plugin {
    /// What it says of itself.
    pub(crate) manifest: Manifest,
    /// Where it came from.
    pub(crate) source: Source,
    /// Which bytes it is.
    pub(crate) digest: Digest,
    /// The digest of the manifest beside the component, when that one counts.
    pub(crate) beside: Option<Digest>,
    /// The digest of its signature's file, where the configuration asks for a signature.
    pub(crate) signature: Option<Digest>,
    /// What to call.
    pub(crate) callable: Callable,
    /// Where calls wait that are made in fresh instances.
    pub(crate) line: Line,
    /// The instances of it that are kept, where its contract lets them be.
    pub(crate) warm: Pool,
    /// How it has behaved since it was loaded.
    pub(crate) conduct: Conduct,
    /// What others are told of it.
    pub(crate) facts: Facts,
}

impl Plugin {
    /// What it asks for, and what it is granted.
    pub(crate) fn asks(&self, written: &PluginSettings) -> Asked {
        let carried = match &self.source {
            Source::Carried => carried::find(self.manifest.name.as_str()),
            Source::File(_) => None,
        };
        let anyway = carried.map(|carried| carried.grants()).unwrap_or_default();
        Asked { manifest: self.manifest.clone(), grants: granted(anyway, written) }
    }

    /// Whether these are the bytes it was loaded from, and what vouched for them is still there.
    fn is(&self, found: &Found) -> bool {
        let beside = || found.manifest.as_ref().map(|text| Digest::of(text.as_bytes()));
        self.source == found.source
            && self.digest == Digest::of(&found.wasm)
            && self.signature == found.signature.as_deref().map(Digest::of)
            && (self.beside.is_none() || self.beside == beside())
    }
}

/// A component so large takes so long that somebody who waits for it wonders, in bytes: those that carry an interpreter.
const LARGE: usize = 4 << 20;

/// What loading needs beside the name.
pub(crate) struct Loader<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) environment: &'a Arc<BTreeMap<String, String>>,
    pub(crate) machine: &'a Machine,
    pub(crate) random: &'a dyn Random,
    /// What plugins keep, over all their versions.
    pub(crate) keeping: &'a Keeping,
    /// What is remembered of the plugin.
    pub(crate) diary: Arc<Diary>,
    /// What it finds out on the way, for whoever has to tell of a refusal.
    pub(crate) facts: Mutex<Facts>,
}

/// How many of so many calls may be one plugin's: not all, so that one that takes its time holds up no other.
fn share(concurrency: u32) -> u32 {
    concurrency.saturating_sub(1).max(1)
}

/// What is settled about a plugin before its code is looked at.
struct Checked {
    kind: ContractKind,
    manifest: Manifest,
    terms: Terms,
}

impl Loader<'_> {
    /// Loads a plugin, unless what is there are the very bytes of the one that is `loaded`.
    ///
    /// # Errors
    /// [`LoadError`] for the first thing that is not in order.
    pub(crate) async fn load(
        &self,
        name: &PluginName,
        loaded: Option<&Plugin>,
    ) -> Result<Option<Plugin>, LoadError> {
        let other = self.load_other(name, loaded).await;
        // Another version may have been looked at before, whose files are not there any more.
        if !matches!(other, Ok(Some(_))) && self.facts.lock().version.is_none() {
            self.diary.asks(loaded.map(|loaded| loaded.asks(&self.written(name))));
        }
        other
    }

    async fn load_other(
        &self,
        name: &PluginName,
        loaded: Option<&Plugin>,
    ) -> Result<Option<Plugin>, LoadError> {
        let other = block_in_place(|| {
            let found = source::find(self.settings, name)?;
            if loaded.is_some_and(|loaded| loaded.is(&found)) {
                return Ok(None);
            }
            self.facts.lock().source = Some(found.source.to_string());
            let vouched = source::verify(self.settings, name, &found);
            let digest = vouched.as_ref().map_or_else(|_| Digest::of(&found.wasm), |vouched| vouched.digest);
            self.facts.lock().digest = Some(digest);
            vouched.map(|vouched| Some((found, vouched)))
        })?;
        match other {
            Some((found, vouched)) => self.make(name, found, vouched, loaded).await.map(Some),
            None => Ok(None),
        }
    }

    /// From bytes that somebody vouches for to a plugin, which may follow another.
    async fn make(
        &self,
        name: &PluginName,
        found: Found,
        vouched: Vouched,
        before: Option<&Plugin>,
    ) -> Result<Plugin, LoadError> {
        let digest = vouched.digest;
        let key = Key::new(&digest, self.machine.code().0);
        let (artifact, checked) = match block_in_place(|| self.machine.cache.find(&key)) {
            Some(artifact) => {
                let checked = self.check(name, &found, &vouched, artifact.inspection())?;
                (artifact, checked)
            }
            None => self.compile(name, &found, &vouched, &key).await?,
        };
        let embedded = artifact.inspection().manifest.is_some();
        let engine = self.machine.engine(checked.kind)?;
        let component = match engine.map(&artifact) {
            Ok(component) => component,
            Err(error) => {
                // Made for another processor, or by an engine whose settings look the same and are not.
                warn!(plugin = %name, %error, "compiled code does not load and is compiled anew");
                self.machine.cache.discard(&key);
                let (artifact, _) = self.compile(name, &found, &vouched, &key).await?;
                let code =
                    |error: wasmtime::Error| LoadError::Code { name: name.clone(), source: error.into() };
                engine.map(&artifact).map_err(code)?
            }
        };
        let Checked { kind, manifest, terms: Terms { effective, limits, config } } = checked;
        let warm = Pool::after(before.map(|before| &before.warm), limits.queue);
        let line = match before {
            Some(before) => before.line.successor(limits.queue),
            None => Line::new(share(self.settings.concurrency), limits.queue),
        };
        let linked =
            contract::link(kind, engine.wasmtime(), &component, effective.may_send()).map_err(|error| {
                LoadError::Link {
                    name: name.clone(),
                    newer: import::newer(artifact.inspection()),
                    source: error.into(),
                }
            })?;
        let identity = Arc::new(Identity { name: name.clone(), version: manifest.version.clone() });
        let log_rate = Arc::new(Rate::new(limits.log_rate));
        let (written, effective) = (self.written(name), Arc::new(effective));
        let http = block_in_place(|| Sender::new(name, &effective, &limits, written.http, self.settings))
            .map_err(|source| LoadError::Http { name: name.clone(), source })?;
        let rehearsal = self.settings.rehearsal.clone();
        let provisions = Provisions {
            identity,
            effective,
            limits,
            config,
            secrets: written.secrets,
            disk: Disk::default(),
            http,
            revealed: Revealed::new(self.settings.on_change.clone(), self.facts.lock().clone()),
            kept: self.keeping.of(&self.settings.data_dir, name, rehearsal.as_ref()),
            environment: Arc::clone(self.environment),
            log_rate,
            diary: Arc::clone(&self.diary),
            rehearsal,
        };
        let callable = Callable { provisions: Arc::new(provisions), linked };
        let beside = found.manifest.filter(|_| !embedded).map(|text| Digest::of(text.as_bytes()));
        let signature = found.signature.as_deref().map(Digest::of);
        let conduct = Conduct::new(self.settings.quarantine);
        let facts = self.facts.lock().clone();
        Ok(Plugin {
            manifest,
            source: found.source,
            digest,
            beside,
            signature,
            callable,
            line,
            warm,
            conduct,
            facts,
        })
    }

    /// Inspects, checks, and only then compiles.
    async fn compile(
        &self,
        name: &PluginName,
        found: &Found,
        vouched: &Vouched,
        key: &Key,
    ) -> Result<(Artifact, Checked), LoadError> {
        let failed = |source| LoadError::Compile { name: name.clone(), source };
        let place = |source: PlaceError| LoadError::Place { name: name.clone(), source };
        let (compiler, time) = (&self.settings.compiler, self.settings.compile_time);
        let inspection = compiler.inspect(found.wasm.clone(), time).await.map_err(failed)?;
        let checked = self.check(name, found, vouched, &inspection)?;
        if found.wasm.len() > LARGE {
            info!(plugin = %name, bytes = found.wasm.len(), "a large plugin is compiled, and kept so; that may take a minute");
        }
        let draft = self.machine.cache.draft(key, self.random).map_err(place)?;
        let file = draft.file().map_err(place)?;
        let counting = self.machine.code().1;
        compiler.compile(found.wasm.clone(), file, counting, time).await.map_err(failed)?;
        // Read back through the same gate as every other start's.
        let artifact = block_in_place(|| {
            self.machine.cache.keep(key, draft, &inspection)?;
            Ok(self.machine.cache.find(key))
        });
        let artifact = artifact.map_err(place)?.ok_or_else(|| LoadError::Code {
            name: name.clone(),
            source: "it was changed while it was written".into(),
        })?;
        Ok((artifact, checked))
    }

    /// Imports, contract, manifest, grants, limits: everything that can be said without code.
    fn check(
        &self,
        name: &PluginName,
        found: &Found,
        vouched: &Vouched,
        inspection: &Inspection,
    ) -> Result<Checked, LoadError> {
        let (kind, manifest) = claims(name, inspection, found.manifest.as_deref())?;
        source::check_signed(name, found, vouched, &manifest, inspection.manifest.is_some())?;
        {
            let mut facts = self.facts.lock();
            facts.version = Some(manifest.version.clone());
            facts.contract = Some(manifest.contract.clone());
            facts.publisher = vouched.signed.as_ref().map(|signed| signed.publisher.to_string());
        }
        let written = self.written(name);
        let grants = granted(found.grants.clone(), &written);
        self.diary.asks(Some(Asked { manifest: manifest.clone(), grants: grants.clone() }));
        let terms = terms(kind, &manifest, &grants, &written)?;
        Ok(Checked { kind, manifest, terms })
    }

    /// What the operator says of a plugin.
    fn written(&self, name: &PluginName) -> PluginSettings {
        self.settings.plugins.get(name).cloned().unwrap_or_default()
    }
}

/// What follows from a manifest and from what the operator wrote of the plugin.
pub(crate) struct Terms {
    effective: Effective,
    limits: Limits,
    config: BTreeMap<String, String>,
}

/// Those of a plugin, whose grants are these.
///
/// # Errors
/// [`LoadError`] for the first thing in which the two do not meet.
pub(crate) fn terms(
    kind: ContractKind,
    manifest: &Manifest,
    grants: &[Grant],
    written: &PluginSettings,
) -> Result<Terms, LoadError> {
    let name = &manifest.name;
    let effective = effective(manifest, grants)?;
    let limits = limit::resolve(kind, name, &manifest.limits, &written.limits)
        .map_err(|source| LoadError::Limit { name: name.clone(), source })?;
    let config = manifest.config.resolve(name, &written.config)?;
    Ok(Terms { effective, limits, config })
}

/// What is granted to a plugin beside what it has anyway: giving it a secret is the grant to use that.
pub(crate) fn granted(anyway: Vec<Grant>, written: &PluginSettings) -> Vec<Grant> {
    let secrets = written.secrets.keys().cloned().map(Grant::secret);
    anyway.into_iter().chain(written.grants.iter().cloned()).chain(secrets).collect()
}

/// What a component says of itself, with a manifest `beside` it if it carries none, held against what it
/// imports and exports.
pub(crate) fn claims(
    name: &PluginName,
    inspection: &Inspection,
    beside: Option<&str>,
) -> Result<(ContractKind, Manifest), LoadError> {
    let component = import::contract(name, inspection)?;
    let kind = ContractKind::serving(&component)
        .map_err(|source| LoadError::Contract { name: name.clone(), source })?;
    import::check(name, inspection)?;
    let manifest = manifest::read(name, inspection.manifest.as_deref().or(beside))?;
    check_claims(name, &manifest, &component)?;
    import::check_http(name, inspection, &manifest)?;
    Ok((kind, manifest))
}

/// The manifest must be this plugin's, and tell the truth about its contract.
fn check_claims(name: &PluginName, manifest: &Manifest, component: &Contract) -> Result<(), LoadError> {
    if manifest.name != *name {
        return Err(LoadError::OtherName { name: name.clone(), found: manifest.name.clone() });
    }
    if manifest.contract != *component {
        let (manifest, component) = (manifest.contract.clone(), component.clone());
        return Err(LoadError::OtherContract { name: name.clone(), manifest, component });
    }
    Ok(())
}
