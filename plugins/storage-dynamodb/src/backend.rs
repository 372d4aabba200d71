//! One instance of the plugin: what it knows of the log, over whatever world is outside.

use std::collections::BTreeMap;
use std::time::Duration;

use teleport_plugin_sdk::storage_backend::Failure;

use crate::call::Budget;
use crate::log::Log;
use crate::outside::Outside;
use crate::settings::Settings;
use crate::upkeep::Rounds;

/// Requests of one call; the host lets a call send 64.
pub(crate) const REQUESTS: u32 = 60;

/// An instance.
#[derive(Debug)]
pub struct Backend<O: Outside> {
    pub(crate) outside: O,
    pub(crate) settings: Settings,
    pub(crate) budget: Budget,
    pub(crate) log: Log,
    pub(crate) rounds: Rounds,
    /// Up to where this instance's watch has told, and when that was last looked at.
    pub(crate) told: Option<(u64, Duration)>,
    /// Who this instance is among others: for names that must differ.
    pub(crate) name: String,
    pub(crate) named: u64,
}

impl<O: Outside> Backend<O> {
    /// An instance that has reached nothing yet.
    pub fn new(mut outside: O, settings: &Settings) -> Self {
        let name = format!("{:016x}{:016x}", outside.random(), outside.random());
        let began = outside.monotonic();
        Self {
            outside,
            settings: settings.clone(),
            budget: Budget::default(),
            log: Log::default(),
            rounds: Rounds::begun(began),
            told: None,
            name,
            named: 0,
        }
    }

    /// Does one call of the contract, with what it may use; what was learned of the log is looked at with
    /// fresh eyes when it makes no sense.
    pub(crate) fn call<T>(
        &mut self,
        time: Duration,
        call: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.budget = Budget { end: self.outside.monotonic().saturating_add(time), requests: REQUESTS };
        let outcome = call(self);
        if matches!(outcome, Err(Failure::Corrupt(_))) {
            self.log = Log::default();
        }
        self.log.forget_applied();
        outcome
    }

    /// A name that no other thing in the table has.
    pub(crate) fn fresh_name(&mut self) -> String {
        self.named += 1;
        format!("{}-{}", self.name, self.named)
    }
}

/// What is read of many items: by their keys.
pub(crate) type ByKey<T> = BTreeMap<String, T>;
