//! `-R`: the client names a place to listen, and gets a channel for each connection to it.
//!
//! Ports are listened on at loopback only, as OpenSSH does unless told otherwise. The decision is made
//! again for every connection: a place that was permitted closes with the first one that is not.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use domain::audit::Context;
use port::stream::BoxedStream;
use russh::Channel;
use russh::server::{Handle, Msg};
use ssh::ahead::backlog::Backlog;
use ssh::refuse::chain;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use super::{Counted, Forwards, Target, carry};
use crate::connection::signed_in::SignedIn;

/// Listening places of one SSH connection at once.
const LISTENERS_MAX: usize = 64;

/// A place that is listened on, for as long as this is kept.
struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The places of one SSH connection. One that has closed by itself is none any more.
#[derive(Default)]
pub(super) struct Places(HashMap<Target, Listening>);

impl Places {
    fn is_full(&mut self) -> bool {
        self.forget_closed();
        self.0.len() >= LISTENERS_MAX
    }

    fn add(&mut self, place: Target, accepting: JoinHandle<()>) {
        self.0.insert(place, Listening(accepting));
    }

    fn remove(&mut self, place: &Target) -> bool {
        self.forget_closed();
        self.0.remove(place).is_some()
    }

    fn forget_closed(&mut self) {
        self.0.retain(|_, listening| !listening.0.is_finished());
    }
}

impl Forwards {
    /// Listens for the client, if that is permitted. The place as it became: port 0 is now the one
    /// the system chose.
    pub(in crate::connection) async fn listen(
        &mut self,
        asked: Target,
        who: Result<SignedIn, String>,
        context: Context,
        client: Handle,
    ) -> Option<Target> {
        let outcome = self.bind(&asked, who).await;
        let (service, shown, failed) =
            (Arc::clone(&self.service), asked.clone(), outcome.as_ref().err().cloned());
        let about = context.clone();
        tokio::spawn(async move { service.note_forward(about, &shown, failed.as_ref()).await });
        let (listener, who) = outcome.ok()?;
        let place = listener.place(asked).ok()?;
        let (open, backlog) = (Arc::clone(&self.open), self.backlog.clone());
        let accepting = Accepting { listener, place: place.clone(), who, context, client, open, backlog };
        self.listeners.add(place.clone(), tokio::spawn(accepting.run()));
        Some(place)
    }

    async fn bind(
        &mut self,
        asked: &Target,
        who: Result<SignedIn, String>,
    ) -> Result<(Listener, SignedIn), String> {
        let who = who?;
        let permit = who.forwarding_permit()?;
        if self.listeners.is_full() {
            return Err(format!("more than {LISTENERS_MAX} listening places over one connection"));
        }
        let launcher = &self.service.deps.launcher;
        let listening = match asked {
            Target::Tcp(address, port) => {
                let ip = loopback(address).ok_or("only loopback addresses can be listened on")?;
                let port = u16::try_from(*port).map_err(|_| "there is no such port".to_owned())?;
                let user = self.service.host_user(permit.login()).await?;
                launcher.listen_tcp(&user, SocketAddr::new(ip, port)).await.map(Listener::Tcp)
            }
            Target::Unix(path) => {
                let user = self.service.host_user(permit.login()).await?;
                launcher.listen_unix(&user, path, false).await.map(Listener::Unix)
            }
        };
        listening.map(|listener| (listener, who)).map_err(|error| chain(&error))
    }

    /// Stops listening.
    pub(in crate::connection) fn cancel(&mut self, place: &Target) -> bool {
        self.listeners.remove(place)
    }
}

/// A listener of either kind.
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn place(&self, asked: Target) -> io::Result<Target> {
        match (self, asked) {
            (Self::Tcp(listener), Target::Tcp(address, _)) => {
                Ok(Target::Tcp(address, listener.local_addr()?.port().into()))
            }
            (_, asked) => Ok(asked),
        }
    }

    /// A connection, and where it comes from: known of ports only.
    async fn accept(&self) -> io::Result<(BoxedStream, (String, u32))> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Failing to turn Nagle's algorithm off costs speed, not correctness.
                let _ = stream.set_nodelay(true);
                Ok((Box::new(stream), (peer.ip().to_string(), peer.port().into())))
            }
            Self::Unix(listener) => Ok((Box::new(listener.accept().await?.0), Default::default())),
        }
    }
}

/// What accepts connections at one place.
struct Accepting {
    listener: Listener,
    place: Target,
    who: SignedIn,
    context: Context,
    client: Handle,
    open: Arc<AtomicUsize>,
    backlog: Backlog,
}

impl Accepting {
    async fn run(self) {
        loop {
            let patience = &self.who.service().patience;
            let next = patience.accept("a connection to be forwarded", || self.listener.accept());
            let (stream, origin) = match next.await {
                Ok(accepted) => accepted,
                Err(error) => return self.close(format!("it is not listened on any more: {error}")),
            };
            if let Err(reason) = self.who.forwarding_permit() {
                drop(stream);
                return self.close(reason);
            }
            let Some(counted) = Counted::enter(&self.open) else { continue };
            let (client, place, backlog) = (self.client.clone(), self.place.clone(), self.backlog.clone());
            tokio::spawn(async move {
                if let Ok(channel) = open_channel(&client, place, origin).await {
                    carry(stream, channel, &backlog).await;
                }
                drop(counted);
            });
        }
    }

    /// Whoever waits to be accepted is sent away at once, and the place is forgotten; why is written down.
    fn close(self, reason: String) {
        let Self { listener, place, who, context, .. } = self;
        drop(listener);
        tokio::spawn(async move { who.service().note_forward(context, &place, Some(&reason)).await });
    }
}

async fn open_channel(
    client: &Handle,
    place: Target,
    (address, port): (String, u32),
) -> Result<Channel<Msg>, russh::Error> {
    match place {
        Target::Tcp(name, bound) => client.channel_open_forwarded_tcpip(name, bound, address, port).await,
        Target::Unix(path) => client.channel_open_forwarded_streamlocal(path.to_string_lossy()).await,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_that_closed_by_itself_is_neither_counted_nor_cancelled() {
        let place = |port| Target::Tcp("localhost".to_owned(), port);
        let mut places = Places::default();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        places.add(place(0), tokio::spawn(async move { drop(ended.await) }));
        for port in 1..64 {
            places.add(place(port), tokio::spawn(std::future::pending()));
        }
        assert!(places.is_full());
        end.send(()).unwrap();
        while places.is_full() {
            tokio::task::yield_now().await;
        }
        assert!(!places.remove(&place(0)));
        assert!(places.remove(&place(1)) && !places.remove(&place(1)));
    }

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
}
