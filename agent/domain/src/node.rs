//! A node: a host that serves SSH, as its heartbeats describe it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::address::{self, Place};
use crate::label::{INVALID_HOSTNAME, LABELS_MAX, Labels};
use crate::name::{HostId, is_valid_hostname};
use crate::resource::{Kind, Metadata, Resource, ResourceError, Spec};

/// A node. Its name is the host's UUID.
pub type Node = Resource<NodeSpec>;

/// How long a node stays listed after its last heartbeat.
pub const TTL: std::time::Duration = std::time::Duration::from_secs(600);

/// How often a node announces itself, before jitter.
pub const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(60);

/// What a node says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSpec {
    /// The name people use.
    pub hostname: String,
    /// Where it serves SSH; empty when it is reached by its tunnel alone.
    #[serde(default)]
    pub addr: String,
    /// Whether it keeps a reverse tunnel to the proxies.
    #[serde(default)]
    pub use_tunnel: bool,
    /// Labels that do not change while it runs.
    #[serde(default)]
    pub labels: Labels,
    /// Labels computed now and then: the last good value of each.
    #[serde(default)]
    pub cmd_labels: Labels,
    /// What went wrong with a computed label last time; the value stays the last good one.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub cmd_label_errors: Labels,
    /// The version of the program it runs.
    #[serde(default)]
    pub version: String,
}

impl NodeSpec {
    /// Static and dynamic labels together; a dynamic one never hides a static one.
    pub fn all_labels(&self) -> Labels {
        let mut all = self.cmd_labels.clone();
        all.0.extend(self.labels.0.clone());
        all
    }

    /// The address users see: `⟵ Tunnel` when there is no other way.
    pub fn public_address(&self) -> &str {
        if self.addr.is_empty() && self.use_tunnel { "⟵ Tunnel" } else { &self.addr }
    }

    /// The port of [`NodeSpec::addr`].
    pub fn port(&self) -> Option<u16> {
        self.addr.rsplit_once(':')?.1.parse().ok()
    }
}

impl Spec for NodeSpec {
    const KIND: Kind = Kind::Node;
    const VERSIONS: &'static [&'static str] = &["v2"];

    fn check(&self, metadata: &Metadata) -> Result<(), ResourceError> {
        if HostId::parse(&metadata.name).is_none() {
            return Err(Node::invalid(metadata, "metadata.name", "a node is named by its host's UUID"));
        }
        if !is_valid_hostname(&self.hostname) {
            return Err(Node::invalid(
                metadata,
                "spec.hostname",
                format!("{:?} is no host name", self.hostname),
            ));
        }
        if self.labels.0.len() + self.cmd_labels.0.len() > LABELS_MAX {
            return Err(Node::invalid(metadata, "spec.labels", format!("more than {LABELS_MAX} labels")));
        }
        Ok(())
    }
}

/// Replaces a host name that must not be shown by the host's UUID and keeps the old one in a label,
/// so that the node can still be reached and the operator sees what to mend.
pub fn admit_hostname(spec: &mut NodeSpec, id: HostId) {
    spec.labels.0.remove(INVALID_HOSTNAME);
    if !is_valid_hostname(&spec.hostname) {
        let unfit = crate::label::clean_value(&std::mem::replace(&mut spec.hostname, id.to_string()));
        spec.labels.0.insert(INVALID_HOSTNAME.to_owned(), unfit);
    }
}

/// Why an address a node announced is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not `ip:port`.
    #[error("node address {0:?} is not of the form ip:port")]
    Form(String),
    /// An address a proxy must never be made to dial.
    #[error(
        "node address {0} is not one that nodes may announce (link-local, metadata, multicast or unspecified)"
    )]
    Forbidden(SocketAddr),
    /// A loopback address announced from another machine.
    #[error("node address {0} is loopback, but the node speaks from {1}; set advertise_ip")]
    Loopback(SocketAddr, std::net::IpAddr),
}

/// Decides whether a node that speaks from `peer` may announce `addr`, since proxies will dial it.
///
/// # Errors
/// [`AddressError`] when a proxy could be led astray by it.
pub fn check_address(addr: &str, peer: std::net::IpAddr) -> Result<(), AddressError> {
    let socket: SocketAddr = addr.parse().map_err(|_| AddressError::Form(addr.to_owned()))?;
    match address::place(socket.ip()) {
        Place::LinkLocal | Place::Forbidden => Err(AddressError::Forbidden(socket)),
        Place::Loopback if address::place(peer) != Place::Loopback => {
            Err(AddressError::Loopback(socket, peer))
        }
        Place::Loopback | Place::Private | Place::Public => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(hostname: &str) -> NodeSpec {
        NodeSpec {
            hostname: hostname.to_owned(),
            addr: String::new(),
            use_tunnel: true,
            labels: Labels::default(),
            cmd_labels: Labels::default(),
            cmd_label_errors: Labels::default(),
            version: String::new(),
        }
    }

    #[test]
    fn an_unfit_name_gives_way_to_the_uuid_and_comes_back_when_mended() {
        let id = HostId::parse("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f").unwrap();
        let mut node = spec("bad_name");
        admit_hostname(&mut node, id);
        assert_eq!(node.hostname, id.to_string());
        assert_eq!(node.labels.value(INVALID_HOSTNAME), Some("bad_name"));
        node.hostname = "good-name".into();
        admit_hostname(&mut node, id);
        assert_eq!((node.hostname.as_str(), node.labels.value(INVALID_HOSTNAME)), ("good-name", None));
    }

    #[test]
    fn proxies_cannot_be_sent_to_metadata_or_their_own_loopback() {
        let far = "10.0.0.9".parse().unwrap();
        let here = "127.0.0.1".parse().unwrap();
        for bad in [
            "169.254.169.254:80",
            "[fd00:ec2::254]:80",
            "168.63.129.16:80",
            "100.100.100.200:80",
            "[::ffff:168.63.129.16]:32526",
            "[fe80::1]:22",
            "0.0.0.0:22",
            "224.0.0.1:22",
            "[::ffff:169.254.169.254]:80",
        ] {
            assert!(matches!(check_address(bad, far), Err(AddressError::Forbidden(_))), "{bad}");
        }
        assert!(matches!(check_address("127.0.0.1:22", far), Err(AddressError::Loopback(..))));
        assert!(matches!(check_address("[::ffff:127.0.0.1]:22", far), Err(AddressError::Loopback(..))));
        assert!(check_address("127.0.0.1:3022", here).is_ok());
        assert!(check_address("10.0.0.5:3022", far).is_ok());
        assert!(matches!(check_address("example.com:22", far), Err(AddressError::Form(_))));
    }

    #[test]
    fn a_dynamic_label_never_hides_a_static_one() {
        let mut node = spec("n");
        node.labels = [("env", "prod")].into_iter().collect();
        node.cmd_labels = [("env", "dev"), ("up", "1")].into_iter().collect();
        assert_eq!(node.all_labels().to_string(), "env=prod,up=1");
    }
}
