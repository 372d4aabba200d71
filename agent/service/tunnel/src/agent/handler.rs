//! What a proxy may ask of an agent: one kind of channel, and nothing else.
//!
//! russh's client accepts most channels a server opens; every one of them is answered here.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use domain::identity::SystemRole;
use domain::name::HostId;
use port::stream::{Origin, Serve};
use russh::client::{ChannelOpenHandle, Handler, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelOpenFailure};
use ssh::ahead::paced::Paced;
use ssh::host::HostCheck;

use crate::NODE_TARGET;
use crate::error::TunnelError;

/// Answers one proxy.
pub(super) struct AgentHandler {
    check: HostCheck,
    service: Arc<dyn Serve>,
    local: SocketAddr,
    /// Which proxy it is, once it has proved that.
    proxy: Arc<OnceLock<HostId>>,
}

impl AgentHandler {
    pub(super) fn new(
        check: HostCheck,
        service: Arc<dyn Serve>,
        local: SocketAddr,
        proxy: Arc<OnceLock<HostId>>,
    ) -> Self {
        Self { check, service, local, proxy }
    }
}

async fn refuse(reply: ChannelOpenHandle) -> Result<(), TunnelError> {
    reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
    Ok(())
}

impl Handler for AgentHandler {
    type Error = TunnelError;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let Some(certificate) = key.certificate() else {
            tracing::error!("the proxy showed a plain key instead of a host certificate");
            return Ok(false);
        };
        match self.check.admit(certificate, SystemRole::Proxy) {
            // Again when keys are changed; it stays the one it was.
            Ok(facts) => Ok(*self.proxy.get_or_init(|| facts.host_id) == facts.host_id),
            Err(error) => {
                tracing::error!(%error, "the proxy's certificate is refused");
                Ok(false)
            }
        }
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host_to_connect: &str,
        _port_to_connect: u32,
        originator_address: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let peer = originator_address.parse::<IpAddr>().ok().zip(u16::try_from(originator_port).ok());
        let (NODE_TARGET, Some(peer)) = (host_to_connect, peer) else { return refuse(reply).await };
        let origin = Origin { peer: SocketAddr::from(peer), local: self.local, tunnelled: true };
        let service = Arc::clone(&self.service);
        reply.accept().await;
        tokio::spawn(async move { service.serve(Box::new(Paced::new(channel)), origin).await });
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _connected_address: &str,
        _connected_port: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(reply).await
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _socket_path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(reply).await
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(reply).await
    }

    async fn should_accept_unknown_server_channel(
        &mut self,
        _id: russh::ChannelId,
        _channel_type: &str,
    ) -> bool {
        false
    }

    async fn server_channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(reply).await
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _socket_path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(reply).await
    }

    async fn server_channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        refuse(reply).await
    }
}
