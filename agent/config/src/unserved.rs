//! Services and features that a file may name but that this version does not serve.
//!
//! A file written for more than this version serves stays usable as long as the rest is off: what is
//! off is not looked into. A service that is on is refused by name, so that nobody waits for what
//! never starts; so is whatever would make access stricter, so that nobody relies on a check that is
//! not made. A key that merely changes how something is done draws a warning that says what is done
//! instead.

use crate::field::Field;
use crate::section::Section;

/// Sections of other services, and a word for each.
const SERVICES: &[&str] = &[
    "app_service",
    "db_service",
    "debug_service",
    "discovery_service",
    "jamf_service",
    "kubernetes_service",
    "metrics_service",
    "okta_service",
    "relay_service",
    "tracing_service",
    "windows_desktop_service",
];

/// Refuses every service that is on.
pub(crate) fn services(root: &mut Section<'_>) {
    for service in SERVICES {
        feature(root, service);
    }
}

/// Refuses one section when its `enabled` is on; `enabled` is off unless it says otherwise.
pub(crate) fn feature(section: &mut Section<'_>, key: &'static str) {
    let Some(inner) = section.field(key).and_then(|field| field.section()) else { return };
    let mut inner = inner;
    if let Some(enabled) = inner.field("enabled").filter(|enabled| enabled.flag() == Some(true)) {
        enabled
            .problem(format!("{key} is not served by this version; set `enabled: no` or remove the section"));
    }
}

/// Warns of keys that are set but change nothing; each comes with what is done instead.
pub(crate) fn without_effect(section: &mut Section<'_>, keys: &[(&'static str, &str)]) {
    for (key, instead) in keys {
        if let Some(field) = section.field(key).filter(|field| !field.is_off()) {
            field.warning(format!("has no effect in this version: {instead}"));
        }
    }
}

/// Refuses a check that is asked for and not made.
pub(crate) fn not_enforced(field: &Field<'_>) {
    field.problem("is not enforced by this version; remove the key, or switch it off");
}
