//! Making certificates: the one way to them, whoever asks.
//!
//! A certificate leaves this file only after its event is on disk.

use std::time::Duration;

use api::auth as wire;
use certs::ssh::{HostSpec, UserSpec, issue_host, issue_user, read_public_key};
use certs::x509::{Leaf, check_public_key, issue};
use domain::Timestamp;
use domain::audit::{CertKind, Context, Detail};
use domain::certificate::host_principals;
use domain::identity::{HostIdentity, Identity, SystemRole, UserIdentity};
use domain::server::is_proxys;

use crate::error::AuthError;
use crate::service::AuthService;

/// What a host wants in its certificates.
#[derive(Debug)]
pub(crate) struct HostWish<'a> {
    pub(crate) node_name: &'a str,
    pub(crate) ssh_public_key: &'a str,
    pub(crate) tls_public_key: &'a [u8],
    pub(crate) addresses: &'a [String],
    /// Who asks in its place, if anybody does.
    pub(crate) asked_by: String,
}

impl HostWish<'_> {
    /// Whether there is a key for TLS, and one that a certificate can be made for.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] and [`AuthError::Certificate`].
    pub(crate) fn check_tls_key(&self) -> Result<(), AuthError> {
        if self.tls_public_key.is_empty() {
            return Err(AuthError::Invalid("a host of the cluster needs a public key for TLS".to_owned()));
        }
        Ok(check_public_key(self.tls_public_key)?)
    }
}

/// What a user certificate is to say besides the identity.
#[derive(Debug)]
pub(crate) struct UserWish<'a> {
    pub(crate) ssh_public_key: &'a str,
    pub(crate) tls_public_key: &'a [u8],
    pub(crate) ttl: Duration,
    pub(crate) permits: Vec<&'static str>,
    pub(crate) source_address: Option<String>,
    /// Who asks for it.
    pub(crate) asked_by: String,
}

impl AuthService {
    /// Certificates for a host that was admitted or proved itself.
    pub(crate) async fn issue_host(
        &self,
        identity: HostIdentity,
        wish: &HostWish<'_>,
    ) -> Result<wire::HostCertificates, AuthError> {
        wish.check_tls_key()?;
        let (role, id) = (identity.role, identity.host_id);
        let mut principals = host_principals(role, id, wish.node_name, &identity.cluster, wish.addresses);
        if role == SystemRole::Proxy {
            self.reserve(id, wish).await?;
        }
        let reserved = self.reserved_from(&identity).await?;
        principals.retain(|principal| {
            let is_taken = is_proxys(&reserved, principal);
            if is_taken {
                tracing::warn!(host = %id, name = principal, "a proxy is reached by a name of this host, so its certificate does not have it");
            }
            !is_taken
        });
        let now = self.deps.clock.now();
        let ttl = self.settings.host_ttl;
        self.host_certificates(identity, principals, wish, (now, ttl)).await
    }

    /// Certificates for a host under exactly these names.
    pub(crate) async fn host_certificates(
        &self,
        identity: HostIdentity,
        principals: Vec<String>,
        wish: &HostWish<'_>,
        (now, ttl): (Timestamp, Duration),
    ) -> Result<wire::HostCertificates, AuthError> {
        let key = read_public_key(wish.ssh_public_key)?;
        let spec = HostSpec { identity: identity.clone(), principals: principals.clone(), ttl };
        let ssh = issue_host(self.authorities.host().ssh()?, &key, &spec, now, &*self.deps.random)?;
        let subject = identity.host_id.to_string();
        let identity = Identity::Host(identity);
        let leaf = Leaf {
            identity: &identity,
            public_key: wish.tls_public_key,
            names: &principals,
            ttl,
            // One lock by number shuts out both halves.
            serial: ssh.serial(),
        };
        // A host that only runs sshd sends no key for TLS.
        let tls = if wish.tls_public_key.is_empty() {
            Vec::new()
        } else {
            issue(self.authorities.host().tls()?, &leaf, now)?
        };
        let detail = certificate_made(CertKind::Host, subject, &ssh, (principals, Vec::new()), (now, ttl));
        self.record_certificate(&wish.asked_by, detail).await?;
        self.deps.metrics.certificates.get_or_create(&CertKind::Host.into()).inc();
        let ssh = ssh.to_openssh().map_err(|error| AuthError::Invalid(error.to_string()))?;
        Ok(wire::HostCertificates {
            ssh,
            tls,
            authorities: api::authorities_to_wire(self.authorities.public()),
        })
    }

    /// Certificates for a user.
    pub(crate) async fn issue_user(
        &self,
        identity: UserIdentity,
        wish: UserWish<'_>,
    ) -> Result<wire::UserCertificates, AuthError> {
        let (now, ttl) = (identity.issued, wish.ttl);
        let key = read_public_key(wish.ssh_public_key)?;
        let (user, principals, roles) =
            (identity.user.clone(), identity.logins.clone(), identity.roles.clone());
        let spec = UserSpec {
            identity: identity.clone(),
            ttl,
            permits: wish.permits,
            source_address: wish.source_address,
        };
        let ssh = issue_user(self.authorities.user().ssh()?, &key, &spec, now, &*self.deps.random)?;
        let identity = Identity::User(identity);
        let (public_key, serial) = (wish.tls_public_key, ssh.serial());
        let leaf = Leaf { identity: &identity, public_key, names: &[], ttl, serial };
        // A user who only wants SSH sends no key for TLS.
        let tls = if wish.tls_public_key.is_empty() {
            Vec::new()
        } else {
            issue(self.authorities.user().tls()?, &leaf, now)?
        };
        let detail = certificate_made(CertKind::User, user, &ssh, (principals, roles), (now, ttl));
        self.record_certificate(&wish.asked_by, detail).await?;
        self.deps.metrics.certificates.get_or_create(&CertKind::User.into()).inc();
        let ssh = ssh.to_openssh().map_err(|error| AuthError::Invalid(error.to_string()))?;
        Ok(wire::UserCertificates {
            ssh,
            tls,
            authorities: api::authorities_to_wire(self.authorities.public()),
        })
    }

    /// It is on disk when this returns.
    async fn record_certificate(&self, by: &str, detail: Detail) -> Result<(), AuthError> {
        let (cluster_name, user) = (self.cluster.clone(), by.to_owned());
        self.record_event(Context { cluster_name, user, ..Context::default() }, detail).await
    }
}

/// The event of a certificate.
fn certificate_made(
    cert_type: CertKind,
    subject: String,
    certificate: &ssh_key::Certificate,
    (principals, roles): (Vec<String>, Vec<String>),
    (now, ttl): (Timestamp, Duration),
) -> Detail {
    let expires = now.saturating_add(ttl).unwrap_or(Timestamp::MAX);
    Detail::CertCreate { cert_type, subject, serial: certificate.serial(), principals, roles, expires }
}
