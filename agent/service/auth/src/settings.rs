//! What the operator decides about the auth service.

use std::net::SocketAddr;
use std::time::Duration;

use domain::name::{ClusterName, HostId};
use domain::token::StaticToken;

/// Where the proxies of this cluster are reached, each as `host:port`: for what `tctl` prints, and so that no
/// node takes a proxy's name.
#[derive(Debug, Clone, Default)]
pub struct ProxyAddresses {
    /// Their web ports.
    pub web: Vec<String>,
    /// Their SSH ports.
    pub ssh: Vec<String>,
}

impl ProxyAddresses {
    /// Every address.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.web.iter().chain(&self.ssh)
    }
}

/// Settings of the auth service, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// The cluster's name; one is made up at the first start when absent.
    pub cluster_name: Option<ClusterName>,
    /// The cluster this host belongs to already by the identities it has, as a phrase. Then none is made in an
    /// empty store: it is the wrong store.
    pub known_cluster: Option<String>,
    /// How the store is called in errors, such as "the store in /var/lib/teleport/backend".
    pub store: String,
    /// Tokens from the configuration.
    pub tokens: Vec<StaticToken>,
    /// This host.
    pub host_id: HostId,
    /// Its name.
    pub hostname: String,
    /// Addresses and names under which this auth server is reached, without port.
    pub names: Vec<String>,
    /// Where proxies of this cluster are reached.
    pub proxies: ProxyAddresses,
    /// Connections per client address.
    pub max_connections: usize,
    /// The life of host certificates.
    pub host_ttl: Duration,
    /// The life of user certificates unless another is asked for.
    pub user_ttl: Duration,
    /// The program's version.
    pub version: String,
}
