//! What the operator decides about the web port.

/// Settings of the web port, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The cluster's name.
    pub cluster_name: String,
    /// Pins of the host authority: public, and what an agent that trusts this port's certificate
    /// joins with.
    pub ca_pins: Vec<String>,
    /// The program's version.
    pub version: String,
    /// `host:port` of the auth servers.
    pub auth_servers: Vec<String>,
    /// Where this proxy is reached.
    pub addresses: Addresses,
    /// How users sign in, as told by `/webapi/ping`.
    pub auth_type: String,
    /// The second factor, as told by `/webapi/ping`.
    pub second_factor: String,
    /// Plain HTTP beside TLS, where TLS is ended in front of this port (`--insecure-no-tls`).
    pub plain_http: bool,
}

/// Where a proxy is reached, as told by `/webapi/ping` and `/webapi/find`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The web port.
    pub web_listen: String,
    /// The web port as the world sees it.
    pub web_public: String,
    /// The SSH port, when it is open.
    pub ssh_listen: Option<String>,
    /// The SSH port as the world sees it.
    pub ssh_public: Option<String>,
    /// The tunnel port, when it is open.
    pub tunnel_listen: Option<String>,
}
