//! The guests of `tests/guests`, and hosts that load them from a folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use domain::label::DynamicLabel;
use domain::plugin::configuration::Written;
use domain::plugin::{Digest, Grant, PluginName};
use plugin_host::{PluginHost, PluginSettings, Settings};
use tempfile::TempDir;
use terminal::{Explain, Failure};

/// What the tests' own guests are compiled to.
pub(crate) struct Guests {
    /// A label plugin that does what it is told.
    pub(crate) hostile: Vec<u8>,
    /// A storage backend.
    pub(crate) backend: Vec<u8>,
    /// A label plugin that sends the requests it is told to.
    pub(crate) fetch: Vec<u8>,
}

impl Guests {
    pub(crate) fn build() -> Result<Self, Failure> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests");
        let status = Command::new("cargo")
            .args(["build", "--quiet", "--release", "--locked", "--target", "wasm32-wasip2"])
            .current_dir(&folder)
            .env_remove("CARGO_TARGET_DIR")
            .status()
            .while_doing("cannot run cargo")?;
        if !status.success() {
            return Err(Failure::new("the guests cannot be built"));
        }
        let built = folder.join("target/wasm32-wasip2/release");
        let read = |name: &str| std::fs::read(built.join(name)).while_doing("cannot read a guest");
        let (hostile, backend) = (read("guest_hostile.wasm")?, read("guest_backend.wasm")?);
        Ok(Self { hostile, backend, fetch: read("guest_fetch.wasm")? })
    }
}

/// A data folder, a plugin directory, and what the operator says of what is in it.
pub(crate) struct Bed {
    folder: TempDir,
    pub(crate) settings: Settings,
}

impl Bed {
    pub(crate) fn new() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let (data, plugins) = (folder.path().join("data"), folder.path().join("plugins"));
        std::fs::create_dir(&data)?;
        std::fs::create_dir(&plugins)?;
        let mut settings = Settings::new(data);
        settings.directory = Some(plugins);
        // What misbehaves here is to be called again and again.
        settings.quarantine.strikes = 0;
        Ok(Self { folder, settings })
    }

    /// Where a plugin's component is.
    pub(crate) fn component(&self, name: &str) -> PathBuf {
        self.folder.path().join("plugins").join(name).join("plugin.wasm")
    }

    /// Puts a plugin in place, with its manifest and what it may do.
    pub(crate) fn install(
        &mut self,
        name: &str,
        wasm: &[u8],
        manifest: &str,
    ) -> Result<&mut PluginSettings, Failure> {
        let path = self.component(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
            std::fs::write(folder.join("plugin.toml"), manifest)?;
        }
        std::fs::write(path, wasm)?;
        let plugin = self.plugin(name)?;
        plugin.digests.push(Digest::of(wasm));
        Ok(plugin)
    }

    pub(crate) fn plugin(&mut self, name: &str) -> Result<&mut PluginSettings, Failure> {
        Ok(self.settings.plugins.entry(PluginName::new(name)?).or_default())
    }

    pub(crate) fn host(&self) -> Result<Arc<PluginHost>, Failure> {
        Ok(PluginHost::new(self.settings.clone())?)
    }

    /// With the storage backend of the guests, whose `get` answers at once.
    pub(crate) fn with_backend(guests: &Guests) -> Result<Self, Failure> {
        let mut bed = Self::new()?;
        bed.settings.storage = Some(PluginName::new("backend")?);
        let manifest = manifest("backend", "storage-backend")
            + "[[needs]]\ncapability = \"kv\"\nreason = \"keeps the records\"\n\
               [config.deed]\ntype = \"text\"\ndefault = \"\"\ndescription = \"what it does instead\"\n";
        let plugin = bed.install("backend", &guests.backend, &manifest)?;
        plugin.grants.push(Grant::kv());
        plugin.config.insert("deed".to_owned(), Written::One(super::bare::AT_ONCE.to_owned()));
        Ok(bed)
    }
}

/// The manifest of a plugin that needs nothing.
pub(crate) fn manifest(name: &str, contract: &str) -> String {
    format!(
        "name = \"{name}\"\nversion = \"0.0.1\"\ncontract = \"teleport:{contract}@1.0.0\"\n\
         description = \"for the benchmark\"\n"
    )
}

/// A label with a command of these words.
pub(crate) fn label(plugin: &str, command: &str) -> DynamicLabel {
    DynamicLabel {
        name: "bench".to_owned(),
        command: command.split_whitespace().map(str::to_owned).collect(),
        period: std::time::Duration::from_secs(1),
        plugin: plugin.to_owned(),
    }
}
