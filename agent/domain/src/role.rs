//! A role: what its holders may do, what they may not, and under which conditions.
//!
//! This is the record as written; [`crate::access`] compiles and evaluates it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration;
use crate::label::selector::{OneOrMany, Selector, SelectorText};
use crate::resource::{Kind, Metadata, Resource, ResourceError, Spec};
use crate::traits::Template;

/// A role.
pub type Role = Resource<RoleSpec>;

/// The longest life of a user certificate.
pub const MAX_TTL: Duration = Duration::from_secs(30 * 3600);

/// What a role says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleSpec {
    /// What holders may do.
    #[serde(default)]
    pub allow: Conditions,
    /// What holders may not do, whatever other roles allow.
    #[serde(default)]
    pub deny: Conditions,
    /// How sessions behave.
    #[serde(default)]
    pub options: Options,
}

/// One side of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conditions {
    /// Operating-system logins; templates such as `{{internal.logins}}` are filled from traits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logins: Vec<String>,
    /// Labels of the nodes meant.
    #[serde(skip_serializing_if = "SelectorText::is_empty")]
    pub node_labels: SelectorText,
    /// Records of the cluster meant, for `tctl` and the API.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// Verbs on kinds of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Kinds, or `*`.
    pub resources: Vec<String>,
    /// Verbs, or `*`.
    pub verbs: Vec<Verb>,
}

/// What can be done with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// See all of a kind.
    List,
    /// See one.
    Read,
    /// Make a new one.
    Create,
    /// Replace one.
    Update,
    /// Remove one.
    Delete,
    /// All of the above.
    #[serde(rename = "*")]
    Any,
}

/// How sessions behave. Of several roles the strictest wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The longest life of a certificate.
    #[serde(with = "duration::text")]
    pub max_session_ttl: Duration,
    /// Whether the agent may be forwarded.
    pub forward_agent: bool,
    /// Whether ports and sockets may be forwarded.
    pub port_forwarding: bool,
    /// Whether scp and sftp may be used.
    pub ssh_file_copy: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_session_ttl: MAX_TTL, forward_agent: false, port_forwarding: true, ssh_file_copy: true }
    }
}

impl Spec for RoleSpec {
    const KIND: Kind = Kind::Role;
    const VERSIONS: &'static [&'static str] = &["v7", "v8", "v6", "v5"];

    fn check(&self, metadata: &Metadata) -> Result<(), ResourceError> {
        for (side, logins, labels) in [
            (&self.allow, "spec.allow.logins", "spec.allow.node_labels"),
            (&self.deny, "spec.deny.logins", "spec.deny.node_labels"),
        ] {
            for login in &side.logins {
                Template::parse(login).map_err(|error| Role::invalid(metadata, logins, error))?;
            }
            Selector::new(&side.node_labels).map_err(|error| Role::invalid(metadata, labels, error))?;
            check_rules(metadata, &side.rules)?;
        }
        if self.options.max_session_ttl < Duration::from_secs(60) || self.options.max_session_ttl > MAX_TTL {
            let reason = "must lie between 1m and 30h";
            return Err(Role::invalid(metadata, "spec.options.max_session_ttl", reason));
        }
        Ok(())
    }

    /// Refuses what looks as if it fitted nodes, and closed them where it is denied, and fits none. A role that is
    /// stored stays as it is, for one that cannot be read denies everything.
    fn check_written(&self, metadata: &Metadata) -> Result<(), ResourceError> {
        for (side, field) in [(&self.allow, "spec.allow.node_labels"), (&self.deny, "spec.deny.node_labels")]
        {
            check_labels(&side.node_labels).map_err(|reason| Role::invalid(metadata, field, reason))?;
        }
        Ok(())
    }
}

fn check_labels(text: &SelectorText) -> Result<(), &'static str> {
    let holds = |rule: fn(&str, &str) -> bool| {
        text.iter().any(|(key, values)| values.0.iter().any(|value| rule(key, value)))
    };
    if holds(|key, value| key.contains("{{") || value.contains("{{")) {
        return Err("has a template; those are for logins, here it would be text like any other");
    }
    if holds(|key, value| key == "*" && value != "*") {
        return Err("has another value than \"*\" for the key \"*\", which no node has; name the label");
    }
    if text.values().any(|values| values.0.is_empty()) {
        return Err("has a label without a value, which fits no node");
    }
    Ok(())
}

fn check_rules(metadata: &Metadata, rules: &[Rule]) -> Result<(), ResourceError> {
    for name in rules.iter().flat_map(|rule| &rule.resources) {
        if name != "*" && Kind::parse(name).is_none() {
            return Err(Role::invalid(
                metadata,
                "rules.resources",
                format!("{name:?} is not a kind of resource"),
            ));
        }
    }
    Ok(())
}

/// The roles every new cluster starts with.
pub fn presets() -> Vec<Role> {
    vec![preset_access(), preset_editor(), preset_auditor(), preset_admin()]
}

/// What is in force in place of a role that cannot be read. What it forbade is not known, so whoever
/// holds it is denied everything, whatever other roles allow.
pub fn unreadable(name: &str) -> Role {
    let deny = Conditions {
        node_labels: every_node(),
        rules: vec![rule(&["*"], &[Verb::Any])],
        ..Conditions::default()
    };
    described(name, "Cannot be read", RoleSpec { deny, ..RoleSpec::default() })
}

fn every_node() -> SelectorText {
    [("*".to_owned(), OneOrMany(vec!["*".to_owned()]))].into()
}

fn rule(resources: &[&str], verbs: &[Verb]) -> Rule {
    Rule { resources: resources.iter().map(|r| (*r).to_owned()).collect(), verbs: verbs.to_vec() }
}

fn described(name: &str, description: &str, spec: RoleSpec) -> Role {
    let mut role = Role::new(name, spec);
    description.clone_into(&mut role.metadata.description);
    role
}

fn preset_access() -> Role {
    let allow = Conditions {
        logins: vec!["{{internal.logins}}".to_owned()],
        node_labels: every_node(),
        rules: Vec::new(),
    };
    let options = Options { forward_agent: true, ..Options::default() };
    described(
        "access",
        "Reach every node, as the logins given to the user",
        RoleSpec { allow, options, ..RoleSpec::default() },
    )
}

fn preset_editor() -> Role {
    let rules = vec![rule(&["user", "role", "token", "node", "lock", "cert_authority"], &[Verb::Any])];
    described(
        "editor",
        "Edit the cluster's configuration; reaches no node",
        RoleSpec { allow: Conditions { rules, ..Conditions::default() }, ..RoleSpec::default() },
    )
}

fn preset_auditor() -> Role {
    let rules = vec![rule(&["node", "lock"], &[Verb::List, Verb::Read])];
    described(
        "auditor",
        "Read what happened; changes nothing",
        RoleSpec { allow: Conditions { rules, ..Conditions::default() }, ..RoleSpec::default() },
    )
}

fn preset_admin() -> Role {
    let allow = Conditions {
        logins: vec!["{{internal.logins}}".to_owned()],
        node_labels: every_node(),
        rules: vec![rule(&["*"], &[Verb::Any])],
    };
    let options = Options { forward_agent: true, ..Options::default() };
    described(
        "admin",
        "Everything: access and editor together",
        RoleSpec { allow, options, ..RoleSpec::default() },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_read_back() {
        for role in presets() {
            role.check().unwrap();
            assert_eq!(Role::from_json(&role.to_json()).unwrap(), role);
        }
    }

    #[test]
    fn a_role_file_may_leave_out_what_it_does_not_use() {
        let json = r#"{"kind":"role","version":"v7","metadata":{"name":"dev"},
            "spec":{"allow":{"logins":["ubuntu"],"node_labels":{"env":["dev","stage"]}},"options":{"max_session_ttl":"8h"}}}"#;
        let role = Role::from_json(json.as_bytes()).unwrap();
        assert_eq!(role.spec.options.max_session_ttl, Duration::from_secs(8 * 3600));
        assert!(!role.spec.options.forward_agent);
    }

    #[test]
    fn rules_that_cannot_hold_are_refused_with_the_field() {
        for (spec, field) in [
            (r#"{"allow":{"logins":["{{internal.logins"]}}"#, "spec.allow.logins"),
            (r#"{"deny":{"node_labels":{"a":"^(x$"}}}"#, "spec.deny.node_labels"),
            (r#"{"options":{"max_session_ttl":"31h"}}"#, "spec.options.max_session_ttl"),
            (r#"{"options":{"max_session_ttl":"59s"}}"#, "spec.options.max_session_ttl"),
            (r#"{"allow":{"rules":[{"resources":["spoon"],"verbs":["read"]}]}}"#, "rules.resources"),
        ] {
            let json = format!(r#"{{"kind":"role","version":"v7","metadata":{{"name":"x"}},"spec":{spec}}}"#);
            let error = Role::from_json(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }

    #[test]
    fn labels_that_fit_nothing_are_refused_when_they_are_written_and_read_when_they_are_stored() {
        for labels in [
            r#"{"env":["x","{{internal.env}}"]}"#,
            r#"{"{{a}}":"x"}"#,
            r#"{"*":["*","prod"]}"#,
            r#"{"env":[]}"#,
        ] {
            for side in ["allow", "deny"] {
                let json = format!(
                    r#"{{"kind":"role","version":"v7","metadata":{{"name":"x"}},"spec":{{"{side}":{{"node_labels":{labels}}}}}}}"#
                );
                let role = Role::from_json(json.as_bytes()).expect("what is stored is read");
                let error = role.check_written().unwrap_err().to_string();
                assert!(error.contains(&format!("spec.{side}.node_labels")), "{error}");
            }
        }
        presets().iter().for_each(|role| role.check_written().unwrap());
    }
}
