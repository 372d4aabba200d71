//! Who a user is: their certificate judged, their locks looked up.
//!
//! Node and proxy share this; they differ in whether the certificate must allow the login.
//! What a client did wrong is kept, to be told by keyboard-interactive when its keys are used up:
//! OpenSSH prints that text, where a bare refusal would only read "Permission denied".

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use certs::ssh::{TrustedKeys, user_facts};
use domain::Timestamp;
use domain::authority::AuthorityType;
use domain::certificate::{LoginRule, Refusal, check_not_expired, identity_of, judge_user};
use domain::identity::UserIdentity;
use domain::lock::{self, Attempt};
use domain::name::HostId;
use port::clock::Clock;
use port::cluster::ClusterView;
use russh::keys::Certificate;
use russh::server::Auth;

/// What the check needs to know.
#[derive(Clone)]
pub struct Authenticator {
    /// The cluster: authorities and locks.
    pub view: Arc<dyn ClusterView>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// This host, when sessions start here; none at a proxy.
    pub server: Option<HostId>,
}

/// A user whose certificate is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub identity: UserIdentity,
    /// The serial number of the certificate they showed.
    pub serial: u64,
    /// When that certificate ends, in seconds since 1970.
    pub valid_before: u64,
    /// What the certificate permits: the names of its extensions (`permit-pty`, …).
    pub permits: BTreeSet<String>,
}

/// Why a user is not let in. The text is told to them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The certificate is not good.
    #[error(transparent)]
    Certificate(#[from] Refusal),
    /// A lock holds.
    #[error("access is locked: {0}")]
    Locked(String),
    /// This host does not know the cluster yet.
    #[error("this host does not know the cluster's user authority yet; try again in a moment")]
    NoAuthority,
}

impl Authenticator {
    /// Judges a certificate whose key the client has proven to hold.
    ///
    /// # Errors
    /// [`NotAdmitted`] with the first reason.
    pub fn admit(
        &self,
        login: &str,
        certificate: &Certificate,
        peer: SocketAddr,
    ) -> Result<User, NotAdmitted> {
        let authority = self.view.authority(AuthorityType::User).ok_or(NotAdmitted::NoAuthority)?;
        let facts = user_facts(certificate, &TrustedKeys::of(&authority))?;
        let rule = if self.server.is_some() { LoginRule::MustAllow(login) } else { LoginRule::Any };
        let identity = judge_user(&facts, rule, peer.ip(), self.clock.now())?;
        let permits = facts.extensions.into_keys().collect();
        let user = User { identity, serial: facts.serial, valid_before: facts.valid_before, permits };
        self.readmit(&user, self.server.is_some().then_some(login))?;
        Ok(user)
    }

    /// The user whom a certificate of this cluster names, good or not: for the log, which is to say who
    /// was refused. Nothing may be granted to them for it. None for certificates that others made.
    pub fn named(&self, certificate: &Certificate) -> Option<String> {
        let authority = self.view.authority(AuthorityType::User)?;
        let facts = user_facts(certificate, &TrustedKeys::of(&authority)).ok()?;
        Some(identity_of(&facts).ok()?.user)
    }

    /// What may have changed since the certificate was judged: it may have ended, and locks may have
    /// come. Asked again for every session, since a connection may live long.
    ///
    /// # Errors
    /// [`NotAdmitted::Certificate`], [`NotAdmitted::Locked`] with the lock's message.
    pub fn readmit(&self, user: &User, login: Option<&str>) -> Result<(), NotAdmitted> {
        check_not_expired(user.valid_before, self.clock.now())?;
        let attempt = Attempt { user: &user.identity, serial: user.serial, login, server: self.server };
        match lock::find(self.view.locks().iter(), attempt, self.clock.now()) {
            Some(lock) if lock.spec.message.is_empty() => {
                Err(NotAdmitted::Locked(format!("lock {}", lock.name())))
            }
            Some(lock) => Err(NotAdmitted::Locked(lock.spec.message.clone())),
            None => Ok(()),
        }
    }
}

/// The progress of one client through signing in.
#[derive(Debug, Default)]
pub struct SigningIn {
    reason: Option<String>,
    told: bool,
}

impl SigningIn {
    /// Remembers why an attempt failed. The first reason about a certificate is kept: it is the one
    /// the client preferred.
    pub fn refused(&mut self, reason: impl std::fmt::Display) -> Auth {
        if self.reason.is_none() {
            self.reason = Some(reason.to_string());
        }
        Auth::reject()
    }

    /// Why the client was not let in, as far as is known; none when it never tried a certificate.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Answers keyboard-interactive: says why not, asks nothing, and refuses.
    ///
    /// russh judges the time of a certificate by itself, before any method of ours is called, and says
    /// to nobody what it found. So where nothing is known the time it is here is told as well: a client
    /// whose certificate has not expired sees that one of the two clocks is wrong.
    pub fn explain(&mut self, now: Timestamp) -> Auth {
        if self.told {
            return Auth::Reject {
                proceed_with_methods: Some(russh::MethodSet::empty()),
                partial_success: false,
            };
        }
        self.told = true;
        let reason = self.reason.clone().unwrap_or_else(|| {
            format!("no valid certificate of this cluster was offered (plain keys and expired certificates are not accepted); get a new one, which an administrator makes with `tctl auth sign`. It is {now:.0} on this host")
        });
        let line: String = reason.chars().filter(|c| !c.is_control()).collect();
        Auth::Partial {
            name: "".into(),
            instructions: format!("access denied: {line}").into(),
            prompts: Vec::new().into(),
        }
    }
}

#[cfg(test)]
mod tests;
