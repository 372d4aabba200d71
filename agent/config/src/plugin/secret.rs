//! `secrets` of a plugin: where each is read from, and which places it may be sent to. The values are read
//! by the plugin host when the plugin opens them, never here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::plugin::{Destination, SecretLabel};

use super::grant::destination;
use crate::field::Field;
use crate::section::Section;

/// A secret as the operator gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSecret {
    /// Where it is read from.
    pub from: SecretOrigin,
    /// Where it may be sent. Nowhere means it is only computed with.
    pub hosts: Vec<Destination>,
}

/// Where a secret is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretOrigin {
    /// A file.
    File(PathBuf),
    /// A variable of the daemon's environment, by its name.
    Environment(String),
}

/// Reads `secrets`.
pub(super) fn read(section: &mut Section<'_>) -> BTreeMap<SecretLabel, PluginSecret> {
    let mut secrets = BTreeMap::new();
    for (label, at, field) in section.pairs() {
        let given = field.within(|section| secret(&field, section)).flatten();
        match SecretLabel::new(label) {
            Ok(label) => drop(given.map(|given| secrets.insert(label, given))),
            Err(error) => section.report().problem(Some(at), field.key(), error),
        }
    }
    secrets
}

fn secret(whole: &Field<'_>, section: &mut Section<'_>) -> Option<PluginSecret> {
    let (file, environment) = (section.field("file"), section.field("env"));
    let hosts = section.field("hosts").map(|field| field.list_or_one()).unwrap_or_default();
    let hosts: Vec<_> = hosts
        .iter()
        .filter_map(|host| {
            let place = destination(host)?;
            // A secret that travels in the open is one no more.
            if place.to_string().starts_with("http:") {
                host.problem("is not reached with TLS; a secret is sent to https:// places only");
                return None;
            }
            Some(place)
        })
        .collect();
    let from = match (&file, &environment) {
        (Some(file), None) => SecretOrigin::File(file.path()?),
        (None, Some(variable)) => {
            let name = variable.text()?;
            if name.contains(['=', '\0']) {
                variable.problem("is no name of a variable");
                return None;
            }
            SecretOrigin::Environment(name.to_owned())
        }
        (Some(_), Some(variable)) => {
            variable.problem("and file are both written; a secret is read from one of them");
            return None;
        }
        (None, None) => {
            whole.problem("has no value; write file: /PATH, or env: NAME of a variable of the daemon");
            return None;
        }
    };
    Some(PluginSecret { from, hosts })
}
