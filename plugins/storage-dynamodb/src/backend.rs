//! One instance of the plugin: what it knows of the log, over whatever world is outside.

use std::collections::BTreeMap;
use std::time::Duration;

use teleport_plugin_sdk::storage_backend::{
    About, Batch, CALL_MAX, Condition, Failure, Instance, Item, Operation, Page, Revision, check,
};

use crate::call::Budget;
use crate::log::Log;
use crate::outside::Outside;
use crate::settings::Settings;
use crate::upkeep::Rounds;

/// Requests of one call; the host lets a call send 64.
pub(crate) const REQUESTS: u32 = 60;

/// How long a watch waits in one call, and how long such a call may take; the host asks again.
const WAIT_MAX: Duration = Duration::from_secs(15);
const NEXT_MAX: Duration = Duration::from_secs(28);

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

/// Each call with its time; what it does is said where it is done.
impl<O: Outside> Instance for Backend<O> {
    fn open(&mut self) -> Result<About, Failure> {
        // A table that takes longer to be made is opened again.
        self.call(CALL_MAX, Self::make_ready)
    }

    fn get(&mut self, key: &str) -> Result<Option<Item>, Failure> {
        self.call(self.settings.request_timeout, |backend| backend.get_now(key))
    }

    fn range(&mut self, prefix: &str, start: Option<&str>, limit: u32) -> Result<Page, Failure> {
        self.call(self.settings.request_timeout, |backend| backend.range_now(prefix, start, limit))
    }

    fn write(&mut self, conditions: &[Condition], operations: &[Operation]) -> Result<Revision, Failure> {
        check(conditions, operations)?;
        self.call(self.settings.request_timeout, |backend| backend.write_now(conditions, operations))
    }

    fn current(&mut self) -> Result<Revision, Failure> {
        self.call(self.settings.request_timeout, Self::last)
    }

    fn next(&mut self, after: Revision, limit: u32, wait: Duration) -> Result<Batch, Failure> {
        let wait = wait.min(WAIT_MAX);
        let time = self.settings.request_timeout.saturating_add(wait).min(NEXT_MAX);
        self.call(time, |backend| backend.next_now(after, limit, wait))
    }
}

/// What is read of many items: by their keys.
pub(crate) type ByKey<T> = BTreeMap<String, T>;
