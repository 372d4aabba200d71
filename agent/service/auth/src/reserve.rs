//! The names under which proxies are reached: no node has one of them in its certificate, or clients would take it for
//! the proxy.
//!
//! A name is a proxy's for as long as the certificate lives that has it, and not only while the proxy is up: a node
//! need only wait for a restart otherwise.

use std::net::IpAddr;

use domain::certificate::BACKDATE;
use domain::identity::{HostIdentity, SystemRole};
use domain::name::HostId;
use domain::server::host;

use crate::cache::read_all;
use crate::error::AuthError;
use crate::issue::HostWish;
use crate::key;
use crate::service::AuthService;

/// The most names one proxy has to itself.
const NAMES_MAX: usize = 64;

impl AuthService {
    /// Writes down which names are this proxy's.
    pub(crate) async fn reserve(&self, id: HostId, wish: &HostWish<'_>) -> Result<(), AuthError> {
        let told = wish.addresses.iter().map(String::as_str);
        // One that is told no name is reached by that of its host.
        let own =
            wish.addresses.iter().all(|address| address.parse::<IpAddr>().is_ok()).then_some(wish.node_name);
        let names: Vec<_> = told.chain(own).take(NAMES_MAX).collect();
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

/// Whether a name is one of these, in whatever spelling; every host is `localhost` to itself.
pub(crate) fn is_among(reserved: &[String], name: &str) -> bool {
    // The same name in the spelling of the DNS with its root.
    let name = name.trim_end_matches('.');
    let ip = name.parse::<IpAddr>().ok();
    if name == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return false;
    }
    let is_same = |other: &String| {
        let other = other.trim_end_matches('.');
        other.eq_ignore_ascii_case(name) || ip.is_some() && other.parse().ok() == ip
    };
    reserved.iter().any(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_in_every_spelling() {
        let reserved = ["p.example.com", "2001:db8::1", "127.0.0.1", "localhost"].map(str::to_owned);
        for same in ["p.example.com", "P.Example.COM.", "2001:0DB8::0001"] {
            assert!(is_among(&reserved, same), "{same}");
        }
        for other in ["q.example.com", "example.com", "2001:db8::2", "127.0.0.1", "localhost", ""] {
            assert!(!is_among(&reserved, other), "{other}");
        }
    }
}
