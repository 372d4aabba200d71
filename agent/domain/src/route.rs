//! Which node a client means.
//!
//! A client names a node by host name, UUID or address. The answer is one registered node or an
//! error; an address that belongs to no node is never dialled, whatever it is.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::node::Node;

/// What a client asked for: `host:port`, and perhaps a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name, UUID or address.
    pub host: String,
    /// The port asked for; 0 means whatever the node uses.
    pub port: u16,
    /// The cluster asked for; this one when absent.
    pub cluster: Option<String>,
}

/// Why there is no route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The text is no target.
    #[error("{0:?} is not a target; write it as proxy:host:port")]
    Malformed(String),
    /// No node of that name.
    #[error("node {0:?} is unknown or offline; list nodes with: tctl nodes ls")]
    NotFound(String),
    /// Several nodes of that name.
    #[error("{host:?} is ambiguous, it matches {}; connect by UUID instead", .matches.join(", "))]
    Ambiguous {
        /// The name asked for.
        host: String,
        /// The nodes it fits, as `name (uuid)`.
        matches: Vec<String>,
    },
    /// The node is there, but not on that port.
    #[error(
        "node {host:?} serves SSH only; port {port} of it is not reachable through the proxy, forward it with -L over a session instead"
    )]
    WrongPort {
        /// The node.
        host: String,
        /// The port asked for.
        port: u16,
    },
    /// Another cluster.
    #[error("cluster {0:?} is unknown here")]
    UnknownCluster(String),
}

impl Target {
    /// Reads the name of the subsystem that stock clients ask for: `proxy:host:port[@cluster]`.
    ///
    /// # Errors
    /// [`RouteError::Malformed`].
    pub fn parse_subsystem(text: &str) -> Result<Self, RouteError> {
        let malformed = || RouteError::Malformed(clip(text));
        let rest = text.strip_prefix("proxy:").ok_or_else(malformed)?;
        let (rest, cluster) = match rest.rsplit_once('@') {
            Some((rest, cluster)) if !cluster.is_empty() => (rest, Some(cluster.to_owned())),
            Some(_) => return Err(malformed()),
            None => (rest, None),
        };
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') || host.contains('[') => {
                (host, port.parse().map_err(|_| malformed())?)
            }
            _ => (rest, 0),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(malformed());
        }
        Ok(Self { host: host.to_owned(), port, cluster })
    }
}

/// Text from a stranger, short enough for an error.
fn clip(text: &str) -> String {
    text.chars().take(200).collect()
}

/// The nodes of a cluster, indexed for look-up.
#[derive(Debug, Default)]
pub struct NodeIndex {
    by_id: HashMap<String, Arc<Node>>,
    by_name: HashMap<String, Vec<Arc<Node>>>,
    by_address: HashMap<String, Vec<Arc<Node>>>,
}

/// Ports that mean "the node's SSH port", because clients ask for them when told nothing else.
const SSH_PORTS: [u16; 3] = [0, 22, 3022];

impl NodeIndex {
    /// Adds or replaces a node.
    pub fn insert(&mut self, node: Arc<Node>) {
        self.remove(node.name());
        self.by_name.entry(node.spec.hostname.to_ascii_lowercase()).or_default().push(Arc::clone(&node));
        if let Some(address) = address_host(&node) {
            self.by_address.entry(address).or_default().push(Arc::clone(&node));
        }
        self.by_id.insert(node.name().to_owned(), node);
    }

    /// Takes a node out.
    pub fn remove(&mut self, id: &str) {
        let Some(node) = self.by_id.remove(id) else { return };
        drop_from(&mut self.by_name, &node.spec.hostname.to_ascii_lowercase(), id);
        if let Some(address) = address_host(&node) {
            drop_from(&mut self.by_address, &address, id);
        }
    }

    /// A node by its UUID.
    pub fn by_id(&self, id: &str) -> Option<&Arc<Node>> {
        self.by_id.get(id)
    }

    /// Every node, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.by_id.values()
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The node a target means. `visible` leaves out nodes the asker may not reach, so that neither
    /// a refusal nor a list of matches tells them what exists.
    ///
    /// # Errors
    /// [`RouteError`] says why there is none.
    pub fn resolve(
        &self,
        target: &Target,
        cluster: &str,
        visible: impl Fn(&Arc<Node>) -> bool,
    ) -> Result<&Arc<Node>, RouteError> {
        if let Some(other) = target.cluster.as_deref().filter(|other| *other != cluster) {
            return Err(RouteError::UnknownCluster(clip(other)));
        }
        let host = target.host.to_ascii_lowercase();
        let suffix = format!(".{}", cluster.to_ascii_lowercase());
        let short = host.strip_suffix(&suffix).unwrap_or(&host);
        let matches: Vec<_> =
            self.candidates(&host, short).into_iter().filter(|node| visible(node)).collect();
        match matches.as_slice() {
            [] => Err(RouteError::NotFound(clip(&target.host))),
            [node] => check_port(node, target),
            several => self.narrow(several, target),
        }
    }

    fn candidates(&self, host: &str, short: &str) -> Vec<&Arc<Node>> {
        if let Some(node) = self.by_id.get(short) {
            return vec![node];
        }
        let named = |name: &str| self.by_name.get(name).into_iter().flatten();
        let mut found: Vec<_> = named(host).collect();
        if found.is_empty() && short != host {
            found = named(short).collect();
        }
        if found.is_empty() {
            found = self.by_address.get(host).into_iter().flatten().collect();
        }
        found
    }

    /// Several nodes at one address differ by port; several of one name do not.
    fn narrow<'a>(&self, several: &[&'a Arc<Node>], target: &Target) -> Result<&'a Arc<Node>, RouteError> {
        let on_port: Vec<_> =
            several.iter().filter(|node| target.port != 0 && node.spec.port() == Some(target.port)).collect();
        if let [only] = on_port.as_slice() {
            return Ok(only);
        }
        let mut matches: Vec<_> =
            several.iter().take(10).map(|node| format!("{} ({})", node.spec.hostname, node.name())).collect();
        matches.sort();
        if several.len() > matches.len() {
            matches.push(format!("and {} more", several.len() - matches.len()));
        }
        Err(RouteError::Ambiguous { host: clip(&target.host), matches })
    }
}

fn check_port<'a>(node: &'a Arc<Node>, target: &Target) -> Result<&'a Arc<Node>, RouteError> {
    if SSH_PORTS.contains(&target.port) || node.spec.port() == Some(target.port) {
        return Ok(node);
    }
    Err(RouteError::WrongPort { host: clip(&target.host), port: target.port })
}

fn address_host(node: &Node) -> Option<String> {
    let address: SocketAddr = node.spec.addr.parse().ok()?;
    Some(address.ip().to_canonical().to_string())
}

fn drop_from(index: &mut HashMap<String, Vec<Arc<Node>>>, key: &str, id: &str) {
    if let Some(nodes) = index.get_mut(key) {
        nodes.retain(|node| node.name() != id);
        if nodes.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
