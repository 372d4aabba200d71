//! The decision about one user on this node, made from what the node knows this moment.

use domain::access::{Checker, SessionPermit};
use ssh::user::User;

use crate::service::NodeService;

impl NodeService {
    /// May this user start sessions as this login here? Asked when they sign in and again for every
    /// channel, for roles and locks change and certificates end while a connection lives.
    ///
    /// # Errors
    /// The reason, for the log, the audit event and the user.
    pub(crate) fn permit(&self, user: &User, login: &str) -> Result<SessionPermit, String> {
        self.door.authenticator.readmit(user, Some(login)).map_err(|why| why.to_string())?;
        let view = &self.deps.view;
        let checker = Checker::new(&user.identity, |name| view.role(name));
        let labels = self.labels.borrow().merged(&self.settings.labels);
        checker.session(login, self.settings.host_id, &labels).map_err(|why| why.to_string())
    }

    /// Why a lock shuts this user out, if one does. A certificate that has ended is none of its business.
    pub(crate) fn locked_out(&self, user: &User, login: &str) -> Option<String> {
        let user = User { valid_before: u64::MAX, ..user.clone() };
        let locked = self.door.authenticator.readmit(&user, Some(login)).err()?;
        Some(locked.to_string())
    }
}
