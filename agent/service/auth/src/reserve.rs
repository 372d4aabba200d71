//! The names under which proxies are reached: no node has one of them in its certificate, or clients would take it for
//! the proxy.
//!
//! A name is a proxy's for as long as the certificate lives that has it, and not only while the proxy is up: a node
//! need only wait for a restart otherwise.

use domain::certificate::BACKDATE;
use domain::identity::{HostIdentity, SystemRole};
use domain::name::HostId;
use domain::server::{host, names_of_proxy};

use crate::cache::read_all;
use crate::error::AuthError;
use crate::issue::HostWish;
use crate::key;
use crate::service::AuthService;

impl AuthService {
    /// Writes down which names are this proxy's.
    pub(crate) async fn reserve(&self, id: HostId, wish: &HostWish<'_>) -> Result<(), AuthError> {
        let names = names_of_proxy(wish.node_name, wish.addresses);
        let life = self.settings.host_ttl.saturating_add(BACKDATE);
        let expires = self.deps.clock.now().saturating_add(life).ok();
        let json = serde_json::json!(names).to_string().into_bytes();
        self.deps.store.put(key::reserved(id), json.into(), expires).await?;
        Ok(())
    }

    /// The names a host may not have, for they are those of proxies elsewhere; proxies and auth servers may have any.
    pub(crate) async fn reserved_from(&self, identity: &HostIdentity) -> Result<Vec<String>, AuthError> {
        if matches!(identity.role, SystemRole::Proxy | SystemRole::Auth) {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        if identity.host_id != self.settings.host_id {
            names.extend(self.settings.proxies.all().map(|address| host(address).to_owned()));
        }
        let own = key::reserved(identity.host_id);
        let (reserved, _) = read_all(&*self.deps.store, &key::all_reserved()).await?;
        for item in reserved.iter().filter(|item| item.key != own) {
            // One that cannot be read keeps no node out of the cluster; those who look after it read of it.
            match serde_json::from_slice::<Vec<String>>(&item.value) {
                Ok(more) => names.extend(more),
                Err(error) => {
                    tracing::error!(host = item.key.last_segment(), %error, "the names of a proxy cannot be read and are not kept from nodes");
                }
            }
        }
        Ok(names)
    }

    /// Whether this is the host of a proxy: its UUID is in every certificate the proxy shows, so a token for nodes alone
    /// makes nobody the node beside it.
    pub(crate) async fn is_proxys_host(&self, id: HostId) -> Result<bool, AuthError> {
        Ok(self.deps.store.get(&key::host(id, SystemRole::Proxy)).await?.is_some())
    }
}
