//! A storage plugin as the daemon runs it: the component the program carries, in the plugin host, behind the
//! store.

use std::sync::Arc;
use std::time::Duration;

use domain::plugin::PluginName;
use plugin_host::{Compiler, PluginHost, PluginSettings, Settings, StoragePlugin};
use port::random::SystemRandom;
use port::store::{Change, Key, Watch};
use storage::{OpenError, RemoteStore};

use super::clock::remote;
use crate::PATIENCE;
use crate::command::build_folder;

/// Opens the store that the plugin of this name keeps, which may do and is told what is given here.
///
/// # Errors
/// What the store says when it cannot be opened.
pub async fn open(name: &str, plugin: PluginSettings) -> Result<RemoteStore, OpenError> {
    let backend = Arc::new(backend(name, plugin));
    RemoteStore::open(backend, Arc::new(SystemRandom), remote(Duration::from_secs(2))).await
}

/// The same plugin without a store over it.
///
/// All tests' hosts keep their compiled code in one folder, as two daemons on one `data_dir` do: a storage
/// plugin takes seconds to compile, and nothing else of it is kept there.
///
/// # Panics
/// When there is no room for that folder.
pub fn backend(name: &str, plugin: PluginSettings) -> StoragePlugin {
    let data = build_folder().join("hosted");
    std::fs::create_dir_all(&data).unwrap();
    let mut settings = Settings::new(data);
    settings.compiler = Compiler::InProcess;
    let name = PluginName::new(name).unwrap();
    settings.storage = Some(name.clone());
    settings.plugins.insert(name.clone(), plugin);
    PluginHost::new(settings).unwrap().storage(name)
}

/// Lets time pass where the suite moves it: a component's clock is the machine's.
pub fn wait(time: Duration) {
    #[allow(clippy::disallowed_methods, reason = "another process's time is waited for")]
    tokio::task::block_in_place(|| std::thread::sleep(time));
}

/// A key of these tests.
pub fn key(name: &str) -> Key {
    Key::of(&["t", name])
}

/// The next change, as `+name` or `-name`.
///
/// # Panics
/// When there is none in time.
pub async fn heard(watch: &mut Watch) -> String {
    let event = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap();
    match event.change {
        Change::Put(item) => format!("+{}", item.key.last_segment()),
        Change::Delete(key) => format!("-{}", key.last_segment()),
    }
}
