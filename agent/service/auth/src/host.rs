//! Which keys a host has its UUID with.
//!
//! A node that is silent is off the list of nodes soon, yet its UUID is still its own: for as long as
//! the certificates live that were made for it, a token alone does not let another key have the same
//! UUID in the same role. Whoever proves the old identity may change the key; an administrator may
//! take the record away.

use certs::ssh::read_public_key;
use certs::x509::Pin;
use domain::certificate::BACKDATE;
use domain::identity::SystemRole;
use domain::name::HostId;
use domain::secret::Secret;
use port::store::{Condition, Item, StoreError, Transaction};
use serde_json::{Value, json};

use crate::error::AuthError;
use crate::issue::HostWish;
use crate::key;
use crate::service::AuthService;

/// How often a record is looked at anew that somebody else writes at the same time.
const ATTEMPTS: usize = 8;

/// Whose word is enough to put another key in the place of a recorded one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Proof<'a> {
    /// This token: anybody may have it, so the hosts that are new with it are counted.
    Token(&'a Secret),
    /// The identity of before, or the token of this very process.
    Own,
}

impl AuthService {
    /// Records the keys of a host, or finds them recorded.
    ///
    /// # Errors
    /// [`AuthError::HostKnown`] when the UUID belongs to other keys and there is no proof, and
    /// [`AuthError::TooMany`] when there is no record yet and the token has made enough of them. Neither
    /// leaves a record, nor is counted.
    pub(crate) async fn hold_host(
        &self,
        (host_id, role): (HostId, SystemRole),
        wish: &HostWish<'_>,
        proof: Proof<'_>,
    ) -> Result<(), AuthError> {
        let (key, keys) = (key::host(host_id, role), fingerprints(wish)?);
        // A little longer than the certificates, which are made at another moment.
        let life = self.settings.host_ttl.saturating_add(BACKDATE);
        let expires = self.deps.clock.now().saturating_add(life).ok();
        for _ in 0..ATTEMPTS {
            let found = self.deps.store.get(&key).await?;
            let counted = match (proof, &found) {
                (Proof::Token(_), Some(item)) if !is_of(item, &keys) => {
                    return Err(AuthError::HostKnown(host_id.to_string()));
                }
                // Before it is written: whoever hangs up meanwhile may have a record all the same.
                (Proof::Token(token), None) => Some(self.joined.count(token)?),
                _ => None,
            };
            let condition = match found {
                Some(item) => Condition::Unchanged(key.clone(), item.revision),
                None => Condition::Absent(key.clone()),
            };
            let record = keys.to_string().into_bytes();
            let transaction = Transaction::default().when(condition).put(key.clone(), record, expires);
            let outcome = self.deps.store.write(transaction).await;
            if let (Err(_), Some(counted)) = (&outcome, counted) {
                counted.give_back();
            }
            match outcome {
                // The same host, asking twice at once, or another: it is looked at again.
                Err(StoreError::Conflict(_)) => {}
                outcome => return Ok(outcome.map(drop)?),
            }
        }
        Err(StoreError::Conflict(key).into())
    }

    /// Whether keys are recorded for this host in any role.
    pub(crate) async fn is_held(&self, host_id: &str) -> Result<bool, AuthError> {
        Ok(!self.deps.store.range(&key::hosts(host_id), None, 1).await?.items.is_empty())
    }
}

/// Both keys: whoever has one of a host's public keys must not get a certificate for an own other.
fn fingerprints(wish: &HostWish<'_>) -> Result<Value, AuthError> {
    wish.check_tls_key()?;
    let ssh = read_public_key(wish.ssh_public_key)?.fingerprint(ssh_key::HashAlg::Sha256);
    Ok(json!({ "ssh": ssh.to_string(), "tls": Pin::of_key(wish.tls_public_key).to_string() }))
}

fn is_of(item: &Item, keys: &Value) -> bool {
    serde_json::from_slice::<Value>(&item.value).is_ok_and(|recorded| recorded == *keys)
}
