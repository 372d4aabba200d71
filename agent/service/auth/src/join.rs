//! A host presents a token and becomes part of the cluster.

use std::net::SocketAddr;
use std::time::Duration;

use api::auth as wire;
use domain::audit::{Context, Detail, Outcome};
use domain::identity::{HostIdentity, SystemRole};
use domain::name::HostId;
use domain::resource::{Kind, Resource};
use domain::secret::Secret;
use domain::token::{StaticToken, Token, admit};

use crate::error::AuthError;
use crate::issue::HostWish;
use crate::key;
use crate::service::AuthService;

/// How long a refused host waits for its answer, so that guessing is slow.
const REFUSAL_DELAY: Duration = Duration::from_secs(1);

/// The longest node name that is looked at, in bytes. Longer ones are no host names anyway.
const NAME_MAX: usize = 512;

impl AuthService {
    /// Exchanges a token for certificates.
    pub(crate) async fn join(
        &self,
        request: wire::JoinRequest,
        peer: SocketAddr,
    ) -> Result<wire::JoinResponse, AuthError> {
        let outcome = self.try_join(&request).await;
        let told = match &outcome {
            Ok(_) => Outcome::ok(),
            Err(error) => Outcome::failed(error),
        };
        let context = Context {
            cluster_name: self.cluster.clone(),
            addr_remote: peer.to_string(),
            ..Context::default()
        };
        let detail = Detail::InstanceJoin {
            host_id: request.host_id,
            node_name: request.node_name,
            role: request.role,
            method: "token",
            outcome: told,
        };
        self.deps.metrics.joins.get_or_create(&outcome.is_ok().into()).inc();
        self.record_event(context, detail).await?;
        if matches!(outcome, Err(AuthError::Join(_))) {
            self.slow_refusal().await?;
        }
        outcome
    }

    async fn try_join(&self, request: &wire::JoinRequest) -> Result<wire::JoinResponse, AuthError> {
        let role = SystemRole::parse_joinable(&request.role)
            .map_err(|error| AuthError::Invalid(error.to_string()))?;
        let host_id = HostId::parse(&request.host_id)
            .ok_or_else(|| AuthError::Invalid(format!("{:?} is not a host UUID", request.host_id)))?;
        if request.node_name.len() > NAME_MAX {
            return Err(AuthError::Invalid(format!("the node name is longer than {NAME_MAX} bytes")));
        }
        let presented = Secret::from(request.token.as_str());
        let dynamic = self.find_token(&presented).await?;
        let mut statics: Vec<StaticToken> = self.settings.tokens.clone();
        statics.extend(self.local_token.read().clone());
        let admission = admit(&presented, role, &statics, dynamic.as_ref(), self.deps.clock.now())?;
        self.check_host_free(host_id, role).await?;
        let identity = HostIdentity { host_id, role: admission.role(), cluster: self.cluster.clone() };
        let wish = HostWish {
            node_name: &request.node_name,
            ssh_public_key: &request.ssh_public_key,
            tls_public_key: &request.tls_public_key,
            addresses: &request.addresses,
        };
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

    /// A token must not let a host take the place of a node that is there.
    async fn check_host_free(&self, host_id: HostId, role: SystemRole) -> Result<(), AuthError> {
        if role != SystemRole::Node {
            return Ok(());
        }
        match self.deps.store.get(&key::record(Kind::Node, &host_id.to_string())).await? {
            Some(_) => Err(AuthError::HostTaken(host_id.to_string())),
            None => Ok(()),
        }
    }

    /// Makes guessing slow without making guessers many: those who wait are counted, and one too
    /// many is told so at once.
    async fn slow_refusal(&self) -> Result<(), AuthError> {
        let Ok(_place) = self.refusals.try_acquire() else {
            return Err(AuthError::Invalid("too many refused joins at once; try again later".to_owned()));
        };
        tokio::time::sleep(REFUSAL_DELAY).await;
        Ok(())
    }
}
