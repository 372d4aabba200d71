//! A host with the guest that sends requests.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use domain::plugin::{Destination, Grant, SecretLabel};
use domain::secret::Secret;
use parking_lot::Mutex;
use plugin_host::{
    CallReport, Outcome, PluginHost, PluginSettings, Resolver, SecretFrom, SecretSettings, Settings,
};

use crate::bed::{Bed, LONG, Running, guest, label, manifest};

/// Names and what they stand for.
#[derive(Default)]
pub(crate) struct Names(BTreeMap<String, Vec<Vec<IpAddr>>>);

impl Names {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A name that always stands for these.
    pub(crate) fn with(mut self, name: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.0.insert(name.to_owned(), vec![addresses]);
        self
    }

    /// A name that stands for one after the other.
    pub(crate) fn changing(mut self, name: &str, addresses: Vec<IpAddr>) -> Self {
        self.0.insert(name.to_owned(), addresses.into_iter().map(|address| vec![address]).collect());
        self
    }

    fn resolver(self) -> Resolver {
        let names = Arc::new(Mutex::new(self.0));
        Arc::new(move |name| {
            let names = Arc::clone(&names);
            Box::pin(async move {
                let mut names = names.lock();
                let Some(answers) = names.get_mut(&name) else {
                    return Err(std::io::Error::other("there is no such name"));
                };
                Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
            })
        })
    }
}

/// A bed with the guest in it.
pub(crate) struct Fetch(Bed);

impl Fetch {
    /// Asks for requests to places of the operator's choice.
    pub(crate) fn new() -> Self {
        Self::with_needs(&[])
    }

    /// Asks for more.
    pub(crate) fn with_needs(needs: &[(&str, &str)]) -> Self {
        let mut text = manifest("fetch");
        for (capability, more) in [("http", "")].iter().chain(needs) {
            text += &format!("[[needs]]\ncapability = \"{capability}\"\nreason = \"for tests\"\n{more}\n");
        }
        let mut bed = Bed::new();
        bed.install("fetch", &guest("fetch"), &text);
        bed.pin("fetch");
        // Guests copy large bodies byte by byte here, and machines are slow.
        bed.limit("fetch", "cpu", "10s");
        let mut fetch = Self(bed);
        fetch.names(Names::new().with("api.test", &["127.0.0.1"]));
        fetch
    }

    pub(crate) fn settings(&mut self) -> &mut Settings {
        &mut self.0.settings
    }

    pub(crate) fn plugin(&mut self) -> &mut PluginSettings {
        self.0.plugin("fetch")
    }

    pub(crate) fn names(&mut self, names: Names) {
        self.0.settings.resolver = Some(names.resolver());
    }

    /// Grants a place.
    pub(crate) fn grant(&mut self, url: &str, private: bool) -> Destination {
        let destination = Destination::parse(url).unwrap();
        self.plugin().grants.push(Grant::http(destination.clone(), private));
        destination
    }

    pub(crate) fn limit(&mut self, key: &str, value: &str) {
        self.0.limit("fetch", key, value);
    }

    /// Gives a secret, to be sent to one place.
    pub(crate) fn secret(&mut self, label: &str, value: &str, place: &str) {
        let from = SecretFrom::Environment { name: "X".to_owned(), value: Some(Secret::from(value)) };
        let settings = SecretSettings { from, hosts: vec![Destination::parse(place).unwrap()] };
        self.plugin().secrets.insert(SecretLabel::new(label).unwrap(), settings);
    }

    /// Writes a file that only this user may read and write, and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.folder(name);
        let draft = self.0.folder("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(draft, &path).unwrap();
        path
    }

    pub(crate) fn host(&self) -> Running {
        self.0.host()
    }
}

/// With leave to send requests to one place on this machine.
pub(crate) fn granted(url: &str) -> Fetch {
    let mut bed = Fetch::new();
    bed.grant(url, true);
    bed
}

/// Has a request sent, and does not wait for ever.
pub(crate) async fn call(host: &PluginHost, request: &str) -> CallReport {
    let label = label("fetch", request);
    tokio::time::timeout(LONG, host.call(&label)).await.expect("every call ends").expect("the plugin loads")
}

/// What a request that works is answered with.
pub(crate) async fn fetch(host: &PluginHost, request: &str) -> String {
    call(host, request).await.result.unwrap_or_else(|error| panic!("{request}: {error}"))
}

/// A request that is refused with these words to the operator.
pub(crate) async fn denied(host: &PluginHost, request: &str, words: &str) {
    let report = call(host, request).await;
    assert_eq!(report.outcome(), Outcome::Denied, "{request}: {:?}", report.result);
    let text = report.result.unwrap_err().to_string();
    assert!(text.contains(words), "{request}: {text}");
}

/// A request that is refused with this code to the guest.
pub(crate) async fn refused_with(host: &PluginHost, request: &str, code: &str) {
    assert_eq!(fetch(host, &format!("{request} hide")).await, code, "{request}");
}

/// The code of a request that did not work, though it was allowed.
pub(crate) async fn given_up(host: &PluginHost, request: &str) -> String {
    let report = call(host, request).await;
    assert_eq!(report.outcome(), Outcome::Guest, "{request}: {:?}", report.result);
    report.result.unwrap_err().to_string()
}
