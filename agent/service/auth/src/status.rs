//! Who answers, and the state of the cluster.

use std::collections::HashSet;

use api::auth as wire;

use crate::error::AuthError;
use crate::service::AuthService;

/// The most addresses of one kind that are told.
const TOLD_MAX: usize = 64;

impl AuthService {
    /// For anyone with a certificate of the cluster. What this process knows of itself comes first, then what other
    /// servers say of themselves; all of it from memory, so that whoever asks is answered while the store fails.
    pub(crate) fn status(&self) -> Result<wire::StatusResponse, AuthError> {
        let (proxies, own) = (self.cache.proxies(self.deps.clock.now()), &self.settings.proxies);
        let web = own.web.iter().chain(proxies.iter().flat_map(|proxy| &proxy.spec.public_addrs));
        let ssh = own.ssh.iter().chain(proxies.iter().flat_map(|proxy| &proxy.spec.ssh_public_addrs));
        Ok(wire::StatusResponse {
            cluster_name: self.cluster.clone(),
            version: self.settings.version.clone(),
            ca_pins: self.authorities.pins()?.iter().map(ToString::to_string).collect(),
            authorities: api::authorities_to_wire(self.authorities.public()),
            proxy_addresses: each_once(web.cloned()),
            auth_addresses: each_once(self.own_addresses().chain(self.cache.auth_addresses())),
            proxy_ssh_addresses: each_once(ssh.cloned()),
        })
    }

    /// Where this auth server is reached.
    pub(crate) fn own_addresses(&self) -> impl Iterator<Item = String> {
        let port = self.address.port();
        self.settings.names.iter().map(move |name| with_port(name, port))
    }
}

fn each_once(addresses: impl Iterator<Item = String>) -> Vec<String> {
    let mut told = HashSet::new();
    addresses.filter(|address| told.insert(address.clone())).take(TOLD_MAX).collect()
}

fn with_port(name: &str, port: u16) -> String {
    if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
}
