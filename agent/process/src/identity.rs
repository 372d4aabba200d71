//! Becoming and staying a member of the cluster.

use std::sync::Arc;
use std::time::Duration;

use certs::bundle::{Bundle, HostKeys};
use certs::x509::Pin;
use client::find::{Belief, find};
use client::join::{Joining, ask, renew};
use client::view::View;
use client::{AuthClient, AuthEndpoint};
use config::Settings;
use domain::Timestamp;
use domain::backoff::Backoff;
use domain::identity::SystemRole;
use domain::name::HostId;
use domain::secret::Secret;
use net::tls::ServerTrust;
use port::clock::Clock;
use port::random::Random;
use tokio::sync::watch;

use crate::data_dir::DataDir;
use crate::error::ProcessError;
use crate::{node, proxy};

/// How often it is looked whether certificates are due.
const CHECK: Duration = Duration::from_secs(600);
/// The first and the longest wait before joining again.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// What a host joins with.
#[derive(Clone)]
pub(crate) struct Membership {
    pub(crate) servers: Vec<String>,
    pub(crate) trust: Option<ServerTrust>,
    pub(crate) token: Option<Secret>,
    pub(crate) insecure: bool,
    pub(crate) host_id: HostId,
    pub(crate) node_name: String,
    pub(crate) names: Vec<String>,
}

impl Membership {
    /// The identity in a role: the one on disk, or a new one by joining. A server that cannot be
    /// reached is asked again; one that refuses is believed.
    pub(crate) async fn enter(
        &self,
        role: SystemRole,
        data: &DataDir,
        clock: &dyn Clock,
        random: &dyn Random,
    ) -> Result<Bundle, ProcessError> {
        // The auth server knows a host by its keys, so they stay the same until there is an identity:
        // also when an answer is lost, or this process ends before it comes.
        let keys = match data.identity(role)? {
            Some(bundle) if !bundle.is_expired(clock.now()) => return Ok(bundle),
            Some(_) if self.token.is_none() => return Err(ProcessError::Expired(role)),
            Some(bundle) => bundle.keys,
            None => data.new_keys(role, random)?,
        };
        let token = self.token.clone().ok_or(ProcessError::NoToken(role))?;
        let joining = Joining {
            addresses: self.servers.clone(),
            trust: self.trust(random).await?,
            token,
            host_id: self.host_id,
            role,
            node_name: self.node_name.clone(),
            host_addresses: self.names.clone(),
        };
        let bundle = join_patiently(&joining, keys, random).await?;
        data.keep_identity(&bundle)?;
        tracing::info!(%role, cluster = %bundle.identity.cluster, "joined the cluster");
        Ok(bundle)
    }

    /// How the auth server is trusted before there is an identity: by pin, by what a proxy with a
    /// public certificate says, or, because the operator said so, by what any proxy says.
    async fn trust(&self, random: &dyn Random) -> Result<ServerTrust, ProcessError> {
        if let Some(trust) = &self.trust {
            return Ok(trust.clone());
        }
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let reason = match self.told_trust().await {
                Ok(trust) => return Ok(trust),
                Err(reason) => reason,
            };
            if !self.insecure {
                return Err(ProcessError::NoTrust { servers: self.servers.join(", "), reason });
            }
            let wait = backoff.failed(random.uniform());
            tracing::warn!(%reason, retry_in = %domain::duration::tenths(wait), "cannot join yet");
            tokio::time::sleep(wait).await;
        }
    }

    /// What the first server that can be believed says; why none can be.
    async fn told_trust(&self) -> Result<ServerTrust, String> {
        let belief = if self.insecure { Belief::Hint } else { Belief::Vouched };
        let mut reason = "no server is configured".to_owned();
        for server in &self.servers {
            match find(server, belief).await {
                Ok(Some(found)) => {
                    let pins: Vec<Pin> =
                        found.ca_pins.iter().filter_map(|pin| Pin::parse(pin).ok()).collect();
                    if !pins.is_empty() {
                        if self.insecure {
                            tracing::warn!(%server, "taking the word of a proxy nobody vouches for on who the auth server is (--insecure); --ca-pin would check it");
                        }
                        return Ok(ServerTrust::Pins(pins));
                    }
                    reason = format!("{server} tells no pin");
                }
                Ok(None) if self.insecure => {
                    tracing::warn!(%server, "joining without knowing that the auth server is the right one (--insecure); --ca-pin would check it");
                    return Ok(ServerTrust::Anyone);
                }
                Ok(None) => {
                    reason = format!("{server} is an auth server, whose certificate only a pin can check")
                }
                Err(error) => reason = ssh::refuse::chain(&error),
            }
        }
        Err(reason)
    }
}

async fn join_patiently(
    joining: &Joining,
    keys: HostKeys,
    random: &dyn Random,
) -> Result<Bundle, ProcessError> {
    let role = joining.role;
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    loop {
        match ask(joining, &keys).await {
            Ok((identity, certificates)) => {
                let bundle = Bundle::new(identity, keys, certificates);
                return bundle.map_err(|error| ProcessError::Join { role, source: error.into() });
            }
            Err(error) if error.is_temporary() => {
                let wait = backoff.failed(random.uniform());
                let reason = ssh::refuse::chain(&error);
                tracing::warn!(%role, %reason, retry_in = %domain::duration::tenths(wait), "cannot join yet");
                tokio::time::sleep(wait).await;
            }
            Err(source) => return Err(ProcessError::Join { role, source }),
        }
    }
}

/// What keeps one identity fresh.
pub(crate) struct Renewal {
    pub(crate) data: DataDir,
    pub(crate) client: AuthClient,
    pub(crate) endpoint: Arc<AuthEndpoint>,
    pub(crate) view: Arc<View>,
    pub(crate) identity: watch::Sender<Arc<Bundle>>,
    pub(crate) node_name: String,
    pub(crate) names: Vec<String>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

impl Renewal {
    /// Renews the certificates whenever they are due, until dropped.
    pub(crate) async fn run(self) {
        loop {
            let current = Arc::clone(&self.identity.borrow());
            if current.is_due(self.clock.now()) {
                self.renew(&current).await;
            }
            tokio::time::sleep(CHECK.mul_f64(0.5 + self.random.uniform())).await;
        }
    }

    async fn renew(&self, current: &Bundle) {
        let identity = current.identity.clone();
        let role = identity.role;
        let renewed = renew(&self.client, identity, &self.node_name, &self.names, &*self.random).await;
        let bundle = match renewed {
            Ok(bundle) => bundle,
            Err(error) => {
                let reason = ssh::refuse::chain(&error);
                tracing::warn!(%role, %reason, "the certificates are due and could not be renewed yet");
                return;
            }
        };
        if let Err(error) = self.take_over(bundle) {
            tracing::error!(%role, error = &error as &dyn std::error::Error, "the renewed certificates could not be kept");
            return;
        }
        tracing::info!(%role, "renewed the certificates");
    }

    /// On disk first: a process that dies here starts with certificates that work.
    fn take_over(&self, bundle: Bundle) -> Result<(), ProcessError> {
        self.data.keep_identity(&bundle)?;
        let authorities = self.view.authorities();
        let trusted = if authorities.is_empty() { bundle.authorities.clone() } else { authorities.to_vec() };
        if let Err(error) = self.endpoint.renew(&ServerTrust::Cluster(trusted), &bundle) {
            tracing::error!(%error, "new connections to the auth server keep the old certificate");
        }
        self.identity.send_replace(Arc::new(bundle));
        Ok(())
    }
}

/// Whether the roles of this process that join have done so and have not been away for too long since,
/// so that tokens and pins are needed no more.
pub(crate) fn has_joined(data: &DataDir, settings: &Settings, now: Timestamp) -> Result<bool, ProcessError> {
    for (role, runs) in [(proxy::ROLE, settings.proxy.is_some()), (node::ROLE, settings.node.is_some())] {
        if runs && data.identity(role)?.is_none_or(|identity| identity.is_expired(now)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The pins of `--ca-pin`, where there are any.
pub(crate) fn pins(secrets: &config::Secrets) -> Option<ServerTrust> {
    let pins: Vec<_> = secrets.ca_pins.iter().filter_map(|pin| Pin::parse(&pin.to_string()).ok()).collect();
    (!pins.is_empty()).then_some(ServerTrust::Pins(pins))
}
