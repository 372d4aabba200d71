//! Connections of one plugin: a client per target, each with connections that are kept for a while.
//!
//! A client goes to one target only, so that nothing one place learns (a certificate shown, an address
//! checked, a session resumed) is of use at another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::plugin::destination::{Host, Scheme, Target};
use domain::plugin::{Effective, Limits, PluginName};
use parking_lot::Mutex;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};
use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio::time::timeout;
use wasmtime_wasi_http::Error;

use super::body::Room;
use super::failure::Failure;
use super::proxy::{Proxies, ProxySettings};
use super::resolve::{self, Checked, Lookups, Plain};
use super::sign::Signer;
use super::tls::{self, PlaceSettings, Stamp, TlsError, Trust};
use super::{HEADERS_MAX, HttpError};
use crate::capability::disk::Disk;
use crate::error::chain;
use crate::settings::Settings;

/// Clients kept; the one that was used longest ago makes room.
const CLIENTS_MAX: usize = 32;

/// Connections to one target that are kept without a request, and for how long.
const IDLE_MAX: usize = 16;
const IDLE_TIME: Duration = Duration::from_secs(60);

/// How long connecting may take, in steps, so that plugins that count the time they have left do not get
/// a client for every millisecond.
const CONNECT_STEPS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// How connections that are read for a long time are noticed to be dead.
const ALIVE: Duration = Duration::from_secs(15);
const ALIVE_ANSWER: Duration = Duration::from_secs(5);

/// What an HTTP/2 server may send ahead of the guest's reading: for one answer and for all of a connection.
const AHEAD_STREAM: u32 = 256 * 1024;
const AHEAD_CONNECTION: u32 = 1024 * 1024;

/// How long a disk that is not this machine's is asked whether files have changed, before they are taken not to have.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// What all instances of a plugin send with.
pub(crate) struct Sender {
    plugin: PluginName,
    effective: Arc<Effective>,
    lookups: Lookups,
    proxies: Proxies,
    trust: Arc<Trust>,
    /// How the files of places are read.
    disk: Disk,
    /// Whether they did not answer when they were last asked.
    disk_hangs: AtomicBool,
    signers: Vec<Signer>,
    /// Requests under way.
    pub(super) turns: Arc<Semaphore>,
    /// For the bodies of those.
    pub(super) room: Room,
    /// The one used last at the end.
    clients: Mutex<VecDeque<Kept>>,
    /// What was said last of each target that failed.
    failing: Mutex<VecDeque<(Target, String)>>,
}

struct Kept {
    target: Target,
    connect: Duration,
    stamp: Stamp,
    /// Files that looked like this did not work; said once.
    spoilt: Option<Stamp>,
    client: Client,
}

impl Kept {
    fn is_for(&self, target: &Target, connect: Duration) -> bool {
        self.target == *target && self.connect == connect
    }
}

impl Sender {
    /// For one plugin, and what the operator says of places it may send requests to. Connects nowhere yet.
    ///
    /// # Errors
    /// [`HttpError`] for a proxy or files that cannot be used.
    pub(crate) fn new(
        plugin: &PluginName,
        effective: &Arc<Effective>,
        limits: &Limits,
        places: Vec<PlaceSettings>,
        settings: &Settings,
    ) -> Result<Self, HttpError> {
        // A plugin without requests has no use for what only requests need.
        let (proxies, places) = match effective.may_send() {
            true => (Proxies::new(&settings.proxies)?, places),
            false => (Proxies::new(&ProxySettings::default())?, Vec::new()),
        };
        let turns = usize::try_from(limits.http_concurrency).unwrap_or(Semaphore::MAX_PERMITS);
        Ok(Self {
            plugin: plugin.clone(),
            effective: Arc::clone(effective),
            lookups: Lookups::new(settings.resolver.clone().unwrap_or_else(resolve::system)),
            proxies,
            signers: Signer::of(&places),
            trust: Arc::new(Trust::new(places)?),
            disk: Disk::default(),
            disk_hangs: AtomicBool::new(false),
            turns: Arc::new(Semaphore::new(turns.min(Semaphore::MAX_PERMITS))),
            room: Room::new(limits.http_bytes),
            clients: Mutex::default(),
            failing: Mutex::default(),
        })
    }

    /// The client for a target. Its files are looked at each time, so that what replaced them counts for the
    /// next connection.
    ///
    /// # Errors
    /// [`Failure`] when the target is an address the plugin may not reach, or there is no TLS to be had.
    pub(super) async fn client(&self, target: &Target, connect: Option<Duration>) -> Result<Client, Failure> {
        if let Host::Address(ip) = target.host
            && !self.effective.may_reach(target, ip)
        {
            let text = resolve::refusal(&self.plugin, target, &[ip]);
            return Err(Failure::denied(Error::DestinationIpProhibited, text));
        }
        let connect = step(connect);
        let look = self.look(target).await;
        let kept = match &look {
            Some(stamp) => self.kept(target, connect, stamp),
            None => self.known(target, connect),
        };
        if let Some(client) = kept {
            return Ok(client);
        }
        // Where the files do not say how they look, the next look makes another.
        let stamp = look.unwrap_or_default();
        let made = self.make(target, connect).await;
        // Those that asked at once have one client, and its connections, between them: the first that was made.
        if let Some(client) = self.kept(target, connect, &stamp) {
            return Ok(client);
        }
        let kept = match (made, self.take(target, connect)) {
            (Ok(client), _) => Kept { target: target.clone(), connect, stamp, spoilt: None, client },
            // Certificate and key arrive one after the other: what works goes on until they fit.
            (Err(failure), Some(mut kept)) => {
                if kept.spoilt.as_ref() != Some(&stamp) {
                    tracing::warn!(plugin = %self.plugin, reason = failure.text, "changed certificates are not used, those from before are");
                    kept.spoilt = Some(stamp);
                }
                kept
            }
            (Err(failure), None) => return Err(failure),
        };
        Ok(self.keep(kept))
    }

    /// How the files for a target look now; nothing while their disk does not say so.
    async fn look(&self, target: &Target) -> Option<Stamp> {
        let place = self.trust.place(target).filter(|place| place.has_files());
        let Some(place) = place else { return Some(Stamp::default()) };
        if self.trust.is_near() {
            return Some(place.stamp());
        }
        // Whoever has waited once has waited for all.
        if self.disk_hangs.load(Ordering::Relaxed) && self.disk.is_waiting() {
            return None;
        }
        let (trust, wanted) = (Arc::clone(&self.trust), target.clone());
        let looking = move || trust.place(&wanted).map(PlaceSettings::stamp).unwrap_or_default();
        let found = timeout(LOOK_MAX, self.disk.wait_for(looking)).await.ok().and_then(Result::ok);
        let hung = self.disk_hangs.swap(found.is_none(), Ordering::Relaxed);
        match (hung, found.is_none()) {
            (false, true) => {
                tracing::warn!(plugin = %self.plugin, %target, "the disk with the certificates for requests does not answer; those that are known are used until it does");
            }
            (true, false) => {
                tracing::info!(plugin = %self.plugin, %target, "the disk with the certificates for requests answers again");
            }
            _ => {}
        }
        found
    }

    /// The client that was made for it when its files looked like this.
    fn kept(&self, target: &Target, connect: Duration, stamp: &Stamp) -> Option<Client> {
        self.used(|kept| kept.is_for(target, connect) && kept.stamp == *stamp)
    }

    /// One that was made for it however its files looked, rather with this time for connecting.
    fn known(&self, target: &Target, connect: Duration) -> Option<Client> {
        self.used(|kept| kept.is_for(target, connect)).or_else(|| self.used(|kept| kept.target == *target))
    }

    /// The first like that, from now on the one used last.
    fn used(&self, is_it: impl Fn(&Kept) -> bool) -> Option<Client> {
        let mut clients = self.clients.lock();
        let at = clients.iter().position(is_it)?;
        let kept = clients.remove(at)?;
        let client = kept.client.clone();
        clients.push_back(kept);
        Some(client)
    }

    fn take(&self, target: &Target, connect: Duration) -> Option<Kept> {
        let mut clients = self.clients.lock();
        let at = clients.iter().position(|kept| kept.is_for(target, connect))?;
        clients.remove(at)
    }

    /// Keeps it as the one used last.
    fn keep(&self, kept: Kept) -> Client {
        let client = kept.client.clone();
        let mut clients = self.clients.lock();
        if clients.len() >= CLIENTS_MAX {
            clients.pop_front();
        }
        clients.push_back(kept);
        client
    }

    /// Signs a request, where the operator wants it signed.
    ///
    /// # Errors
    /// [`Failure`] when there are no keys to be had.
    pub(super) async fn sign(&self, target: &Target, request: &mut reqwest::Request) -> Result<(), Failure> {
        // The first that covers the target, as for everything the operator says of places.
        match self.signers.iter().find(|signer| signer.covers(target)) {
            Some(signer) => signer.sign(target, request).await,
            None => Ok(()),
        }
    }

    async fn make(&self, target: &Target, connect: Duration) -> Result<Client, Failure> {
        let failed = |reason: String| {
            Failure::of(Error::ConfigurationError, format!("requests to {target} cannot be sent: {reason}"))
        };
        let tls = match target.scheme {
            Scheme::Https => self.config(target).await.map_err(|error| failed(error.to_string()))?,
            // Given all the same: the client would look for a TLS of its own otherwise, and there is none.
            Scheme::Http => tls::unused(),
        };
        let tls = tls.map_err(|error| failed(chain(&error)))?;
        let builder = self.builder(target).map_err(|error| failed(chain(&error)))?;
        let builder = builder.connect_timeout(connect).tls_backend_preconfigured(tls);
        builder.build().map_err(|error| failed(chain(&error)))
    }

    async fn config(&self, target: &Target) -> Result<Result<ClientConfig, TlsError>, JoinError> {
        if self.trust.reads_nothing(self.trust.place(target)) {
            return Ok(self.trust.config(self.trust.place(target)));
        }
        let (trust, target) = (Arc::clone(&self.trust), target.clone());
        self.disk.wait_for(move || trust.config(trust.place(&target))).await
    }

    fn builder(&self, target: &Target) -> reqwest::Result<ClientBuilder> {
        let builder = Client::builder()
            .redirect(Policy::none())
            .referer(false)
            .pool_max_idle_per_host(IDLE_MAX)
            .pool_idle_timeout(IDLE_TIME)
            .tcp_keepalive(ALIVE)
            .tcp_keepalive_interval(ALIVE_ANSWER)
            .tcp_keepalive_retries(3)
            .http2_initial_stream_window_size(AHEAD_STREAM)
            .http2_initial_connection_window_size(AHEAD_CONNECTION)
            .http2_max_header_list_size(u32::try_from(HEADERS_MAX).unwrap_or(u32::MAX))
            .http2_keep_alive_interval(ALIVE)
            .http2_keep_alive_timeout(ALIVE_ANSWER);
        Ok(match self.proxies.of(target)? {
            Some(proxy) => builder.proxy(proxy).dns_resolver(Arc::new(Plain(self.lookups.clone()))),
            None => builder.no_proxy().dns_resolver(Arc::new(Checked {
                plugin: self.plugin.clone(),
                target: target.clone(),
                effective: Arc::clone(&self.effective),
                lookups: self.lookups.clone(),
            })),
        })
    }

    /// Whether a failure is news: not the same as the last of this target.
    pub(super) fn is_news(&self, target: &Target, text: &str) -> bool {
        let mut failing = self.failing.lock();
        if failing.iter().any(|(failed, said)| failed == target && said == text) {
            return false;
        }
        failing.retain(|(failed, _)| failed != target);
        if failing.len() >= CLIENTS_MAX {
            failing.pop_front();
        }
        failing.push_back((target.clone(), text.to_owned()));
        true
    }

    /// The target answers.
    pub(super) fn works(&self, target: &Target) {
        self.failing.lock().retain(|(failed, _)| failed != target);
    }
}

/// The time for connecting that is nearest above what the guest asked for.
fn step(asked: Option<Duration>) -> Duration {
    let [.., usual, most] = CONNECT_STEPS;
    let Some(asked) = asked else { return usual };
    CONNECT_STEPS.into_iter().find(|step| *step >= asked).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use domain::plugin::{ContractKind, Destination, Grant, Manifest, effective};

    use super::*;

    fn sender(place: &str) -> Sender {
        let manifest = "name = \"label-x\"\nversion = \"1\"\ncontract = \"teleport:label-provider@1.0.0\"\ndescription = \"x\"\n[[needs]]\ncapability = \"http\"\nreason = \"x\"\n";
        let manifest: Manifest = toml::from_str(manifest).unwrap();
        let grants = [Grant::http(Destination::parse(place).unwrap(), false)];
        let effective = Arc::new(effective(&manifest, &grants).unwrap());
        let limits = Limits::of(ContractKind::LabelProvider);
        Sender::new(&manifest.name, &effective, &limits, Vec::new(), &Settings::new("/nowhere")).unwrap()
    }

    fn target(host: &str) -> Target {
        Target::parse("http", host).unwrap()
    }

    #[tokio::test]
    async fn clients_are_kept_and_come_to_an_end() {
        let sender = sender("http://*.example.com");
        for number in 0..CLIENTS_MAX * 2 {
            sender.client(&target(&format!("h{number}.example.com")), None).await.unwrap();
        }
        assert_eq!(sender.clients.lock().len(), CLIENTS_MAX);
        sender.client(&target("h63.example.com"), None).await.unwrap();
        assert_eq!(sender.clients.lock().len(), CLIENTS_MAX, "it is one of those that are kept");
        assert_eq!(sender.clients.lock().front().unwrap().target, target("h32.example.com"));
    }

    #[tokio::test]
    async fn an_address_is_looked_at_before_there_is_a_client() {
        let address: IpAddr = "127.0.0.1".parse().unwrap();
        let sender = sender("http://127.0.0.1");
        let failure = sender.client(&target(&address.to_string()), None).await.unwrap_err();
        assert!(failure.denied && matches!(failure.code, Error::DestinationIpProhibited), "{failure:?}");
    }

    #[test]
    fn a_failure_is_news_once() {
        let (sender, down) = (sender("http://*.example.com"), target("a.example.com"));
        assert!(sender.is_news(&down, "refused") && !sender.is_news(&down, "refused"));
        assert!(sender.is_news(&down, "timed out"), "another one");
        sender.works(&down);
        assert!(sender.is_news(&down, "timed out"), "it worked in between");
    }

    #[test]
    fn time_for_connecting_is_given_in_steps() {
        assert_eq!(step(None), Duration::from_secs(10));
        assert_eq!(step(Some(Duration::from_millis(1))), Duration::from_secs(1));
        assert_eq!(step(Some(Duration::from_secs(3))), Duration::from_secs(5));
        assert_eq!(step(Some(Duration::from_secs(3600))), Duration::from_secs(30));
    }
}
