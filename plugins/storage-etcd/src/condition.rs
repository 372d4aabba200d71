//! Conditions of a write: as comparisons etcd makes, and as read from what it then says.
//!
//! etcd cannot compare with the time, so a comparison can promise only what no expiry can change: that
//! a key is not there, or is there without a lease. When that does not hold, the records are read, the
//! conditions are looked at with the clock, and the next try compares with exactly what was read.
//!
//! Which write of one of etcd's it is ([`crate::revision`]) is compared by the first bytes of the value.

use std::collections::{BTreeMap, BTreeSet};

use teleport_plugin_sdk::storage_backend::{Condition, Microseconds, Revision};

use crate::envelope::NOT_LAST;
use crate::key::{Keyspace, text};
use crate::revision;

/// What was read of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    /// The revision that made it as it is, exact only where that matters; zero when it is not there.
    pub revision: Revision,
    /// When it ceases to exist.
    pub expires: Option<Microseconds>,
}

/// What was read, by key. What is missing is not there.
pub type States = BTreeMap<String, State>;

/// The keys the conditions are about, each once.
pub fn keys(conditions: &[Condition]) -> Vec<&str> {
    let mut keys: Vec<_> = conditions.iter().map(Condition::key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The keys whose revision matters, with that of etcd's each must have.
pub fn asked(conditions: &[Condition]) -> BTreeSet<(&str, u64)> {
    let asked = conditions.iter().filter_map(|condition| match condition {
        Condition::Unchanged(key, revision) => Some((key.as_str(), revision::etcd(*revision))),
        Condition::Absent(_) | Condition::Present(_) => None,
    });
    asked.collect()
}

/// What to compare at the first try: what holds only if the conditions do, whatever the time is.
pub fn first(conditions: &[Condition], space: &Keyspace) -> Vec<String> {
    let mut all = timeless(conditions, space);
    all.sort_unstable();
    all.dedup();
    all
}

/// Comparisons that hold only if the conditions do.
fn timeless(conditions: &[Condition], space: &Keyspace) -> Vec<String> {
    let mut all = Vec::with_capacity(4 * conditions.len());
    for condition in conditions {
        let key = space.json(condition.key());
        let stays = format!(r#"{{"target":"LEASE","result":"EQUAL","key":"{key}","lease":"0"}}"#);
        let there = format!(r#"{{"target":"VERSION","result":"GREATER","key":"{key}","version":"0"}}"#);
        match condition {
            Condition::Absent(_) => all.push(exactly(&key, 0)),
            Condition::Present(_) => all.extend([there, stays]),
            Condition::Unchanged(_, revision) => {
                all.extend([exactly(&key, revision::etcd(*revision)), stays]);
                // Holds for no key that is not there, whose revision and lease compare as zero.
                all.extend(followed_by(&key, revision::behind(*revision)));
            }
        }
    }
    all
}

/// Comparisons that hold as long as every key is as it was read.
pub fn exact(conditions: &[Condition], states: &States, space: &Keyspace) -> Vec<String> {
    let read = |key: &str| states.get(key).map_or(0, |state| state.revision);
    keys(conditions).into_iter().map(|key| exactly(&space.json(key), revision::etcd(read(key)))).collect()
}

/// The key was last written by this revision of etcd's; by zero when it is not there.
fn exactly(key: &str, at: u64) -> String {
    format!(r#"{{"target":"MOD","result":"EQUAL","key":"{key}","mod_revision":"{at}"}}"#)
}

/// The key's value says that so many writes come behind its own.
fn followed_by(key: &str, behind: u8) -> Vec<String> {
    let value = |result, bytes: &[u8]| {
        format!(r#"{{"target":"VALUE","result":"{result}","key":"{key}","value":"{}"}}"#, text(bytes))
    };
    match behind {
        // The first byte of all others is a lower one.
        0 => vec![value("LESS", &[NOT_LAST])],
        // There is always something after the number.
        _ => vec![value("GREATER", &[NOT_LAST, behind]), value("LESS", &[NOT_LAST, behind + 1])],
    }
}

/// The first condition that does not hold.
pub fn broken(conditions: &[Condition], states: &States, now: Microseconds) -> Option<u32> {
    let holds = |condition: &Condition| {
        let state = states.get(condition.key()).copied().unwrap_or_default();
        let there = state.revision != 0 && state.expires.is_none_or(|end| end > now);
        match condition {
            Condition::Absent(_) => !there,
            Condition::Present(_) => there,
            Condition::Unchanged(_, revision) => there && state.revision == *revision,
        }
    };
    let index = conditions.iter().position(|condition| !holds(condition))?;
    u32::try_from(index).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revision::last_of;

    fn states() -> States {
        let state = |revision, expires| State { revision: last_of(revision), expires };
        [("/stays", state(5, None)), ("/ends", state(6, Some(100))), ("/ended", state(7, Some(10)))]
            .into_iter()
            .map(|(key, state)| (key.to_owned(), state))
            .collect()
    }

    #[test]
    fn no_condition_sees_what_has_expired() {
        let (absent, present) =
            (|key: &str| Condition::Absent(key.into()), |key: &str| Condition::Present(key.into()));
        let unchanged = |key: &str, at| Condition::Unchanged(key.into(), last_of(at));
        let cases = [
            (absent("/none"), true),
            (absent("/stays"), false),
            (absent("/ends"), false),
            (absent("/ended"), true),
            (present("/none"), false),
            (present("/stays"), true),
            (present("/ends"), true),
            (present("/ended"), false),
            (unchanged("/stays", 5), true),
            (unchanged("/stays", 4), false),
            (unchanged("/ends", 6), true),
            (unchanged("/ended", 7), false),
            (unchanged("/none", 0), false),
        ];
        for (condition, holds) in cases {
            assert_eq!(
                broken(std::slice::from_ref(&condition), &states(), 50).is_none(),
                holds,
                "{condition:?}"
            );
        }
        assert_eq!(broken(&[present("/ends")], &states(), 100), Some(0), "it ends at its expiry");
        let several = [present("/stays"), absent("/ends"), present("/none")];
        assert_eq!(broken(&several, &states(), 50), Some(1), "the first of them");
    }

    #[test]
    fn comparisons_pin_what_was_read() {
        let space = Keyspace::new("");
        let conditions = [
            Condition::Present("/ends".into()),
            Condition::Absent("/none".into()),
            Condition::Absent("/none".into()),
        ];
        let exact = exact(&conditions, &states(), &space);
        assert_eq!(exact.len(), 2, "each key once");
        assert!(exact.iter().any(|compare| compare.contains(r#""mod_revision":"6""#)));
        assert!(exact.iter().any(|compare| compare.contains(r#""mod_revision":"0""#)));
        for compare in first(&conditions, &space) {
            serde_json::from_str::<serde_json::Value>(&compare).unwrap();
        }
    }
}
