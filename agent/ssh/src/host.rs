//! Who a host is: the certificate at either end of a tunnel.

use std::sync::Arc;

use certs::CertError;
use certs::ssh::{HostFacts, TrustedKeys, host_facts};
use domain::authority::AuthorityType;
use domain::identity::SystemRole;
use domain::lock;
use domain::name::HostId;
use port::clock::Clock;
use port::cluster::ClusterView;
use russh::keys::Certificate;

/// What the check needs to know.
#[derive(Clone)]
pub struct HostCheck {
    /// The cluster: authorities and locks.
    pub view: Arc<dyn ClusterView>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
}

impl HostCheck {
    /// The facts of a certificate that is good for this role.
    ///
    /// # Errors
    /// [`CertError::Untrusted`] says why it is not.
    pub fn admit(&self, certificate: &Certificate, role: SystemRole) -> Result<HostFacts, CertError> {
        let authority = self.view.authority(AuthorityType::Host).ok_or_else(|| {
            CertError::Untrusted("the cluster's host authority is not known yet".to_owned())
        })?;
        let now = self.clock.now();
        let facts = host_facts(certificate, &TrustedKeys::of(&authority), now)?;
        if facts.role != role {
            return Err(CertError::Untrusted(format!("the host is a {}, not a {role}", facts.role)));
        }
        self.not_locked(facts.host_id, certificate.serial())?;
        Ok(facts)
    }

    /// Whether a host whose certificate was good is still wanted: what a connection that lasts asks, for it may last
    /// longer than the certificate it began with.
    ///
    /// # Errors
    /// [`CertError::Untrusted`] names the lock.
    pub fn not_locked(&self, host: HostId, serial: u64) -> Result<(), CertError> {
        match lock::find_host(self.view.locks().iter(), (host, serial), self.clock.now()) {
            Some(lock) => Err(CertError::Untrusted(format!("the host is locked by {}", lock.name()))),
            None => Ok(()),
        }
    }

    /// Returns, and says why, once the host is locked.
    pub async fn locked(&self, host: HostId, serial: u64) -> String {
        let mut locks = self.view.follow_locks();
        loop {
            locks.mark_unchanged();
            if let Err(error) = self.not_locked(host, serial) {
                return error.to_string();
            }
            if locks.changed().await.is_err() {
                // Nobody tells of locks any more.
                std::future::pending::<()>().await;
            }
        }
    }
}
