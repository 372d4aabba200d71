//! Joining: a token and a pin become a host's identity.

use api::auth::JoinRequest;
use api::auth::join_service_client::JoinServiceClient;
use certs::bundle::{Bundle, HostCertificates, HostKeys};
use domain::identity::{HostIdentity, SystemRole};
use domain::name::HostId;
use domain::secret::Secret;
use net::tls::ServerTrust;
use port::random::Random;

use crate::auth::{AuthClient, HostRequest, host_certificates};
use crate::connect::AuthEndpoint;
use crate::error::{ClientError, bad_answer};

/// What a host joins with.
#[derive(Debug, Clone)]
pub struct Joining {
    /// Addresses of auth servers, or of proxies that lead there.
    pub addresses: Vec<String>,
    /// How the auth server is trusted before there is an identity.
    pub trust: ServerTrust,
    /// The join token.
    pub token: Secret,
    /// Which host.
    pub host_id: HostId,
    /// What it joins as.
    pub role: SystemRole,
    /// The host's name.
    pub node_name: String,
    /// Addresses besides its name that it answers to.
    pub host_addresses: Vec<String>,
}

/// Joins and returns the identity. The keys are made here and never leave the host.
///
/// # Errors
/// [`ClientError`]: the auth server cannot be reached, is not the pinned one, or refuses the token.
pub async fn join(joining: &Joining, random: &dyn Random) -> Result<Bundle, ClientError> {
    let keys = HostKeys::generate(random)?;
    let (identity, certificates) = ask(joining, &keys).await?;
    Ok(Bundle::new(identity, keys, certificates)?)
}

/// Asks once for certificates for these keys. Whoever asks again, because the answer was lost, does so
/// with the same keys: the auth server knows the host by them.
///
/// # Errors
/// Those of [`join`].
pub async fn ask(
    joining: &Joining,
    keys: &HostKeys,
) -> Result<(HostIdentity, HostCertificates), ClientError> {
    let endpoint = AuthEndpoint::new(joining.addresses.clone(), &joining.trust, None)?;
    let client = AuthClient::new(endpoint);
    let token = joining.token.reveal_str().unwrap_or_default().to_owned();
    let request = JoinRequest {
        token,
        role: joining.role.to_string(),
        host_id: joining.host_id.to_string(),
        node_name: joining.node_name.clone(),
        ssh_public_key: keys.ssh_public()?,
        tls_public_key: keys.tls.public_der(),
        addresses: joining.host_addresses.clone(),
    };
    let answer = JoinServiceClient::new(client.channel())
        .join(request)
        .await
        .map_err(|status| client.failed(status))?
        .into_inner();
    let wire = answer.certificates.ok_or_else(|| bad_answer("it holds no certificates"))?;
    let identity =
        HostIdentity { host_id: joining.host_id, role: joining.role, cluster: answer.cluster_name };
    Ok((identity, host_certificates(wire)?))
}

/// Replaces an identity's keys and certificates by new ones.
///
/// # Errors
/// [`ClientError`].
pub async fn renew(
    client: &AuthClient,
    identity: HostIdentity,
    node_name: &str,
    addresses: &[String],
    random: &dyn Random,
) -> Result<Bundle, ClientError> {
    let keys = HostKeys::generate(random)?;
    let request = HostRequest {
        node_name: node_name.to_owned(),
        ssh_public_key: keys.ssh_public()?,
        tls_public_key: keys.tls.public_der(),
        addresses: addresses.to_vec(),
    };
    let certificates = client.renew(request).await?;
    Ok(Bundle::new(identity, keys, certificates)?)
}
