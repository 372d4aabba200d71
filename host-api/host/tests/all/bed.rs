//! A host on a temporary data_dir, guests built once, and plugin folders as an operator would lay
//! them out.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::label::DynamicLabel;
use domain::plugin::{Digest, Grant, PluginName};
use plugin_host::{CallReport, Compiler, LoadError, PluginHost, PluginSettings, Settings};
use tempfile::TempDir;

/// Far more than anything here takes, on any machine.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// Builds the guests once per run and gives the bytes of one.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/guests");
        let built = cargo(&guests).arg("--locked").output().expect("cargo starts");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        guests.join("target/wasm32-wasip2/release")
    });
    std::fs::read(folder.join(format!("guest_{name}.wasm"))).expect("the guest is built")
}

/// A build of components, free of what is set for this one.
pub(crate) fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"]).current_dir(folder);
    for foreign in ["CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS"] {
        cargo.env_remove(foreign);
    }
    cargo
}

/// The manifest of a plugin that needs nothing.
pub(crate) fn manifest(name: &str) -> String {
    format!(
        "name = \"{name}\"\nversion = \"0.0.1\"\ncontract = \"teleport:label-provider@1.0.0\"\n\
         description = \"for tests\"\n"
    )
}

/// The component with a manifest in it, as plugins are released.
pub(crate) fn released(wasm: &[u8], manifest: &str) -> Vec<u8> {
    // Padded numbers are as good as short ones (WebAssembly core specification 5.2.2).
    let number = |n: usize| [(n & 0x7f) as u8 | 0x80, (n >> 7) as u8];
    let name = b"teleport:manifest";
    let body = [&number(name.len()), &name[..], manifest.as_bytes()].concat();
    [wasm, &[0], &number(body.len()), &body].concat()
}

/// The manifest of a plugin that runs what the operator names.
pub(crate) fn manifest_with_process(name: &str) -> String {
    format!("{}[[needs]]\ncapability = \"process\"\nreason = \"runs things\"\n", manifest(name))
}

/// Where a host lives.
pub(crate) struct Bed {
    root: Arc<TempDir>,
    pub(crate) settings: Settings,
}

impl Bed {
    /// An empty data_dir and an empty plugin directory.
    pub(crate) fn new() -> Self {
        let root = Arc::new(tempfile::tempdir().unwrap());
        let (data, plugins) = (root.path().join("data"), root.path().join("plugins"));
        std::fs::create_dir(&data).unwrap();
        std::fs::create_dir(&plugins).unwrap();
        let mut settings = Settings::new(data);
        settings.directory = Some(plugins);
        settings.compiler = Compiler::Child {
            program: env!("CARGO_BIN_EXE_teleport-plugin-compiler").into(),
            arguments: vec![],
        };
        settings.environment = BTreeMap::from([("HOME".to_owned(), "/".to_owned())]);
        // Most plugins here misbehave again and again, and are to be called nevertheless.
        settings.quarantine.strikes = 0;
        Self { root, settings }
    }

    /// The hostile guest, pinned, under its own name, with processor time for every deed that ends: a
    /// machine under load may take longer over touching memory than a plugin has by default.
    pub(crate) fn patient() -> Self {
        let mut bed = Self::hostile();
        bed.limit("hostile", "cpu", "10s");
        bed.limit("hostile", "wall", "1m");
        bed
    }

    /// The hostile guest, pinned, under its own name.
    pub(crate) fn hostile() -> Self {
        let mut bed = Self::new();
        bed.install("hostile", &guest("hostile"), &manifest("hostile"));
        bed.pin("hostile");
        bed
    }

    /// The folder of a plugin.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.root.path().join("plugins").join(name)
    }

    /// The cache of compiled code.
    pub(crate) fn cache(&self) -> PathBuf {
        self.root.path().join("data/plugins/cache")
    }

    /// Puts component and manifest in place.
    pub(crate) fn install(&self, name: &str, wasm: &[u8], manifest: &str) {
        std::fs::create_dir_all(self.folder(name)).unwrap();
        std::fs::write(self.folder(name).join("plugin.wasm"), wasm).unwrap();
        std::fs::write(self.folder(name).join("plugin.toml"), manifest).unwrap();
    }

    /// What the operator says of a plugin.
    pub(crate) fn plugin(&mut self, name: &str) -> &mut PluginSettings {
        self.settings.plugins.entry(PluginName::new(name).unwrap()).or_default()
    }

    /// Pins the file that is there, beside those pinned before.
    pub(crate) fn pin(&mut self, name: &str) {
        let bytes = std::fs::read(self.folder(name).join("plugin.wasm")).unwrap();
        self.plugin(name).digests.push(Digest::of(&bytes));
    }

    /// Sets a limit.
    pub(crate) fn limit(&mut self, name: &str, key: &str, value: &str) {
        self.plugin(name).limits.insert(key.to_owned(), value.to_owned());
    }

    /// Grants a command.
    pub(crate) fn grant(&mut self, name: &str, command: &str) {
        self.plugin(name).grants.push(Grant::process(words(command)));
    }

    /// A host for these settings.
    pub(crate) fn host(&self) -> Running {
        Running { host: PluginHost::new(self.settings.clone()).unwrap(), _root: Arc::clone(&self.root) }
    }
}

/// A host, and the folders it lives in.
pub(crate) struct Running {
    host: Arc<PluginHost>,
    _root: Arc<TempDir>,
}

impl Deref for Running {
    type Target = Arc<PluginHost>;

    fn deref(&self) -> &Arc<PluginHost> {
        &self.host
    }
}

/// A label with a command.
pub(crate) fn label(plugin: &str, command: &str) -> DynamicLabel {
    DynamicLabel {
        name: "load".to_owned(),
        command: words(command),
        period: Duration::from_secs(60),
        plugin: plugin.to_owned(),
    }
}

/// A command, split at spaces.
pub(crate) fn words(command: &str) -> Vec<String> {
    command.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Calls the hostile guest, and does not wait for ever.
pub(crate) async fn call(host: &PluginHost, deed: &str) -> CallReport {
    let label = label("hostile", deed);
    tokio::time::timeout(LONG, host.call(&label)).await.expect("every call ends").expect("the plugin loads")
}

/// Why a plugin does not load, as an operator reads it.
pub(crate) async fn refusal(host: &PluginHost, name: &str) -> String {
    let refusals = tokio::time::timeout(LONG, host.check([name])).await.expect("loading ends");
    refusals.first().unwrap_or_else(|| panic!("{name} should be refused")).reason.clone()
}

/// The error of a call that never began.
pub(crate) async fn no_call(host: &PluginHost, plugin: &str) -> LoadError {
    let label = label(plugin, "echo");
    tokio::time::timeout(LONG, host.call(&label)).await.expect("every call ends").unwrap_err()
}

/// Waits until the process whose number is in the file has ended. A zombie has: it has no command
/// line any more.
pub(crate) async fn gone(file: &Path) {
    let pid = std::fs::read_to_string(file).unwrap();
    let running =
        || std::fs::read(format!("/proc/{}/cmdline", pid.trim())).is_ok_and(|line| !line.is_empty());
    let ended = async {
        while running() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, ended).await.expect("the process is killed");
}
