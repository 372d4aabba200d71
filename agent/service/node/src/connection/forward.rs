//! Forwarding: `-L` and `-D` (the client names a target), `-R` (the client names a place to listen),
//! for ports and for socket files.
//!
//! Socket files are reached and ports are listened on as the user, so nobody gets at anything through
//! a forward that they could not get at from a shell. Listening is on loopback, as OpenSSH does
//! unless told otherwise.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::access::SessionPermit;
use domain::audit::{Context, Detail, Outcome};
use port::host_user::HostUser;
use port::stream::BoxedStream;
use russh::Channel;
use russh::server::{ChannelOpenHandle, Handle, Msg};
use ssh::ahead::Ahead;
use ssh::ahead::backlog::Backlog;
use ssh::refuse::{connect_failed, prohibited};
use tokio::task::JoinHandle;

use crate::service::NodeService;

/// Forwarded connections of one SSH connection at once.
const CONNECTIONS_MAX: usize = 1024;
/// Listening places of one SSH connection at once.
const LISTENERS_MAX: usize = 64;
/// Bytes carried at a time, each way.
const COPY: usize = 32 * 1024;

/// Where a client wants a connection to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Host and port.
    Tcp(String, u32),
    /// A socket file.
    Unix(PathBuf),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// The forwards of one connection. Dropping it stops the listening ones.
pub(super) struct Forwards {
    service: Arc<NodeService>,
    open: Arc<AtomicUsize>,
    backlog: Backlog,
    listeners: HashMap<Place, Listening>,
}

/// Where a client asked us to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Tcp(String, u32),
    Unix(String),
}

struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Forwards {
    pub(super) fn new(service: Arc<NodeService>, backlog: Backlog) -> Self {
        Self { service, open: Arc::default(), backlog, listeners: HashMap::new() }
    }

    /// Connects a channel to its target, if that is permitted.
    pub(super) async fn connect(
        &self,
        target: Target,
        permit: Result<SessionPermit, String>,
        context: Context,
        (channel, reply): (Channel<Msg>, ChannelOpenHandle),
    ) {
        let permit = match permit {
            Ok(permit) => permit,
            Err(reason) => {
                self.note(context, &target, Outcome::failed(&reason));
                reply.reject(prohibited(reason)).await;
                return;
            }
        };
        let Some(place) = Counted::enter(&self.open) else {
            reply.reject(prohibited(format!("more than {CONNECTIONS_MAX} forwarded connections"))).await;
            return;
        };
        let (service, backlog) = (Arc::clone(&self.service), self.backlog.clone());
        tokio::spawn(async move {
            let outcome = service.reach(&target, permit.login()).await;
            let told = match &outcome {
                Ok(_) => Outcome::ok(),
                Err(error) => Outcome::failed(error),
            };
            service.door.note(context, Detail::PortForward { addr: target.to_string(), outcome: told }).await;
            match outcome {
                Ok(stream) => {
                    reply.accept().await;
                    carry(stream, channel, &backlog).await;
                }
                Err(error) => reply.reject(connect_failed(error)).await,
            }
            drop(place);
        });
    }

    /// Listens on a port for the client; the port, if that works.
    pub(super) async fn listen_tcp(
        &mut self,
        (address, port): (&str, u32),
        permit: Result<SessionPermit, String>,
        context: Context,
        client: Handle,
    ) -> Option<u16> {
        let shown = Target::Tcp(address.to_owned(), port);
        let outcome = self.bind_tcp((address, port), permit).await;
        let told = match &outcome {
            Ok(_) => Outcome::ok(),
            Err(reason) => Outcome::failed(reason),
        };
        self.note(context, &shown, told);
        let listener = outcome.ok()?;
        let bound = listener.local_addr().ok()?.port();
        let (open, backlog) = (Arc::clone(&self.open), self.backlog.clone());
        let name = address.to_owned();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let Some(place) = Counted::enter(&open) else { continue };
                let _ = stream.set_nodelay(true);
                let (client, name, backlog) = (client.clone(), name.clone(), backlog.clone());
                tokio::spawn(async move {
                    let origin = (peer.ip().to_string(), u32::from(peer.port()));
                    let opened =
                        client.channel_open_forwarded_tcpip(name, u32::from(bound), origin.0, origin.1).await;
                    if let Ok(channel) = opened {
                        carry(Box::new(stream), channel, &backlog).await;
                    }
                    drop(place);
                });
            }
        });
        self.listeners.insert(Place::Tcp(address.to_owned(), u32::from(bound)), Listening(accepting));
        Some(bound)
    }

    async fn bind_tcp(
        &self,
        (address, port): (&str, u32),
        permit: Result<SessionPermit, String>,
    ) -> Result<tokio::net::TcpListener, String> {
        let permit = permit?;
        self.check_room()?;
        let ip = loopback(address).ok_or("only loopback addresses can be listened on")?;
        let port = u16::try_from(port).map_err(|_| "there is no such port".to_owned())?;
        let user = self.service.host_user(permit.login()).await?;
        let listening = self.service.deps.launcher.listen_tcp(&user, SocketAddr::new(ip, port));
        listening.await.map_err(|error| ssh::refuse::chain(&error))
    }

    /// Listens on a socket file for the client.
    pub(super) async fn listen_unix(
        &mut self,
        path: &str,
        permit: Result<SessionPermit, String>,
        context: Context,
        client: Handle,
    ) -> bool {
        let outcome = self.bind_unix(path, permit).await;
        let told = match &outcome {
            Ok(_) => Outcome::ok(),
            Err(reason) => Outcome::failed(reason),
        };
        self.note(context, &Target::Unix(path.into()), told);
        let Ok(listener) = outcome else { return false };
        let (open, backlog) = (Arc::clone(&self.open), self.backlog.clone());
        let name = path.to_owned();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some(place) = Counted::enter(&open) else { continue };
                let (client, name, backlog) = (client.clone(), name.clone(), backlog.clone());
                tokio::spawn(async move {
                    if let Ok(channel) = client.channel_open_forwarded_streamlocal(name).await {
                        carry(Box::new(stream), channel, &backlog).await;
                    }
                    drop(place);
                });
            }
        });
        self.listeners.insert(Place::Unix(path.to_owned()), Listening(accepting));
        true
    }

    async fn bind_unix(
        &self,
        path: &str,
        permit: Result<SessionPermit, String>,
    ) -> Result<tokio::net::UnixListener, String> {
        let permit = permit?;
        self.check_room()?;
        let user = self.service.host_user(permit.login()).await?;
        let listening = self.service.deps.launcher.listen_unix(&user, std::path::Path::new(path), false);
        listening.await.map_err(|error| ssh::refuse::chain(&error))
    }

    fn check_room(&self) -> Result<(), String> {
        if self.listeners.len() < LISTENERS_MAX {
            return Ok(());
        }
        Err(format!("more than {LISTENERS_MAX} listening places over one connection"))
    }

    /// Stops listening on a port.
    pub(super) fn cancel_tcp(&mut self, address: &str, port: u32) -> bool {
        self.listeners.remove(&Place::Tcp(address.to_owned(), port)).is_some()
    }

    /// Stops listening on a socket file.
    pub(super) fn cancel_unix(&mut self, path: &str) -> bool {
        self.listeners.remove(&Place::Unix(path.to_owned())).is_some()
    }

    fn note(&self, context: Context, target: &Target, outcome: Outcome) {
        let detail = Detail::PortForward { addr: target.to_string(), outcome };
        let door = Arc::clone(&self.service.door);
        tokio::spawn(async move { door.note(context, detail).await });
    }
}

impl NodeService {
    async fn host_user(&self, login: &str) -> Result<HostUser, String> {
        let (users, login) = (Arc::clone(&self.deps.users), login.to_owned());
        let found = tokio::task::spawn_blocking(move || users.find(&login)).await;
        found.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    async fn reach(&self, target: &Target, login: &str) -> Result<BoxedStream, String> {
        match target {
            Target::Tcp(host, port) => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                let stream = net::dial(&format!("{host}:{port}")).await;
                Ok(Box::new(stream.map_err(|error| ssh::refuse::chain(&error))?))
            }
            Target::Unix(path) => {
                let user = self.host_user(login).await?;
                let stream = self.deps.launcher.connect_unix(&user, path).await;
                Ok(Box::new(stream.map_err(|error| ssh::refuse::chain(&error))?))
            }
        }
    }
}

/// The loopback address a client means, when it means one: by name, or by any of the ways to say
/// "everywhere", which here means loopback too.
fn loopback(address: &str) -> Option<IpAddr> {
    match address {
        "" | "*" | "localhost" | "0.0.0.0" => Some(Ipv4Addr::LOCALHOST.into()),
        "::" => Some(Ipv6Addr::LOCALHOST.into()),
        other => other.parse::<IpAddr>().ok().filter(IpAddr::is_loopback),
    }
}

async fn carry(mut near: BoxedStream, channel: Channel<Msg>, backlog: &Backlog) {
    let mut far = Ahead::new(channel, backlog);
    // How it ends is the business of the two ends.
    let _ = tokio::io::copy_bidirectional_with_sizes(&mut near, &mut far, COPY, COPY).await;
}

/// One of the connections that are counted.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn enter(open: &Arc<AtomicUsize>) -> Option<Self> {
        let entered = Self(Arc::clone(open));
        // The place is given back by dropping it, also when there was none.
        (open.fetch_add(1, Ordering::Relaxed) < CONNECTIONS_MAX).then_some(entered)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everywhere_means_loopback_and_other_addresses_are_refused() {
        for address in ["", "*", "localhost", "0.0.0.0", "127.0.0.2"] {
            assert!(loopback(address).is_some_and(|ip| ip.is_loopback()), "{address}");
        }
        assert_eq!(loopback("::"), Some(Ipv6Addr::LOCALHOST.into()));
        for address in ["10.0.0.1", "example.com", "169.254.169.254", "2001:db8::1"] {
            assert_eq!(loopback(address), None, "{address}");
        }
    }

    #[test]
    fn places_are_given_back_also_when_there_was_none() {
        let open = Arc::new(AtomicUsize::new(CONNECTIONS_MAX - 1));
        let last = Counted::enter(&open).unwrap();
        assert!(Counted::enter(&open).is_none());
        drop(last);
        assert_eq!(open.load(Ordering::Relaxed), CONNECTIONS_MAX - 1);
    }
}
