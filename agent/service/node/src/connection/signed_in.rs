//! Whoever is signed in on a connection, and what they may at this moment.
//!
//! Everything that gives a connection something new asks here, each time: sessions and channels, but
//! also what goes on accepting by itself, the listeners of `-R` and forwarded agents.

use std::sync::Arc;

use domain::access::SessionPermit;
use ssh::user::User;

use crate::service::NodeService;

/// A user, and the login they signed in as.
#[derive(Clone)]
pub(crate) struct SignedIn {
    service: Arc<NodeService>,
    user: Arc<User>,
    login: String,
}

impl SignedIn {
    pub(super) fn new(service: Arc<NodeService>, user: Arc<User>, login: String) -> Self {
        Self { service, user, login }
    }

    /// The node they are on.
    pub(crate) fn service(&self) -> &Arc<NodeService> {
        &self.service
    }

    /// The decision of this moment.
    ///
    /// # Errors
    /// The reason, for the log, the audit event and the user.
    pub(crate) fn permit(&self) -> Result<SessionPermit, String> {
        self.service.permit(&self.user, &self.login)
    }

    /// The decision, and whether ports may be forwarded: the node's settings, the role and the
    /// certificate must all allow it.
    ///
    /// # Errors
    /// The reason.
    pub(crate) fn forwarding_permit(&self) -> Result<SessionPermit, String> {
        let permit = self.permit()?;
        if !self.service.settings.port_forwarding {
            return Err("port forwarding is turned off on this node (ssh_service.port_forwarding)".to_owned());
        }
        if !permit.options().port_forwarding || !self.certificate_permits("permit-port-forwarding") {
            return Err("the roles do not allow port forwarding here".to_owned());
        }
        Ok(permit)
    }

    /// The decision, and whether the client's agent may be forwarded.
    ///
    /// # Errors
    /// The reason.
    pub(crate) fn agent_permit(&self) -> Result<SessionPermit, String> {
        let permit = self.permit()?;
        if !permit.options().forward_agent || !self.certificate_permits("permit-agent-forwarding") {
            return Err("the roles do not allow forwarding the agent here".to_owned());
        }
        Ok(permit)
    }

    /// Why a lock shuts them out, if one does.
    pub(super) fn locked_out(&self) -> Option<String> {
        self.service.locked_out(&self.user, &self.login)
    }

    /// Whether the certificate has this extension.
    pub(super) fn certificate_permits(&self, what: &str) -> bool {
        self.user.permits.contains(what)
    }
}
