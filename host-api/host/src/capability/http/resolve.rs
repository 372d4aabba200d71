//! From a name to the addresses a connection may go to.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use domain::address::{Place, place};
use domain::plugin::destination::{Host, Target};
use domain::plugin::{Effective, PluginName};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;
use wasmtime_wasi_http::Error;

/// Addresses of one name that are looked at; nobody needs more.
const ADDRESSES_MAX: usize = 64;

/// Names one plugin has looked up at one time. Each may hold a thread for as long as a name server does not
/// answer, also after whoever asked has given up, and there are few for all plugins.
const LOOKUPS_MAX: usize = 2;

/// Looks up the addresses of a name.
pub type Resolver = Arc<dyn Fn(String) -> Lookup + Send + Sync>;

/// A look-up under way.
pub type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Look-ups of all plugins at one time, those of plugins that have been replaced meanwhile among them: each
/// has a thread of the plugins' until the name server answers, and other work needs some too.
static ALL: Semaphore = Semaphore::const_new(16);

/// The machine's own way.
pub(super) fn system() -> Resolver {
    Arc::new(|name| {
        Box::pin(async move {
            let _turn = ALL.acquire().await.map_err(io::Error::other)?;
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// The names of one plugin's requests, a few at a time.
#[derive(Clone)]
pub(super) struct Lookups {
    resolver: Resolver,
    turns: Arc<Semaphore>,
}

impl Lookups {
    pub(super) fn new(resolver: Resolver) -> Self {
        Self { resolver, turns: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }

    /// The addresses of a name, in the form in which they are used.
    ///
    /// # Errors
    /// [`LookupError::Nothing`], [`LookupError::Failed`].
    async fn find(self, name: String) -> Result<Vec<IpAddr>, LookupError> {
        let found = self.ask(name.clone()).await;
        let found = found.map_err(|source| LookupError::Failed { name: name.clone(), source })?;
        // The form in which they are judged is the form in which they are used.
        let found: Vec<_> = found.into_iter().take(ADDRESSES_MAX).map(|ip| ip.to_canonical()).collect();
        if found.is_empty() { Err(LookupError::Nothing { name }) } else { Ok(found) }
    }

    async fn ask(self, name: String) -> io::Result<Vec<IpAddr>> {
        let turn = self.turns.acquire_owned().await.map_err(io::Error::other)?;
        let lookup = (self.resolver)(name);
        // A task of its own: a look-up cannot be called off, and it has its turn until it ends.
        let asking = tokio::spawn(async move {
            let found = lookup.await;
            drop(turn);
            found
        });
        asking.await.map_err(io::Error::other)?
    }
}

/// Why there is no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    /// The name has none.
    #[error("the name {name} has no address")]
    Nothing {
        /// The name.
        name: String,
    },
    /// It could not be found out.
    #[error("the name {name} could not be looked up")]
    Failed {
        /// The name.
        name: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The operator has not granted any of them.
    #[error("{0}")]
    Refused(String),
}

impl LookupError {
    /// What the guest is told.
    pub(super) fn code(&self) -> Error {
        match self {
            Self::Nothing { .. } | Self::Failed { .. } => {
                Error::DnsError { rcode: Some("address not available".to_owned()), info_code: None }
            }
            Self::Refused(_) => Error::DestinationIpProhibited,
        }
    }
}

/// Looks up one target's name and drops what the plugin may not reach.
pub(super) struct Checked {
    pub(super) plugin: PluginName,
    pub(super) target: Target,
    pub(super) effective: Arc<Effective>,
    pub(super) lookups: Lookups,
}

impl Resolve for Checked {
    fn resolve(&self, _name: Name) -> Resolving {
        // Always the target's own: a client is made for one target and follows nobody elsewhere.
        let Host::Name(name) = self.target.host.clone() else {
            return Box::pin(async { Err("an address is not looked up".into()) });
        };
        let (plugin, target, effective) =
            (self.plugin.clone(), self.target.clone(), Arc::clone(&self.effective));
        let lookup = self.lookups.clone().find(name);
        Box::pin(async move {
            let found = lookup.await?;
            let (kept, refused): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|ip| effective.may_reach(&target, *ip));
            if kept.is_empty() {
                return Err(LookupError::Refused(refusal(&plugin, &target, &refused)).into());
            }
            Ok(addresses(kept))
        })
    }
}

/// Looks up a proxy, which is the operator's own choice.
pub(super) struct Plain(pub(super) Lookups);

impl Resolve for Plain {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.0.clone().find(name.as_str().to_owned());
        Box::pin(async move { Ok(addresses(lookup.await?)) })
    }
}

/// Without a port, so that the URL's is taken.
fn addresses(ips: Vec<IpAddr>) -> Addrs {
    Box::new(ips.into_iter().map(|ip| SocketAddr::new(ip, 0)))
}

/// Why none of a target's addresses is connected to, and what to write if it may be.
pub(super) fn refusal(plugin: &PluginName, target: &Target, refused: &[IpAddr]) -> String {
    let list: Vec<_> = refused.iter().take(4).map(|ip| format!("{ip} ({})", place(*ip))).collect();
    let list = list.join(", ");
    let stands = match &target.host {
        Host::Name(name) => format!(", which {name} stands for"),
        Host::Address(_) => String::new(),
    };
    format!("plugin {plugin} may not connect to {list}{stands}; {}", remedy(plugin, target, refused))
}

fn remedy(plugin: &PluginName, target: &Target, refused: &[IpAddr]) -> String {
    let any = |of: &[Place]| refused.iter().any(|ip| of.contains(&place(*ip)));
    let (own, link) = (any(&[Place::Private, Place::Loopback]), any(&[Place::LinkLocal]));
    if own || (link && matches!(target.host, Host::Address(_))) {
        format!(
            "if it may, write under teleport.plugins.load.{plugin}.grants: http: [{{ url: \"{target}\", private: yes }}]"
        )
    } else if link {
        "no name may lead there; if the plugin may, its manifest must ask for the address itself, and the grant of it say private: yes".to_owned()
    } else {
        "no plugin may".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn names_that_hang_hold_two_look_ups_though_nobody_waits_for_them() {
        let (begun, answers) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (counted, answering) = (Arc::clone(&begun), Arc::clone(&answers));
        let lookups = Lookups::new(Arc::new(move |_| {
            counted.fetch_add(1, SeqCst);
            let answering = Arc::clone(&answering);
            Box::pin(async move {
                answering.notified().await;
                Ok(vec![IpAddr::from([192, 0, 2, 1])])
            })
        }));
        let find = || timeout(Duration::from_secs(1), lookups.clone().find("x.test".to_owned()));
        for _ in 0..5 {
            assert!(find().await.is_err(), "nobody answers");
        }
        assert_eq!(begun.load(SeqCst), LOOKUPS_MAX);
        answers.notify_one();
        assert!(find().await.is_err());
        assert_eq!(begun.load(SeqCst), LOOKUPS_MAX + 1, "the one that ended made room");
    }

    #[test]
    fn a_refusal_names_addresses_and_the_line_to_add() {
        let plugin = PluginName::new("storage-x").unwrap();
        let target = Target::parse("https", "db.example.com:2379").unwrap();
        let text = refusal(&plugin, &target, &["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(
            text,
            "plugin storage-x may not connect to 10.0.0.1 (private), ::1 (loopback), which db.example.com stands for; if it may, write under teleport.plugins.load.storage-x.grants: http: [{ url: \"https://db.example.com:2379\", private: yes }]"
        );
        let target = Target::parse("http", "169.254.169.254").unwrap();
        let text = refusal(&plugin, &target, &["169.254.169.254".parse().unwrap()]);
        assert!(text.ends_with(r#"http: [{ url: "http://169.254.169.254", private: yes }]"#), "{text}");
        let target = Target::parse("http", "name.test").unwrap();
        let text = refusal(&plugin, &target, &["169.254.169.254".parse().unwrap()]);
        assert!(text.contains("(link-local or metadata), which name.test stands for; no name may"), "{text}");
        let text = refusal(&plugin, &target, &["224.0.0.1".parse().unwrap()]);
        assert!(text.ends_with("or reserved), which name.test stands for; no plugin may"), "{text}");
    }
}
