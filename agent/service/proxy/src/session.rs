//! One user's SSH connection to the proxy.
//!
//! Two ways to a node: a `direct-tcpip` channel (`ssh -J`), or a session channel with the subsystem
//! `proxy:host:port`. Everything else a client may ask of an SSH server is refused, each by name, so
//! that no default of the library lets something through.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::audit::Detail;
use domain::route::Target;
use port::stream::BoxedStream;
use russh::keys::Certificate;
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use ssh::ahead::Ahead;
use ssh::ahead::backlog::Backlog;
use ssh::entrance::Entrance;
use ssh::refuse::{connect_failed, prohibited};
use ssh::serve::Known;
use ssh::user::User;

use crate::error::ProxyError;
use crate::service::ProxyService;

mod subsystem;

use subsystem::Waiting;

/// Connections to nodes over one SSH connection. A multiplexing client has one per session.
const STREAMS_MAX: usize = 1024;
/// Bytes copied at a time, each way.
const COPY: usize = 32 * 1024;

/// One user's connection.
pub(crate) struct Session {
    service: Arc<ProxyService>,
    known: Known,
    peer: SocketAddr,
    entrance: Entrance,
    streams: Arc<AtomicUsize>,
    waiting: Waiting,
}

impl Session {
    pub(crate) fn new(service: Arc<ProxyService>, known: Known, peer: SocketAddr, local: SocketAddr) -> Self {
        let entrance = Entrance::new(Arc::clone(&service.door), peer, local, known.heard().clone());
        Self { service, known, peer, entrance, streams: Arc::default(), waiting: Waiting::default() }
    }

    /// A connection to a node, about to be made.
    fn errand(&self, user: Arc<User>) -> Result<Errand, ProxyError> {
        let streams = Arc::clone(&self.streams);
        if streams.fetch_add(1, Ordering::Relaxed) >= STREAMS_MAX {
            streams.fetch_sub(1, Ordering::Relaxed);
            return Err(ProxyError::TooMany(STREAMS_MAX));
        }
        let context = self.entrance.context();
        self.service.deps.metrics.streams.inc();
        let (service, backlog) = (Arc::clone(&self.service), self.known.backlog().clone());
        Ok(Errand { service, user, peer: self.peer, context, streams, backlog })
    }
}

/// One connection to a node on behalf of a user; counted while it lives.
pub(crate) struct Errand {
    service: Arc<ProxyService>,
    user: Arc<User>,
    peer: SocketAddr,
    context: domain::audit::Context,
    streams: Arc<AtomicUsize>,
    backlog: Backlog,
}

impl Errand {
    /// Connects, and writes down when it was refused.
    pub(crate) async fn connect(&self, target: &Target) -> Result<BoxedStream, ProxyError> {
        let outcome = self.service.connect(&self.user, target, self.peer).await;
        if let Err(error) = &outcome {
            self.service.deps.metrics.refused_dials.inc();
            let reason = self.service.reason(&self.user, target, error);
            self.service.door.note(self.context.clone(), Detail::SessionRejected { reason }).await;
        }
        outcome
    }

    /// Carries bytes until both sides are done.
    pub(crate) async fn carry(&self, client: Channel<Msg>, mut node: BoxedStream) {
        let mut client = Ahead::new(client, &self.backlog);
        // How a connection ends, and which side cut it, is the business of the two ends.
        let _ = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut node, COPY, COPY).await;
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
        self.service.deps.metrics.streams.dec();
    }
}

impl Handler for Session {
    type Error = russh::Error;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        self.entrance.tried(user);
        Ok(Auth::reject())
    }

    async fn auth_password(&mut self, user: &str, _password: &str) -> Result<Auth, Self::Error> {
        self.entrance.tried(user);
        Ok(Auth::reject())
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.entrance.key_offered(user, offer))
    }

    async fn auth_publickey(&mut self, user: &str, _key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        self.entrance.tried(user);
        Ok(Auth::reject())
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
    ) -> Result<Auth, Self::Error> {
        // Which nodes the user may reach is asked for each of them.
        Ok(self.entrance.certificate(user, certificate, |_| Ok(())))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        _response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.entrance.explain(user))
    }

    async fn auth_succeeded(&mut self, _session: &mut russh::server::Session) -> Result<(), Self::Error> {
        self.known.mark();
        Ok(())
    }

    fn adjust_window(&mut self, _channel: ChannelId, _current: u32) -> u32 {
        self.known.backlog().window()
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host_to_connect: &str,
        port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        let Some(user) = self.entrance.user().cloned() else { return Ok(()) };
        let errand = match self.errand(user) {
            Ok(errand) => errand,
            Err(error) => {
                reply.reject(prohibited(error)).await;
                return Ok(());
            }
        };
        let port = u16::try_from(port_to_connect).unwrap_or(u16::MAX);
        let target = Target { host: host_to_connect.to_owned(), port, cluster: None };
        // Dialling may take long; this method must not, since it holds up the whole connection.
        tokio::spawn(async move {
            match errand.connect(&target).await {
                Ok(node) => {
                    reply.accept().await;
                    errand.carry(channel, node).await;
                }
                Err(error @ ProxyError::Dial(_)) => reply.reject(connect_failed(error)).await,
                Err(error) => reply.reject(prohibited(error)).await,
            }
        });
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        if self.waiting.add(channel) {
            reply.accept().await;
        } else {
            reply.reject(prohibited(ProxyError::TooMany(subsystem::WAITING_MAX))).await;
        }
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        let (Some(user), Some(waiting)) = (self.entrance.user().cloned(), self.waiting.take(channel)) else {
            return session.channel_failure(channel);
        };
        let target = match Target::parse_subsystem(name) {
            Ok(target) => target,
            Err(error) => {
                session.channel_failure(channel)?;
                subsystem::say_no_later(waiting, error);
                return Ok(());
            }
        };
        let errand = match self.errand(user) {
            Ok(errand) => errand,
            Err(error) => {
                session.channel_failure(channel)?;
                subsystem::say_no_later(waiting, error);
                return Ok(());
            }
        };
        session.channel_success(channel)?;
        tokio::spawn(subsystem::run(errand, target, waiting));
        Ok(())
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        self.no_shell(channel, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _data: &[u8],
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        self.no_shell(channel, session)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        _value: &str,
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn agent_request(
        &mut self,
        _channel: ChannelId,
        _session: &mut russh::server::Session,
    ) -> Result<bool, Self::Error> {
        // The agent is for nodes; a proxy has no use for a user's keys.
        Ok(false)
    }

    async fn tcpip_forward(
        &mut self,
        _address: &str,
        _port: &mut u32,
        _session: &mut russh::server::Session,
    ) -> Result<bool, Self::Error> {
        Ok(false)
    }

    async fn streamlocal_forward(
        &mut self,
        _path: &str,
        _session: &mut russh::server::Session,
    ) -> Result<bool, Self::Error> {
        Ok(false)
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        self.waiting.take(channel);
        Ok(())
    }
}

impl Session {
    /// A shell, a command or a file transfer on the proxy itself: there is none, and we say where it is.
    fn no_shell(
        &mut self,
        channel: ChannelId,
        session: &mut russh::server::Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)?;
        if let Some(waiting) = self.waiting.take(channel) {
            subsystem::say_no_later(
                waiting,
                "this is a proxy and has no shell; connect to a node: ssh -J THIS_PROXY LOGIN@NODE",
            );
        }
        Ok(())
    }
}
