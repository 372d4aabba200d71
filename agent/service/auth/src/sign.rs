//! Certificates outside of signing in, for `tctl` on the auth server's own host.

use std::time::Duration;

use api::auth as wire;
use domain::access::api::Caller;
use domain::access::{Checker, RoleInForce};
use domain::certificate::{check_principal, source_allowed, user_ttl};
use domain::identity::{HostIdentity, SystemRole, UserIdentity};
use domain::name::HostId;
use domain::resource::{Kind, Resource};
use domain::role::Role;
use domain::user::{self, User};

use crate::error::AuthError;
use crate::event::acting;
use crate::issue::{HostWish, UserWish};
use crate::key;
use crate::service::AuthService;

impl AuthService {
    /// Certificates for a user as the roles allow.
    pub(crate) async fn sign_user(
        &self,
        caller: &Caller,
        request: wire::SignUserRequest,
    ) -> Result<wire::UserCertificates, AuthError> {
        let _permit = caller.sign()?;
        let user = self.read_user(&request.user).await?;
        let now = self.deps.clock.now();
        if user.spec.status.locked_at(now) {
            return Err(AuthError::Locked(format!("user {:?} is locked", request.user)));
        }
        let end = user::end(&user);
        if let Some(end) = end.filter(|end| *end <= now) {
            let hint = "to let it in again, change or remove expires: tctl edit user";
            let name = user.name();
            return Err(AuthError::Locked(format!(
                "the account of user {name:?} ended at {end:.0}; {hint}/{name}"
            )));
        }
        let identity = UserIdentity {
            user: user.name().to_owned(),
            roles: user.spec.roles.clone(),
            traits: user.spec.traits.clone(),
            logins: Vec::new(),
            issued: now,
        };
        if let Some(lock) = self.cache.lock_on_user(&identity, now) {
            let (user, name) = (user.name(), lock.name());
            return Err(AuthError::Locked(format!(
                "no server would take a certificate of user {user:?}; see: tctl get lock/{name}, and lift it with: tctl rm lock/{name}"
            )));
        }
        let checker = self.checker(&identity).await?;
        let logins = checker.logins();
        if logins.is_empty() {
            let hint = "give the user logins (tctl users add NAME LOGINS) or a role that allows some";
            return Err(AuthError::Invalid(format!(
                "user {:?} has no logins, so a certificate would open nothing; {hint}",
                request.user
            )));
        }
        let mut permits = vec!["permit-pty"];
        if checker.may_anywhere(|options| options.forward_agent) {
            permits.push("permit-agent-forwarding");
        }
        if checker.may_anywhere(|options| options.port_forwarding) {
            permits.push("permit-port-forwarding");
        }
        let wish = UserWish {
            ssh_public_key: &request.ssh_public_key,
            tls_public_key: &request.tls_public_key,
            ttl: user_ttl(
                asked(request.ttl_seconds).unwrap_or(self.settings.user_ttl),
                checker.options().max_session_ttl,
            )
            // No certificate outlives the account, however short that makes its life.
            .min(end.map_or(Duration::MAX, |end| end.duration_since(now).unsigned_abs())),
            permits,
            source_address: checked_source(request.source_address)?,
            asked_by: acting(caller),
        };
        self.issue_user(UserIdentity { logins, ..identity }, wish).await
    }

    /// A host certificate for sshd under the given names. Without a key for TLS that is all, and it
    /// cannot speak to the cluster; with one, the other half is that of a node with a new host id.
    pub(crate) async fn sign_host(
        &self,
        caller: &Caller,
        request: wire::SignHostRequest,
    ) -> Result<wire::HostCertificates, AuthError> {
        let _permit = caller.sign()?;
        for host in &request.hosts {
            check_principal(host).map_err(|error| AuthError::Invalid(error.to_string()))?;
        }
        let host_id = HostId(self.deps.random.uuid());
        let identity = HostIdentity { host_id, role: SystemRole::Node, cluster: self.cluster.clone() };
        let wish = HostWish {
            node_name: "",
            ssh_public_key: &request.ssh_public_key,
            tls_public_key: &request.tls_public_key,
            addresses: &[],
            asked_by: acting(caller),
        };
        let ttl = asked(request.ttl_seconds).unwrap_or(self.settings.host_ttl);
        self.host_certificates(identity, request.hosts.clone(), &wish, (self.deps.clock.now(), ttl)).await
    }

    pub(crate) async fn read_user(&self, name: &str) -> Result<User, AuthError> {
        let not_found = || AuthError::NotFound { kind: Kind::User, name: name.to_owned() };
        domain::resource::check_name(Kind::User, name)?;
        let item = self.deps.store.get(&key::record(Kind::User, name)).await?.ok_or_else(not_found)?;
        Ok(Resource::from_json(&item.value)?)
    }

    /// The decision for a user, from the roles as they are in the store this moment.
    async fn checker<'a>(&self, identity: &'a UserIdentity) -> Result<Checker<'a>, AuthError> {
        let mut roles = std::collections::HashMap::new();
        for name in &identity.roles {
            if let Some(item) = self.deps.store.get(&key::record(Kind::Role, name)).await? {
                let role: Role = Resource::from_json(&item.value)?;
                roles.insert(name.clone(), std::sync::Arc::new(RoleInForce::new(role)));
            }
        }
        Ok(Checker::new(identity, |name| roles.get(name).cloned()))
    }
}

fn asked(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// A list of source addresses that can be read, or none.
fn checked_source(list: String) -> Result<Option<String>, AuthError> {
    if list.is_empty() {
        return Ok(None);
    }
    let nobody = std::net::IpAddr::from([0, 0, 0, 0]);
    source_allowed(&list, nobody).map_err(|error| AuthError::Invalid(error.to_string()))?;
    Ok(Some(list))
}
