//! The configuration of SSH servers and clients, every field said.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use certs::bundle::Bundle;
use russh::{MethodKind, MethodSet, SshId};

use crate::algorithm::Algorithms;

/// What is said before anything is agreed: the protocol, and no version that would help choosing an
/// attack.
const GREETING: &str = "SSH-2.0-Teleport";

/// What one channel may have under way towards us, in bytes.
pub(crate) const WINDOW: u32 = 2 * 1024 * 1024;
/// The same inside a tunnel, where one channel is one whole connection.
const TUNNEL_WINDOW: u32 = 4 * 1024 * 1024;
/// The largest payload of a packet towards us. OpenSSH uses 32 KiB, our own ends the maximum.
const PACKET: u32 = 65_535;
/// Messages of one channel waiting to be taken. They are taken at once (see [`crate::ahead`]).
const CHANNEL_QUEUE: usize = 64;
/// Events waiting for a connection's loop.
const EVENT_QUEUE: usize = 16;
/// Attempts to sign in on one connection. Agents with many keys try them all.
const ATTEMPTS: usize = 20;

/// What differs between servers.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// What an operator chose.
    pub algorithms: Algorithms,
    /// How often a silent client is asked whether it lives.
    pub keep_alive: Duration,
}

/// A server for users: their certificates, and keyboard-interactive solely to say why not.
pub fn server_config(bundle: &Bundle, settings: &ServerSettings) -> Arc<russh::server::Config> {
    let methods = MethodSet::from([MethodKind::PublicKey, MethodKind::KeyboardInteractive].as_slice());
    Arc::new(base(bundle, settings, methods, WINDOW))
}

/// A server for the links of agents.
pub fn tunnel_server_config(bundle: &Bundle, settings: &ServerSettings) -> Arc<russh::server::Config> {
    let methods = MethodSet::from([MethodKind::PublicKey].as_slice());
    Arc::new(base(bundle, settings, methods, TUNNEL_WINDOW))
}

fn base(
    bundle: &Bundle,
    settings: &ServerSettings,
    methods: MethodSet,
    window: u32,
) -> russh::server::Config {
    russh::server::Config {
        server_id: SshId::Standard(Cow::Borrowed(GREETING)),
        methods,
        // Nothing that could be guessed is decided by these answers: a signature is right or wrong,
        // and whether a login exists is looked up only after everything else was granted.
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![bundle.keys.ssh.clone()],
        certificates: vec![bundle.ssh_certificate.clone()],
        limits: russh::Limits::default(),
        window_size: window,
        maximum_packet_size: PACKET,
        channel_buffer_size: CHANNEL_QUEUE,
        event_buffer_size: EVENT_QUEUE,
        preferred: settings.algorithms.preferred(),
        max_auth_attempts: ATTEMPTS,
        // A session may be idle for days. Strangers are limited by the gate, the dead by keep-alive.
        inactivity_timeout: None,
        keepalive_interval: Some(settings.keep_alive),
        keepalive_max: 3,
        nodelay: true,
    }
}

/// A client of a proxy's tunnel port.
pub fn client_config(settings: &ServerSettings) -> Arc<russh::client::Config> {
    Arc::new(russh::client::Config {
        client_id: SshId::Standard(Cow::Borrowed(GREETING)),
        limits: russh::Limits::default(),
        window_size: TUNNEL_WINDOW,
        maximum_packet_size: PACKET,
        channel_buffer_size: CHANNEL_QUEUE,
        preferred: settings.algorithms.preferred(),
        inactivity_timeout: None,
        keepalive_interval: Some(settings.keep_alive),
        keepalive_max: 3,
        anonymous: false,
        gex: russh::client::GexParams::default(),
        nodelay: true,
    })
}
