//! An SSH client that goes through the proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use russh::client::{AuthResult, ChannelOpenHandle, Handle, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelMsg};
use tokio::net::TcpStream;

use crate::cluster::Credentials;

/// Takes any server: what servers show is checked by stock clients in other tests. What a server
/// forwards to it comes back as it was.
pub struct AnyServer;

impl russh::client::Handler for AnyServer {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        _connected_address: &str,
        _connected_port: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        tokio::spawn(echo(channel));
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        tokio::spawn(echo(channel));
        Ok(())
    }
}

async fn echo(channel: Channel<Msg>) {
    let (mut read, mut write) = tokio::io::split(channel.into_stream());
    // It ends with whoever is forwarded.
    let _ = tokio::io::copy(&mut read, &mut write).await;
}

/// A connection to the proxy.
pub struct Client {
    /// The connection.
    pub handle: Handle<AnyServer>,
    credentials: Credentials,
}

/// A connection to a node, through the proxy.
pub struct NodeSession {
    /// The connection.
    pub handle: Handle<AnyServer>,
}

/// What a command answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit status; none when there was none.
    pub status: Option<u32>,
    /// The signal that ended it.
    pub signal: Option<String>,
}

impl Client {
    /// Connects to a proxy; the answer tells whether it let the user in.
    pub async fn connect(
        proxy: SocketAddr,
        credentials: &Credentials,
        login: &str,
    ) -> Result<(Self, AuthResult), russh::Error> {
        let stream = TcpStream::connect(proxy).await?;
        stream.set_nodelay(true)?;
        let config = Arc::new(russh::client::Config { nodelay: true, ..russh::client::Config::default() });
        let mut handle = russh::client::connect_stream(config, stream, AnyServer).await?;
        let answer = sign_in(&mut handle, credentials, login).await?;
        Ok((Self { handle, credentials: credentials.clone() }, answer))
    }

    /// A raw channel to `host:port`, as `ssh -J` opens one.
    pub async fn dial(&self, host: &str, port: u32) -> Result<Channel<Msg>, russh::Error> {
        self.handle.channel_open_direct_tcpip(host, port, "127.0.0.1", 1).await
    }

    /// Signs in on a node; the answer tells whether it let the user in.
    pub async fn node(&self, host: &str, login: &str) -> Result<(NodeSession, AuthResult), russh::Error> {
        let channel = self.dial(host, 22).await?;
        let config = Arc::new(russh::client::Config::default());
        let mut handle = russh::client::connect_stream(config, channel.into_stream(), AnyServer).await?;
        let answer = sign_in(&mut handle, &self.credentials, login).await?;
        Ok((NodeSession { handle }, answer))
    }
}

async fn sign_in(
    handle: &mut Handle<AnyServer>,
    credentials: &Credentials,
    login: &str,
) -> Result<AuthResult, russh::Error> {
    let key = Arc::new(credentials.key.clone());
    handle.authenticate_openssh_cert(login, key, credentials.certificate.clone()).await
}

impl NodeSession {
    /// Runs a command to its end.
    pub async fn exec(&self, command: &str) -> Result<Answer, russh::Error> {
        let mut channel = self.handle.channel_open_session().await?;
        channel.exec(true, command).await?;
        Ok(answer(&mut channel).await)
    }
}

/// Reads a channel to its end.
pub async fn answer(channel: &mut Channel<Msg>) -> Answer {
    let mut answer = Answer::default();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => out.extend_from_slice(&data),
            ChannelMsg::ExtendedData { data, ext: 1 } => err.extend_from_slice(&data),
            ChannelMsg::ExitStatus { exit_status } => answer.status = Some(exit_status),
            ChannelMsg::ExitSignal { signal_name, .. } => answer.signal = Some(format!("{signal_name:?}")),
            _ => {}
        }
    }
    answer.stdout = String::from_utf8_lossy(&out).into_owned();
    answer.stderr = String::from_utf8_lossy(&err).into_owned();
    answer
}
