//! What a proxy may ask of an agent: one kind of channel, and nothing else.
//!
//! russh's client accepts most channels a server opens; every one of them is answered here.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use domain::identity::SystemRole;
use domain::name::HostId;
use port::stream::{Origin, Serve};
use russh::client::{ChannelOpenHandle, Handler, Msg, Session};
use russh::keys::{Certificate, PublicKeyOrCertificate};
use russh::{Channel, ChannelOpenFailure};
use ssh::ahead::paced::Paced;
use ssh::host::HostCheck;

use crate::NODE_TARGET;
use crate::error::TunnelError;

/// Which proxy it is, or why it may be none, once it has shown what it has.
pub(super) type Shown = OnceLock<Result<Admitted, String>>;

/// A proxy that is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) proxy: HostId,
    /// Of the certificate it showed.
    pub(super) serial: u64,
    certificate: Certificate,
}

/// Answers one proxy.
pub(super) struct AgentHandler {
    check: HostCheck,
    service: Arc<dyn Serve>,
    local: SocketAddr,
    proxy: Arc<Shown>,
}

impl AgentHandler {
    pub(super) fn new(
        check: HostCheck,
        service: Arc<dyn Serve>,
        local: SocketAddr,
        proxy: Arc<Shown>,
    ) -> Self {
        Self { check, service, local, proxy }
    }
}

impl AgentHandler {
    fn admit(&self, certificate: &Certificate) -> Result<Admitted, String> {
        let facts = self.check.admit(certificate, SystemRole::Proxy).map_err(|error| error.to_string())?;
        let serial = certificate.serial();
        Ok(Admitted { proxy: facts.host_id, serial, certificate: certificate.clone() })
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
            // Said already where it is not the first time.
            let _ = self.proxy.set(Err("it showed a plain key instead of a host certificate".to_owned()));
            return Ok(false);
        };
        // Again when keys are changed: it stays the one it was, with the certificate it had. That may have come to its
        // end meanwhile, and what goes through the link does not end with it.
        if let Some(Ok(known)) = self.proxy.get() {
            let is_same = known.certificate == *certificate;
            return Ok(is_same && self.check.not_locked(known.proxy, known.serial).is_ok());
        }
        Ok(self.proxy.get_or_init(|| self.admit(certificate)).is_ok())
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use certs::authority::AuthorityKeys;
    use certs::ssh::{HostSpec, issue_host, new_key};
    use domain::Timestamp;
    use domain::authority::AuthorityType;
    use domain::identity::HostIdentity;
    use domain::lock::{Lock, LockSpec, Target};
    use fake::{FakeClock, FakeRandom, FakeView};
    use port::stream::BoxedStream;

    use super::*;

    struct Nobody;

    #[async_trait]
    impl Serve for Nobody {
        async fn serve(&self, _stream: BoxedStream, _origin: Origin) {}
    }

    struct Bed {
        clock: Arc<FakeClock>,
        view: Arc<FakeView>,
        keys: AuthorityKeys,
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1000).unwrap()
    }

    fn id() -> HostId {
        HostId::parse("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f").unwrap()
    }

    impl Bed {
        fn new() -> Self {
            let keys =
                AuthorityKeys::generate(AuthorityType::Host, "main", now(), &FakeRandom::new(1)).unwrap();
            let view = Arc::new(FakeView::new("main"));
            view.put_authority(keys.public().unwrap());
            Self { clock: Arc::new(FakeClock::at(now())), view, keys }
        }

        fn lock(&self, host_id: HostId) {
            let target = Target { server_id: Some(host_id), ..Target::default() };
            self.view.set_locks(vec![Lock::new("stolen", LockSpec { target, ..LockSpec::default() })]);
        }

        fn certificate(&self, host_id: HostId, role: SystemRole) -> PublicKeyOrCertificate {
            let identity = HostIdentity { host_id, role, cluster: "main".into() };
            let ttl = Duration::from_secs(60);
            let spec = HostSpec { identity, principals: vec![host_id.to_string()], ttl };
            let random = FakeRandom::new(2);
            let key = new_key(&random);
            let issued = issue_host(self.keys.ssh().unwrap(), key.public_key(), &spec, now(), &random);
            PublicKeyOrCertificate::Certificate(issued.unwrap())
        }

        fn handler(&self) -> AgentHandler {
            let check = HostCheck { view: self.view.clone(), clock: self.clock.clone() };
            AgentHandler::new(check, Arc::new(Nobody), ([127, 0, 0, 1], 1).into(), Arc::default())
        }

        /// Whether it is a proxy to go on with, and what the keeper is told.
        async fn shown(&self, key: PublicKeyOrCertificate) -> (bool, Result<HostId, String>) {
            let mut handler = self.handler();
            let is_good = handler.check_server_key(&key).await.unwrap();
            (is_good, handler.proxy.get().unwrap().clone().map(|admitted| admitted.proxy))
        }
    }

    #[tokio::test]
    async fn who_is_no_proxy_or_locked_is_refused_and_the_keeper_is_told_why() {
        let bed = Bed::new();
        let proxy = || bed.certificate(id(), SystemRole::Proxy);
        assert_eq!(bed.shown(proxy()).await, (true, Ok(id())));
        let plain = new_key(&FakeRandom::new(3)).public_key().clone();
        let plain = PublicKeyOrCertificate::PublicKey { key: plain, hash_alg: None };
        let node = bed.certificate(id(), SystemRole::Node);
        for (key, says) in [(plain, "plain key"), (node, "is a node, not a proxy")] {
            let (is_good, told) = bed.shown(key).await;
            assert!(!is_good && told.as_ref().is_err_and(|told| told.contains(says)), "{told:?}");
        }
        bed.lock(id());
        let (is_good, told) = bed.shown(proxy()).await;
        assert!(!is_good && told.is_err_and(|told| told.contains("locked by stolen")));
    }

    #[tokio::test]
    async fn a_proxy_stays_the_one_it_was_when_keys_are_changed() {
        let bed = Bed::new();
        let mut handler = bed.handler();
        let other = HostId::parse("11111111-f9b2-41d0-bb5a-e23b0cfe0f8f").unwrap();
        for (host_id, is_good) in [(id(), true), (id(), true), (other, false)] {
            let key = bed.certificate(host_id, SystemRole::Proxy);
            assert_eq!(handler.check_server_key(&key).await.unwrap(), is_good);
        }
    }

    #[tokio::test]
    async fn a_link_outlives_the_certificate_it_began_with_and_not_a_lock() {
        let bed = Bed::new();
        let (mut handler, key) = (bed.handler(), bed.certificate(id(), SystemRole::Proxy));
        assert!(handler.check_server_key(&key).await.unwrap());
        bed.clock.advance(Duration::from_secs(3600));
        assert!(handler.check_server_key(&key).await.unwrap(), "what goes through it does not end");
        assert!(!bed.handler().check_server_key(&key).await.unwrap(), "nothing begins with it");
        let plain = PublicKeyOrCertificate::PublicKey { key: key.public_key().clone(), hash_alg: None };
        assert!(!handler.check_server_key(&plain).await.unwrap());
        bed.lock(id());
        assert!(!handler.check_server_key(&key).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_a_link_hears_of_a_lock_on_its_proxy() {
        let bed = Bed::new();
        let check = bed.handler().check;
        let mut locked = Box::pin(check.locked(id(), 1));
        bed.lock(HostId::parse("11111111-f9b2-41d0-bb5a-e23b0cfe0f8f").unwrap());
        assert!(tokio::time::timeout(Duration::from_secs(1), &mut locked).await.is_err());
        bed.lock(id());
        assert!(locked.await.contains("locked by stolen"));
    }
}
