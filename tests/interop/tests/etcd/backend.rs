//! The plugin's own code, run natively over real servers.

use storage_etcd::settings::Settings;
use teleport_tests_interop::storage::{Guests, MovedClock};

use crate::native::Native;
use crate::server::Etcd;

pub(crate) type Instance = storage_etcd::backend::Backend<Native>;

/// Settings for these members.
pub(crate) fn settings(urls: &str, prefix: &str) -> Settings {
    let value = |key: &str| match key {
        "peers" => Some(urls.to_owned()),
        "prefix" => Some(prefix.to_owned()),
        _ => None,
    };
    Settings::read(value).unwrap()
}

/// As a backend of the store.
pub(crate) fn guests(etcd: &Etcd, clock: &MovedClock) -> Guests<Instance> {
    let (settings, clock) = (settings(&etcd.urls(), "teleport"), clock.clone());
    Guests::new(move || Instance::new(Native::new(&clock), &settings))
}
