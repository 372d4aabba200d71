//! `teleport.plugins`: which plugins are loaded from disk, and what the operator lets them do.
//!
//! The rules of names, digests, grants and limits are those of [`domain::plugin`]; here they get a
//! line and a column. Whether a grant meets what the plugin's manifest asks for is decided when the
//! plugin is loaded.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::plugin::capability::check_argv;
use domain::plugin::configuration::Written;
use domain::plugin::limit::{self, Row, Unit};
use domain::plugin::manifest::Wishes;
use domain::plugin::publisher::PublicKey;
use domain::plugin::{Digest, Grant, PluginName, Publisher, PublisherName, SecretLabel};

use crate::field::Field;
use crate::section::{Section, unknown};

mod grant;
mod secret;

pub use grant::{HttpPlace, KeyFiles};
pub use secret::{PluginSecret, SecretOrigin};

/// Plugins from disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plugins {
    /// Where they are; none are loaded from disk when absent.
    pub directory: Option<PathBuf>,
    /// Who signs plugins, by the operator's name for them. Each plugin lists those that count for it.
    pub publishers: BTreeMap<PublisherName, PublicKey>,
    /// What the operator says of each.
    pub load: BTreeMap<PluginName, PluginSettings>,
}

/// What the operator says of one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSettings {
    /// Whether it may be loaded.
    pub enabled: bool,
    /// Which bytes are meant, each good: the version in use and, ahead of its arrival, the next.
    pub digests: Vec<Digest>,
    /// Whose signature it must have, when any are listed.
    pub publishers: Vec<Publisher>,
    /// What it may do beyond computing.
    pub grants: Vec<Grant>,
    /// Authorities and client certificates of places that requests may be sent to.
    pub http: Vec<HttpPlace>,
    /// Limits that differ from its contract's, checked and in the form [`limit::resolve`] reads.
    pub limits: Wishes,
    /// What it reads of its own, as written; checked against its manifest when it is loaded.
    pub config: BTreeMap<String, Written>,
    /// The secrets it may use.
    pub secrets: BTreeMap<SecretLabel, PluginSecret>,
}

/// Reads `teleport.plugins`.
pub(crate) fn read(plugins: &mut Section<'_>) -> Plugins {
    let directory = plugins.path("directory");
    let known = plugins.within("publishers", publishers);
    let load = plugins.within("load", |section| {
        let mut load = BTreeMap::new();
        for (name, at, field) in section.pairs() {
            let settings = field.within(|section| plugin(section, &known));
            match PluginName::new(name) {
                Ok(name) => drop(settings.map(|settings| load.insert(name, settings))),
                Err(error) => section.report().problem(Some(at), field.key(), error),
            }
        }
        load
    });
    let publishers = known.into_iter().filter_map(|(name, key)| Some((name, key?))).collect();
    Plugins { directory, publishers, load }
}

/// A plugin named by another key.
pub(crate) fn name(field: &Field<'_>) -> Option<PluginName> {
    field.checked(PluginName::new(field.text()?))
}

/// Who is named, without a key where what stands there is none, which has been said.
type Known = BTreeMap<PublisherName, Option<PublicKey>>;

fn publishers(section: &mut Section<'_>) -> Known {
    let mut publishers = BTreeMap::new();
    for (name, at, field) in section.pairs() {
        let key = field.text().and_then(|text| field.checked(PublicKey::parse(text)));
        match PublisherName::new(name) {
            Ok(name) => drop(publishers.insert(name, key)),
            Err(error) => section.report().problem(Some(at), field.key(), error),
        }
    }
    publishers
}

fn plugin(section: &mut Section<'_>, known: &Known) -> PluginSettings {
    let granted = section.within("grants", grant::read);
    PluginSettings {
        enabled: section.flag("enabled").unwrap_or(true),
        digests: section.field("digest").map(|field| digests(&field)).unwrap_or_default(),
        publishers: section.field("publishers").map(|field| signers(&field, known)).unwrap_or_default(),
        grants: granted.grants,
        http: granted.http,
        limits: section.within("limits", limits),
        config: section.within("config", own),
        secrets: section.within("secrets", secret::read),
    }
}

/// One digest or a list of them.
fn digests(field: &Field<'_>) -> Vec<Digest> {
    let items = field.list_or_one();
    if items.is_empty() {
        field.problem("is empty; write the digest of the plugin's file or remove the key");
    }
    items.iter().filter_map(|item| item.checked(Digest::parse(item.text()?))).collect()
}

/// One publisher or a list of them, each named under `teleport.plugins.publishers`.
fn signers(field: &Field<'_>, known: &Known) -> Vec<Publisher> {
    let items = field.list_or_one();
    if items.is_empty() {
        field.problem("is empty; write the name of a publisher or remove the key");
    }
    items.iter().filter_map(|item| signer(item, known)).collect()
}

fn signer(field: &Field<'_>, known: &Known) -> Option<Publisher> {
    let name = field.checked(PublisherName::new(field.text()?))?;
    if let Some(key) = known.get(&name) {
        return Some(Publisher { name, key: key.clone()? });
    }
    let names: Vec<&str> = known.keys().map(PublisherName::as_str).collect();
    let there = match names.as_slice() {
        [] => "which names nobody yet".to_owned(),
        names => format!("which names {}", names.join(", ")),
    };
    field.problem(format!(
        "there is no publisher {name}; add `{name}: RW…` (a minisign public key) under \
         teleport.plugins.publishers, {there}"
    ));
    None
}

/// What the plugin reads of its own; which keys there are is its manifest's to say.
fn own(section: &mut Section<'_>) -> BTreeMap<String, Written> {
    let pairs = section.pairs().into_iter();
    pairs.filter_map(|(key, _, field)| Some((key.to_owned(), written(&field)?))).collect()
}

fn written(field: &Field<'_>) -> Option<Written> {
    if !field.is_list() {
        return field.any_text().map(|text| Written::One(text.to_owned()));
    }
    let items = field.list()?;
    let texts: Vec<String> = items.iter().filter_map(Field::any_text).map(str::to_owned).collect();
    (texts.len() == items.len()).then_some(Written::Many(texts))
}

/// A program and its arguments. No shell is involved, so one long text would not work.
pub(crate) fn argv(field: &Field<'_>) -> Option<Vec<String>> {
    let items = field.list()?;
    let words: Vec<String> = items.iter().filter_map(Field::any_text).map(str::to_owned).collect();
    if words.len() < items.len() {
        return None;
    }
    field.checked(check_argv(&words))?;
    Some(words)
}

fn limits(section: &mut Section<'_>) -> Wishes {
    let names: Vec<&str> = limit::table().iter().map(|row| row.key).collect();
    let mut limits = Wishes::new();
    for (key, at, field) in section.pairs() {
        let Some(row) = limit::table().iter().find(|row| row.key == key) else {
            section.report().problem(Some(at), field.key(), unknown(key, &names));
            continue;
        };
        if let Some(text) = bounded(row, &field) {
            limits.insert(key.to_owned(), text);
        }
    }
    limits
}

fn bounded(row: &Row, field: &Field<'_>) -> Option<String> {
    let value = match row.unit {
        Unit::Bytes => field.size()?,
        Unit::Time => u64::try_from(field.duration()?.as_millis()).unwrap_or(u64::MAX),
        Unit::Count => field.whole(0, u64::MAX)?,
    };
    if value == 0 || value > row.ceiling {
        let (what, most) = (row.what, row.text(row.ceiling));
        field.problem(format!("must be more than nothing and at most {most} ({what})"));
        return None;
    }
    Some(row.text(value))
}
