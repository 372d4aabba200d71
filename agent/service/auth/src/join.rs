//! A host presents a token and becomes part of the cluster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::auth as wire;
use domain::audit::{Context, Detail, Outcome};
use domain::identity::{HostIdentity, SystemRole};
use domain::name::HostId;
use domain::resource::{Kind, Resource};
use domain::secret::Secret;
use domain::token::{StaticToken, Token, admit};

use crate::error::AuthError;
use crate::host::Proof;
use crate::issue::HostWish;
use crate::key;
use crate::service::AuthService;

/// How long a refused host waits for its answer, so that guessing is slow.
const REFUSAL_DELAY: Duration = Duration::from_secs(1);

/// The longest node name that is looked at, in bytes. Longer ones are no host names anyway.
const NAME_MAX: usize = 512;
/// As much of a node name as is written down, in bytes.
const RECORDED_MAX: usize = 256;

pub(crate) mod bound;

impl AuthService {
    /// Exchanges a token for certificates.
    ///
    /// Anybody may ask. A request that makes no sense is counted and leaves no event; one that is
    /// refused leaves one, but not more of them than there are places to wait in.
    pub(crate) async fn join(
        &self,
        request: wire::JoinRequest,
        peer: SocketAddr,
    ) -> Result<wire::JoinResponse, AuthError> {
        let outcome = match Asked::parse(&request) {
            Ok(asked) => {
                let outcome = self.try_join(&request, &asked).await;
                self.conclude(&request.node_name, &asked, peer, outcome).await
            }
            Err(error) => Err(error),
        };
        self.deps.metrics.joins.get_or_create(&outcome.is_ok().into()).inc();
        outcome
    }

    /// Writes down how it went. A refused host waits, so that guessing is slow; those who wait are
    /// counted, also when they hang up, and one too many is told so at once.
    async fn conclude(
        &self,
        node_name: &str,
        asked: &Asked,
        peer: SocketAddr,
        outcome: Result<wire::JoinResponse, AuthError>,
    ) -> Result<wire::JoinResponse, AuthError> {
        let told = match &outcome {
            Ok(_) => return self.record_join(node_name, asked, peer, Outcome::ok()).await.and(outcome),
            Err(error) => Outcome::failed(error),
        };
        let Ok(place) = Arc::clone(&self.refusals).try_acquire_owned() else {
            return Err(AuthError::TooMany("too many refused joins at once; try again later".to_owned()));
        };
        let delay = tokio::spawn(async move {
            tokio::time::sleep(REFUSAL_DELAY).await;
            drop(place);
        });
        self.record_join(node_name, asked, peer, told).await?;
        // Fails only while the server stops.
        let _ = delay.await;
        outcome
    }

    async fn record_join(
        &self,
        node_name: &str,
        asked: &Asked,
        peer: SocketAddr,
        outcome: Outcome,
    ) -> Result<(), AuthError> {
        let context = Context {
            cluster_name: self.cluster.clone(),
            addr_remote: peer.to_string(),
            ..Context::default()
        };
        let node_name = node_name.get(..node_name.floor_char_boundary(RECORDED_MAX)).unwrap_or_default();
        let detail = Detail::InstanceJoin {
            host_id: asked.host_id.to_string(),
            node_name: node_name.to_owned(),
            role: asked.role.to_string(),
            method: "token",
            outcome,
        };
        self.record_event(context, detail).await
    }

    async fn try_join(
        &self,
        request: &wire::JoinRequest,
        &Asked { role, host_id }: &Asked,
    ) -> Result<wire::JoinResponse, AuthError> {
        let presented = Secret::from(request.token.as_str());
        let dynamic = self.find_token(&presented).await?;
        let mut statics: Vec<StaticToken> = self.settings.tokens.clone();
        statics.extend(self.local_token.read().clone());
        let admission = admit(&presented, role, &statics, dynamic.as_ref(), self.deps.clock.now())?;
        let is_local = self.local_token.read().as_ref().is_some_and(|token| token.value == presented);
        if role == SystemRole::Node {
            let as_proxy =
                admit(&presented, SystemRole::Proxy, &statics, dynamic.as_ref(), self.deps.clock.now());
            self.check_host_free(host_id, is_local, as_proxy.is_ok()).await?;
        }
        let identity = HostIdentity { host_id, role: admission.role(), cluster: self.cluster.clone() };
        let wish = HostWish {
            node_name: &request.node_name,
            ssh_public_key: &request.ssh_public_key,
            tls_public_key: &request.tls_public_key,
            addresses: &request.addresses,
            asked_by: String::new(),
        };
        // First, so that of two that come at once one is refused before there is a certificate.
        let proof = if is_local { Proof::Own } else { Proof::Token(&presented) };
        self.hold_host((host_id, role), &wish, proof).await?;
        let certificates = self.issue_host(identity, &wish).await?;
        Ok(wire::JoinResponse { cluster_name: self.cluster.clone(), certificates: Some(certificates) })
    }

    async fn find_token(&self, presented: &Secret) -> Result<Option<Token>, AuthError> {
        let Some(name) = presented.reveal_str() else { return Ok(None) };
        if domain::resource::check_name(Kind::Token, name).is_err() {
            return Ok(None);
        }
        let item = self.deps.store.get(&key::record(Kind::Token, name)).await?;
        Ok(item.and_then(|item| Resource::from_json(&item.value).ok()))
    }

    /// A token must not let a host take the place of a node that is there, nor of the node beside the auth server
    /// or a proxy: that may have the proxy's name, so it comes with the token of this process, or with one that lets
    /// it in as a proxy as well.
    async fn check_host_free(
        &self,
        host_id: HostId,
        is_local: bool,
        may_be_proxy: bool,
    ) -> Result<(), AuthError> {
        if host_id == self.settings.host_id && !is_local {
            return Err(AuthError::HostTaken(host_id.to_string()));
        }
        if !may_be_proxy && self.is_proxys_host(host_id).await? {
            return Err(AuthError::ProxysHost(host_id.to_string()));
        }
        match self.deps.store.get(&key::record(Kind::Node, &host_id.to_string())).await? {
            Some(_) => Err(AuthError::HostTaken(host_id.to_string())),
            None => Ok(()),
        }
    }
}

/// What a request asks for, when it makes sense.
struct Asked {
    role: SystemRole,
    host_id: HostId,
}

impl Asked {
    fn parse(request: &wire::JoinRequest) -> Result<Self, AuthError> {
        let role = SystemRole::parse_joinable(&request.role)
            .map_err(|error| AuthError::Invalid(error.to_string()))?;
        let host_id = HostId::parse(&request.host_id)
            .ok_or_else(|| AuthError::Invalid(format!("{:?} is not a host UUID", request.host_id)))?;
        if request.node_name.len() > NAME_MAX {
            return Err(AuthError::Invalid(format!("the node name is longer than {NAME_MAX} bytes")));
        }
        Ok(Self { role, host_id })
    }
}

#[cfg(test)]
mod tests;
