//! What a change of a user changes besides: locks that nodes and proxies heed at once.
//!
//! Nodes do not know users, only certificates and locks. So a user who is removed or locked leaves
//! a lock behind, in the same transaction.

use domain::Timestamp;
use domain::lock::{Lock, LockSpec, Target};
use domain::resource::{Kind, Resource};
use domain::role::MAX_TTL;
use domain::token::TokenSpec;
use domain::user::{User, UserSpec};
use port::store::{Operation, Transaction};

use super::lock_operation;
use crate::cache::read_all;
use crate::error::AuthError;
use crate::key;
use crate::service::AuthService;

impl AuthService {
    /// Refuses a user whose roles are not there.
    pub(super) async fn check_roles_exist(&self, user: &User) -> Result<(), AuthError> {
        for role in &user.spec.roles {
            domain::resource::check_name(Kind::Role, role)?;
            if self.deps.store.get(&key::record(Kind::Role, role)).await?.is_none() {
                let hint = "list roles with: tctl get roles";
                return Err(AuthError::Invalid(format!(
                    "user {:?}: role {role:?} does not exist; {hint}",
                    user.name()
                )));
            }
        }
        Ok(())
    }

    /// Refuses to remove a role that users hold.
    pub(super) async fn check_role_unused(&self, role: &str) -> Result<(), AuthError> {
        let (users, _) = read_all(&*self.deps.store, &key::records(Kind::User)).await?;
        let holds = |user: &User| user.spec.roles.iter().any(|held| held == role);
        let holders: Vec<String> = users
            .iter()
            .filter_map(|item| Resource::<UserSpec>::from_json(&item.value).ok())
            .filter(holds)
            .map(|user| user.metadata.name)
            .collect();
        if holders.is_empty() {
            return Ok(());
        }
        let shown = holders.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        Err(AuthError::InUse(format!("role {role:?} is held by {shown}; take it from them first")))
    }

    /// Adds the lock that refuses every certificate made for the user so far, for as long as the
    /// longest of them can live.
    pub(super) fn revoking(&self, user: &str, transaction: Transaction) -> Transaction {
        let now = self.deps.clock.now();
        let spec = LockSpec {
            target: Target { user: Some(user.to_owned()), ..Target::default() },
            message: format!("user {user:?} was removed"),
            issued_before: Some(now),
        };
        let expires = now.saturating_add(MAX_TTL).unwrap_or(Timestamp::MAX);
        let lock = Lock::new(removed_lock(user), spec).expiring(Some(expires));
        transaction
            .then(Operation::Delete(key::record(Kind::Lock, &locked_lock(user))))
            .then(lock_operation(&lock))
    }

    /// Takes the user's invites away with them: a later user of that name must not be taken over with
    /// one.
    pub(super) async fn without_invites(
        &self,
        user: &str,
        transaction: Transaction,
    ) -> Result<Transaction, AuthError> {
        let (tokens, _) = read_all(&*self.deps.store, &key::records(Kind::Token)).await?;
        let invites = tokens.into_iter().filter(|item| {
            let token = Resource::<TokenSpec>::from_json(&item.value);
            token.is_ok_and(|token| token.spec.invites_user.as_deref() == Some(user))
        });
        Ok(invites.fold(transaction, |transaction, item| transaction.then(Operation::Delete(item.key))))
    }

    /// Adds or takes away the lock that goes with a user's status.
    pub(super) fn locking(&self, user: &User, existed: bool, transaction: Transaction) -> Transaction {
        let status = &user.spec.status;
        let name = locked_lock(user.name());
        if !status.locked_at(self.deps.clock.now()) {
            return if existed {
                transaction.then(Operation::Delete(key::record(Kind::Lock, &name)))
            } else {
                transaction
            };
        }
        let message = if status.locked_message.is_empty() {
            format!("user {:?} is locked", user.name())
        } else {
            status.locked_message.clone()
        };
        let target = Target { user: Some(user.name().to_owned()), ..Target::default() };
        let until = status.lock_expires.filter(|end| *end > Timestamp::UNIX_EPOCH);
        let lock = Lock::new(name, LockSpec { target, message, issued_before: None }).expiring(until);
        transaction.then(lock_operation(&lock))
    }
}

fn removed_lock(user: &str) -> String {
    format!("user-removed-{user}")
}

fn locked_lock(user: &str) -> String {
    format!("user-locked-{user}")
}
