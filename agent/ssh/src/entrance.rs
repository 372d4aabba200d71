//! Letting users in at a door, and writing down whom not. Node and proxy have the same door.

use std::net::SocketAddr;
use std::sync::Arc;

use domain::audit::{Context, Detail, Outcome};
use domain::printable::clip;
use port::audit::{AuditError, Recorder};
use russh::keys::Certificate;
use russh::server::{Auth, PublicKeyOffer};

use crate::offer::{Heard, is_plain};
use crate::user::{Authenticator, SigningIn, User};

mod failures;

use failures::Failures;

/// As much of the login a stranger gave, and of why it was refused, as is written down, in bytes. No
/// login that could be right is longer.
const RECORDED_MAX: usize = 256;

/// A service's door: how it checks, and where it writes down.
pub struct Door {
    /// How users are checked.
    pub authenticator: Authenticator,
    /// Where events go.
    pub recorder: Arc<Recorder>,
    /// What all events of this service have in common: the cluster and the host.
    pub base: Context,
    failures: Failures,
}

impl Door {
    /// A door before which nobody has been refused yet.
    pub fn new(authenticator: Authenticator, recorder: Arc<Recorder>, base: Context) -> Self {
        Self { authenticator, recorder, base, failures: Failures::default() }
    }

    /// Writes down what happened in a connection.
    ///
    /// # Errors
    /// [`AuditError`]; whoever must not act unrecorded then does not act.
    pub async fn record(&self, context: Context, detail: Detail) -> Result<(), AuditError> {
        let Context { cluster_name, server_id, server_hostname, .. } = self.base.clone();
        self.recorder.record(Context { cluster_name, server_id, server_hostname, ..context }, detail).await
    }

    /// Writes down what happened; where it cannot be kept, that is said in the log. For what has
    /// happened already and for refusals.
    pub async fn note(&self, context: Context, detail: Detail) {
        let code = detail.code();
        if let Err(error) = self.record(context, detail).await {
            tracing::error!(%error, code, "an event was not recorded");
        }
    }
}

/// One client's way in.
pub struct Entrance {
    door: Arc<Door>,
    peer: SocketAddr,
    local: SocketAddr,
    heard: Heard,
    /// The login last asked for; none when the client never tried to sign in.
    login: Option<String>,
    signing_in: SigningIn,
    user: Option<Arc<User>>,
    /// Whose certificate was refused, when this cluster made it.
    named: Option<String>,
}

impl Entrance {
    /// A client has arrived, whose bytes `heard` counts.
    pub fn new(door: Arc<Door>, peer: SocketAddr, local: SocketAddr, heard: Heard) -> Self {
        let signing_in = SigningIn::default();
        Self { door, peer, local, heard, login: None, signing_in, user: None, named: None }
    }

    /// The user, once they are in.
    pub fn user(&self) -> Option<&Arc<User>> {
        self.user.as_ref()
    }

    /// The login they came in as, or last tried.
    pub fn login(&self) -> &str {
        self.login.as_deref().unwrap_or_default()
    }

    /// The client's address.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The address the client reached.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The client says as whom it comes.
    pub fn tried(&mut self, login: &str) {
        self.login = Some(login.to_owned());
        // What is heard from here on is the next thing it asks for.
        self.heard.take();
    }

    /// A key is offered. It says nothing yet: it may be the key of a certificate. What cannot be one is refused before
    /// the client signs, and so are SHA-1 signatures.
    pub fn key_offered(&mut self, login: &str, offer: PublicKeyOffer<'_>) -> Auth {
        let heard = self.heard.take();
        self.tried(login);
        let sha1 = matches!(offer.algorithm, russh::keys::Algorithm::Rsa { hash: None });
        let is_refused = sha1 || is_plain(login, offer.algorithm, offer.public_key, heard);
        if is_refused { Auth::reject() } else { Auth::Accept }
    }

    /// A certificate whose key the client holds. `may` decides what else must hold for this user;
    /// its text is told to them.
    pub fn certificate(
        &mut self,
        login: &str,
        certificate: &Certificate,
        may: impl FnOnce(&User) -> Result<(), String>,
    ) -> Auth {
        self.tried(login);
        let user = match self.door.authenticator.admit(login, certificate, self.peer) {
            Ok(user) => user,
            Err(why) => return self.refused(self.door.authenticator.named(certificate), why),
        };
        match may(&user) {
            Ok(()) => {
                self.user = Some(Arc::new(user));
                Auth::Accept
            }
            Err(why) => self.refused(Some(user.identity.user), why),
        }
    }

    /// Remembers why a certificate is no good, and whose it is. Of several the first counts.
    fn refused(&mut self, user: Option<String>, why: impl std::fmt::Display) -> Auth {
        if self.signing_in.reason().is_none() {
            self.named = user;
        }
        self.signing_in.refused(why)
    }

    /// The client has used its keys up and asks what else there is.
    pub fn explain(&mut self, login: &str) -> Auth {
        self.tried(login);
        self.signing_in.explain(self.door.authenticator.clock.now())
    }

    /// What events of this connection have in common.
    pub fn context(&self) -> Context {
        Context {
            user: self.user.as_ref().map(|user| user.identity.user.clone()).unwrap_or_default(),
            login: self.login().to_owned(),
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
        // The count is taken first: of those that are left out nothing is kept, not even for a moment.
        let Some(left_out) = self.door.failures.count() else { return };
        let reason = self.signing_in.reason().unwrap_or("no valid certificate of this cluster was offered");
        let outcome = Outcome::failed(clip(reason, RECORDED_MAX));
        let detail = Detail::AuthFailure { outcome, left_out };
        let (user, login) =
            (self.named.take().unwrap_or_default(), clip(self.login(), RECORDED_MAX).to_owned());
        let context = Context { user, login, ..self.context() };
        let door = Arc::clone(&self.door);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = door.record(context, detail).await {
                    door.failures.untold(left_out);
                    tracing::error!(%error, "a refused attempt to sign in was not recorded");
                }
            });
        }
    }
}

#[cfg(test)]
mod tests;
