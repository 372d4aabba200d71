//! Letting users in, and writing down whom not.

use std::net::SocketAddr;
use std::sync::Arc;

use domain::audit::{Context, Detail, Outcome};
use russh::keys::Certificate;
use russh::server::Auth;
use ssh::user::{SigningIn, User};

use crate::service::ProxyService;

/// One client's way in.
pub(crate) struct Entrance {
    service: Arc<ProxyService>,
    peer: SocketAddr,
    local: SocketAddr,
    /// The login last asked for; none when the client never tried to sign in.
    login: Option<String>,
    signing_in: SigningIn,
    user: Option<Arc<User>>,
}

impl Entrance {
    pub(crate) fn new(service: Arc<ProxyService>, peer: SocketAddr, local: SocketAddr) -> Self {
        Self { service, peer, local, login: None, signing_in: SigningIn::default(), user: None }
    }

    /// The user, once they are in.
    pub(crate) fn user(&self) -> Option<&Arc<User>> {
        self.user.as_ref()
    }

    /// The client says as whom it comes.
    pub(crate) fn tried(&mut self, login: &str) {
        self.login = Some(login.to_owned());
    }

    /// A certificate whose key the client holds.
    pub(crate) fn certificate(&mut self, login: &str, certificate: &Certificate) -> Auth {
        self.tried(login);
        match self.service.authenticator.admit(login, certificate, self.peer) {
            Ok(user) => {
                self.user = Some(Arc::new(user));
                Auth::Accept
            }
            Err(why) => self.signing_in.refused(why),
        }
    }

    /// The client has used its keys up and asks what else there is.
    pub(crate) fn explain(&mut self, login: &str) -> Auth {
        self.tried(login);
        self.signing_in.explain()
    }

    /// What events of this connection have in common.
    pub(crate) fn context(&self) -> Context {
        Context {
            user: self.user.as_ref().map(|user| user.identity.user.clone()).unwrap_or_default(),
            login: self.login.clone().unwrap_or_default(),
            addr_local: self.local.to_string(),
            addr_remote: self.peer.to_string(),
            ..Context::default()
        }
    }
}

impl Drop for Entrance {
    /// Whoever tried to get in and did not is written down when they leave: only then is it known
    /// that none of their keys was good.
    fn drop(&mut self) {
        if self.user.is_some() || self.login.is_none() {
            return;
        }
        self.service.deps.metrics.refused_logins.inc();
        let reason = self.signing_in.reason().unwrap_or("no valid certificate of this cluster was offered");
        let detail = Detail::AuthFailure { outcome: Outcome::failed(reason) };
        let (service, context) = (Arc::clone(&self.service), self.context());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { service.record(context, detail).await });
        }
    }
}
