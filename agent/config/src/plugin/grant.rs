//! `grants` of a plugin: what it may do beyond computing, and how the places it may send requests to are
//! reached.

use std::path::PathBuf;

use domain::plugin::{Capability, Destination, Grant, SecretLabel};

use super::argv;
use crate::field::Field;
use crate::section::{Section, unknown};

/// How one place that requests may be sent to is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpPlace {
    /// The place.
    pub destination: Destination,
    /// The file of authorities in PEM that must vouch for it, instead of those of the machine.
    pub ca_file: Option<PathBuf>,
    /// The client certificate that is shown there.
    pub certificate: Option<KeyFiles>,
}

/// Files of a client certificate, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFiles {
    /// The certificate and those between it and its authority.
    pub cert_file: PathBuf,
    /// The key.
    pub key_file: PathBuf,
}

/// What a plugin is granted.
#[derive(Default)]
pub(super) struct Granted {
    pub(super) grants: Vec<Grant>,
    pub(super) http: Vec<HttpPlace>,
}

/// Reads `grants`.
pub(super) fn read(section: &mut Section<'_>) -> Granted {
    // A secret is granted by giving it, under `secrets`.
    let kinds = Capability::ALL.iter().filter(|kind| **kind != Capability::Secret);
    let names: Vec<&str> = kinds.map(|kind| kind.key()).collect();
    let mut granted = Granted::default();
    for (key, at, field) in section.pairs() {
        match Capability::parse(key) {
            Some(Capability::Process) => granted.grants.extend(process(&field)),
            Some(Capability::Http) => http(&field, &mut granted),
            Some(Capability::Kv) => {
                granted.grants.extend(field.flag().unwrap_or(false).then(Grant::kv));
            }
            Some(Capability::SecretReveal) => granted.grants.extend(reveal(&field)),
            Some(Capability::Secret) => section.report().problem(
                Some(at),
                field.key(),
                "is granted by giving it; write `LABEL: { file: /PATH, hosts: [\"https://HOST\"] }` under `secrets` beside `grants`",
            ),
            None => section.report().problem(Some(at), field.key(), unknown(key, &names)),
        }
    }
    granted
}

/// A list of commands, each a list of words.
fn process(field: &Field<'_>) -> Vec<Grant> {
    let commands = field.list().unwrap_or_default();
    if !commands.is_empty() && !commands.iter().any(Field::is_list) {
        field.problem(
            "must be a list of commands, each a list of its words; write [[df, -h]], or [[df, -h], [uptime]]",
        );
        return Vec::new();
    }
    commands.iter().filter_map(argv).map(Grant::process).collect()
}

/// Labels of secrets that may be seen.
fn reveal(field: &Field<'_>) -> Vec<Grant> {
    let labels = field.list_or_one();
    let label = |item: &Field<'_>| item.checked(SecretLabel::new(item.text()?));
    labels.iter().filter_map(label).map(Grant::secret_reveal).collect()
}

/// A list of places, each a URL or a section around one.
fn http(field: &Field<'_>, granted: &mut Granted) {
    for item in field.list_or_one() {
        if !item.is_section() {
            granted.grants.extend(destination(&item).map(|place| Grant::http(place, false)));
            continue;
        }
        let Some(Some((place, private))) = item.within(|section| place(&item, section)) else { continue };
        granted.grants.push(Grant::http(place.destination.clone(), private));
        if place.ca_file.is_some() || place.certificate.is_some() {
            granted.http.push(place);
        }
    }
}

pub(super) fn destination(field: &Field<'_>) -> Option<Destination> {
    let text = field.text()?;
    if text.contains('@') {
        // Not shown: what stands before it may be a password.
        field.problem(
            "has user information before the host; give the plugin a secret instead, under `secrets`",
        );
        return None;
    }
    field.checked(Destination::parse(text))
}

fn place(item: &Field<'_>, section: &mut Section<'_>) -> Option<(HttpPlace, bool)> {
    let url = section.field("url");
    if url.is_none() {
        item.problem("has no url; write url: https://HOST");
    }
    let private = section.flag("private").unwrap_or(false);
    let ca_file = section.path("ca_file");
    let certificate = match (section.path("cert_file"), section.path("key_file")) {
        (Some(cert_file), Some(key_file)) => Some(KeyFiles { cert_file, key_file }),
        (None, None) => None,
        (Some(_), None) => {
            section.problem("cert_file", "needs its key; write key_file beside it");
            None
        }
        (None, Some(_)) => {
            section.problem("key_file", "needs its certificate; write cert_file beside it");
            None
        }
    };
    let url = url?;
    let destination = destination(&url)?;
    let tls = ca_file.is_some() || certificate.is_some();
    if tls && url.any_text().is_some_and(|text| text.starts_with("http:")) {
        url.problem("has no TLS, so ca_file, cert_file and key_file have no effect; write https://");
    }
    Some((HttpPlace { destination, ca_file, certificate }, private))
}
