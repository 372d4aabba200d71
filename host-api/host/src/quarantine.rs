//! Strikes, and the rest a plugin is given that keeps failing: a plugin that breaks its limits at every
//! call costs the host a trap or a whole time limit each time, and helps nobody.
//!
//! Pure: it is told what happened and when. It refuses to judge answers: that a plugin has no value
//! is its right, so only traps and broken limits are strikes. [`Conduct`] is one plugin's, as it was
//! loaded; other bytes begin with a clean one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

/// When a plugin is quarantined, and for how long. [`Rules::default`] is the one place where the
/// product's own rules stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Strikes that are too many; 0 for never.
    pub strikes: u32,
    /// The time they must fall into.
    pub within: Duration,
    /// Strikes that are too many however much time there is between them, when no call went well.
    pub in_a_row: u32,
    /// The first quarantine. Each trial that fails doubles it.
    pub first: Duration,
    /// The longest quarantine.
    pub most: Duration,
}

impl Default for Rules {
    /// Five strikes within a minute, or ten in a row; half a minute, doubling up to an hour.
    fn default() -> Self {
        Self {
            strikes: 5,
            within: Duration::from_secs(60),
            in_a_row: 10,
            first: Duration::from_secs(30),
            most: Duration::from_secs(3600),
        }
    }
}

/// What the clocks say: one to reckon with, one to show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// It never goes back.
    pub(crate) tick: Instant,
    /// The time of day.
    pub(crate) time: Timestamp,
}

/// A quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quarantine {
    /// When one call is let through to try it.
    pub(crate) until: Timestamp,
    /// Strikes since it last behaved.
    pub(crate) failures: u32,
    /// The last of them.
    pub(crate) last: Arc<str>,
    ends: Instant,
    length: Duration,
}

impl Quarantine {
    fn new(now: Now, length: Duration, failures: u32, last: &str) -> Self {
        let until = now.time.checked_add(length).unwrap_or(Timestamp::MAX);
        Self { until, failures, last: last.into(), ends: now.tick + length, length }
    }
}

/// How a plugin stands.
enum Standing {
    /// It is called.
    Good(Strikes),
    /// It is not called.
    Shut(Quarantine),
    /// It is over time, and one call tries it.
    OnTrial(Quarantine),
}

/// What is held against a plugin that is called.
#[derive(Default)]
struct Strikes {
    recent: VecDeque<Instant>,
    /// Since a call went well last.
    in_a_row: u32,
}

impl Strikes {
    /// One more; how many there are when they are too many.
    fn add(&mut self, rules: &Rules, now: Instant) -> Option<u32> {
        if rules.strikes == 0 {
            return None;
        }
        self.recent.retain(|strike| now.saturating_duration_since(*strike) < rules.within);
        self.recent.push_back(now);
        self.in_a_row = self.in_a_row.saturating_add(1);
        let recent = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        (recent >= rules.strikes || self.in_a_row >= rules.in_a_row).then_some(recent.max(self.in_a_row))
    }
}

/// What became of an ended call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is quarantined, or longer.
    Quarantined(Quarantine),
    /// It was tried and is called again.
    Released,
}

/// The conduct of one plugin since it was loaded.
pub(crate) struct Conduct {
    rules: Rules,
    standing: Mutex<Standing>,
}

/// The right to one call. When it is dropped without a word of how the call ended, the call counts for
/// nothing, and another may be the trial.
pub(crate) struct Pass<'a> {
    conduct: &'a Conduct,
    trial: bool,
}

impl Conduct {
    /// A clean one.
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, standing: Mutex::new(Standing::Good(Strikes::default())) }
    }

    /// Asks for a call.
    ///
    /// # Errors
    /// The quarantine it is in.
    pub(crate) fn admit(&self, tick: Instant) -> Result<Pass<'_>, Quarantine> {
        let mut standing = self.standing.lock();
        match &*standing {
            Standing::Good(_) => Ok(Pass { conduct: self, trial: false }),
            Standing::Shut(quarantine) if tick >= quarantine.ends => {
                *standing = Standing::OnTrial(quarantine.clone());
                Ok(Pass { conduct: self, trial: true })
            }
            Standing::Shut(quarantine) | Standing::OnTrial(quarantine) => Err(quarantine.clone()),
        }
    }

    /// Lets it be called again, because somebody says so. Whether it was not.
    pub(crate) fn release(&self) -> bool {
        let mut standing = self.standing.lock();
        let was_shut = !matches!(*standing, Standing::Good(_));
        if was_shut {
            *standing = Standing::Good(Strikes::default());
        }
        was_shut
    }

    /// The quarantine it is in, if it is in one.
    pub(crate) fn quarantine(&self) -> Option<Quarantine> {
        match &*self.standing.lock() {
            Standing::Good(_) => None,
            Standing::Shut(quarantine) | Standing::OnTrial(quarantine) => Some(quarantine.clone()),
        }
    }
}

impl Pass<'_> {
    /// The call ended in a strike.
    pub(crate) fn strike(mut self, now: Now, reason: &str) -> Option<Change> {
        let (rules, trial) = (self.conduct.rules, std::mem::take(&mut self.trial));
        let mut standing = self.conduct.standing.lock();
        let quarantine = match &mut *standing {
            Standing::Good(strikes) => {
                let count = strikes.add(&rules, now.tick)?;
                Quarantine::new(now, rules.first, count, reason)
            }
            Standing::OnTrial(before) if trial => {
                let length = before.length.saturating_mul(2).min(rules.most);
                Quarantine::new(now, length, before.failures.saturating_add(1), reason)
            }
            // It was called before the quarantine began.
            Standing::Shut(_) | Standing::OnTrial(_) => return None,
        };
        *standing = Standing::Shut(quarantine.clone());
        Some(Change::Quarantined(quarantine))
    }

    /// The call ended as calls should.
    pub(crate) fn answered(mut self) -> Option<Change> {
        let trial = std::mem::take(&mut self.trial);
        let mut standing = self.conduct.standing.lock();
        if let Standing::Good(strikes) = &mut *standing {
            strikes.in_a_row = 0;
        }
        if !trial {
            return None;
        }
        *standing = Standing::Good(Strikes::default());
        Some(Change::Released)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.trial {
            return;
        }
        let mut standing = self.conduct.standing.lock();
        if let Standing::OnTrial(quarantine) = &*standing {
            *standing = Standing::Shut(quarantine.clone());
        }
    }
}

#[cfg(test)]
mod tests;
