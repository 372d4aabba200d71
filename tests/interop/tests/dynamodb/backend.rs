//! The plugin's own code, run natively over a server.

use storage_dynamodb::settings::Settings;
use teleport_tests_interop::storage::{Guests, MovedClock};

use crate::native::{Native, client};

pub(crate) type Instance = storage_dynamodb::backend::Backend<Native>;

/// Settings for this server.
pub(crate) fn settings(url: &str) -> Settings {
    let value = |key: &str| match key {
        "endpoint" => Some(url.to_owned()),
        "table_name" => Some("teleport".to_owned()),
        _ => None,
    };
    Settings::read(value).unwrap()
}

/// As a backend of the store.
pub(crate) fn guests(url: &str, clock: &MovedClock) -> Guests<Instance> {
    let (settings, clock, client) = (settings(url), clock.clone(), client());
    Guests::new(move || Instance::new(Native::new(&clock, &client), &settings))
}
