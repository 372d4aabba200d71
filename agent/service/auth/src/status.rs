//! Who answers, and the state of the cluster.

use api::auth as wire;

use crate::error::AuthError;
use crate::service::AuthService;

impl AuthService {
    /// For anyone with a certificate of the cluster.
    pub(crate) fn status(&self) -> Result<wire::StatusResponse, AuthError> {
        let port = self.address.port();
        Ok(wire::StatusResponse {
            cluster_name: self.cluster.clone(),
            version: self.settings.version.clone(),
            ca_pins: self.authorities.pins()?.iter().map(ToString::to_string).collect(),
            authorities: api::authorities_to_wire(self.authorities.public()),
            proxy_addresses: self.settings.proxies.web.clone(),
            auth_addresses: self.settings.names.iter().map(|name| with_port(name, port)).collect(),
            proxy_ssh_addresses: self.settings.proxies.ssh.clone(),
        })
    }
}

fn with_port(name: &str, port: u16) -> String {
    if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
}
