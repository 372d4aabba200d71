//! What a call's end means for the plugin, and what is said of it.

use std::time::Duration;

use domain::label::DynamicLabel;
use domain::plugin::PluginName;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Core;
use crate::call::{CallError, CallReport, Outcome};
use crate::change::ChangeKind;
use crate::error::chain;
use crate::load::Plugin;
use crate::quarantine::{Change, Now, Pass, Quarantine};
use crate::settings::Question;

/// The answer to a call that was not made, after so long a wait.
pub(super) fn unserved(
    plugin: &Plugin,
    label: &DynamicLabel,
    waited: Duration,
    error: CallError,
) -> CallReport {
    CallReport {
        plugin: plugin.manifest.name.clone(),
        version: plugin.manifest.version.clone(),
        label: label.name.clone(),
        result: Err(error),
        wall: waited,
        cpu: Duration::ZERO,
        fuel: None,
        memory: 0,
        log_lines: 0,
        log_dropped: 0,
    }
}

/// Why a plugin in quarantine is not called.
pub(super) fn refusal(plugin: &PluginName, quarantine: Quarantine) -> CallError {
    let Quarantine { until, failures, last, .. } = quarantine;
    CallError::Quarantined { plugin: plugin.clone(), until, failures, last }
}

impl Core {
    /// Counts a question put to a storage backend, and logs it when it was not answered.
    pub(crate) fn tell_storage(
        &self,
        plugin: &Plugin,
        function: &'static str,
        wall: Duration,
        error: Option<&CallError>,
    ) {
        let (name, version) = (&plugin.manifest.name, &plugin.manifest.version);
        let outcome = error.map_or(Outcome::Ok, CallError::outcome);
        if let Some(observer) = &self.settings.on_storage {
            observer(&Question { plugin: name, function, wall, outcome });
        }
        if let Some(error) = error {
            let reason = chain(error);
            warn!(plugin = %name, %version, function, outcome = outcome.key(), reason, "the storage backend did not answer");
        }
    }

    /// Counts a strike, or takes a call as proof that the plugin behaves.
    pub(super) fn judge(&self, plugin: &Plugin, pass: Pass<'_>, report: &CallReport) {
        let name = &plugin.manifest.name;
        let change = match (&report.result, report.outcome()) {
            // The host did not get as far as the plugin.
            (_, Outcome::Host | Outcome::Quarantined) => None,
            (Err(error), outcome) if outcome.is_strike() => {
                let now = Now { tick: Instant::now(), time: self.settings.clock.now() };
                pass.strike(now, &chain(error))
            }
            _ => pass.answered(),
        };
        match change {
            Some(Change::Quarantined(quarantine)) => {
                let until = quarantine.until;
                let reason = format!("{} failures, the last: {}", quarantine.failures, quarantine.last);
                warn!(plugin = %name, version = %report.version, until = format!("{until:.0}"), %reason, "plugin quarantined");
                self.changed(name, plugin.facts.clone(), ChangeKind::Quarantined { until, reason });
            }
            Some(Change::Released) => {
                info!(plugin = %name, version = %report.version, "plugin behaves and is called again");
                self.changed(name, plugin.facts.clone(), ChangeKind::Released);
            }
            None => {}
        }
    }

    /// Counts a call and logs it: quietly, unless a plugin begins to break its limits or ends doing so.
    pub(super) fn tell(&self, report: &CallReport) {
        if let Some(observer) = &self.settings.on_call {
            observer(report);
        }
        let outcome = report.outcome();
        debug!(
            plugin = %report.plugin, version = %report.version, label = %report.label, outcome = outcome.key(),
            wall_us = report.wall.as_micros(), cpu_us = report.cpu.as_micros(), memory = report.memory,
            log_lines = report.log_lines, log_dropped = report.log_dropped, "plugin called"
        );
        // Said when it began.
        if outcome == Outcome::Quarantined {
            return;
        }
        let before = self.last.lock().insert(report.plugin.clone(), outcome);
        let Err(error) = &report.result else { return };
        if before != Some(outcome) && outcome != Outcome::Guest {
            let (plugin, version) = (&report.plugin, &report.version);
            warn!(%plugin, %version, outcome = outcome.key(), reason = chain(error), "a call of the plugin failed");
        }
    }
}
