//! `teleport:host/config`: what the operator wrote for the plugin, checked when it was loaded.

use super::v1::teleport::host::config::Host;
use crate::call::CallState;

impl Host for CallState {
    fn get(&mut self, key: String) -> Option<String> {
        self.provisions.config.get(&key).cloned()
    }
}
