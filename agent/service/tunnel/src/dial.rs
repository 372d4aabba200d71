//! Reaching a node for a user who may: over its link, or at the address it announces.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::access::DialPermit;
use domain::name::HostId;
use domain::node::check_address;
use port::dial::{Dial, DialError};
use port::stream::BoxedStream;
use ssh::ahead::paced::Paced;

use crate::NODE_TARGET;
use crate::registry::{Link, Registry};

/// How long one link may take to open a channel. A dead link is found out by this before keep-alive
/// finds it, and the next one is tried.
const LINK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the whole may take (`ssh_dial_timeout`).
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Whose loopback address this proxy's loopback interface is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// This host's alone: the node that runs beside the proxy.
    Of(HostId),
    /// Everybody's: the cluster can be reached from this machine only.
    Everybody,
}

impl Loopback {
    fn is_of(self, host: HostId) -> bool {
        match self {
            Self::Of(own) => own == host,
            Self::Everybody => true,
        }
    }
}

/// Reaches nodes.
pub struct Dialler {
    registry: Arc<Registry>,
    loopback: Loopback,
}

impl Dialler {
    /// Dials over the links of this registry, and loopback addresses for those whose they are.
    pub fn new(registry: Arc<Registry>, loopback: Loopback) -> Arc<Self> {
        Arc::new(Self { registry, loopback })
    }

    async fn dial_once(&self, permit: &DialPermit, client: SocketAddr) -> Result<BoxedStream, DialError> {
        let node = permit.node().spec.hostname.clone();
        let mut last = None;
        for link in self.registry.links(permit.host_id()) {
            match over(&link, client).await {
                Ok(stream) => return Ok(stream),
                Err(source) => last = Some(DialError::Tunnel { node: node.clone(), source }),
            }
        }
        let address = &permit.node().spec.addr;
        if !address.is_empty() {
            return direct(&node, address, self.loopback.is_of(permit.host_id())).await;
        }
        Err(last.unwrap_or(DialError::Offline { node }))
    }
}

#[async_trait]
impl Dial for Dialler {
    async fn dial(&self, permit: &DialPermit, client: SocketAddr) -> Result<BoxedStream, DialError> {
        let metrics = self.registry.metrics();
        metrics.dials.inc();
        let outcome =
            tokio::time::timeout(DIAL_TIMEOUT, self.dial_once(permit, client)).await.unwrap_or_else(|_| {
                let node = permit.node().spec.hostname.clone();
                Err(DialError::Timeout { node, seconds: DIAL_TIMEOUT.as_secs() })
            });
        if outcome.is_err() {
            metrics.failed_dials.inc();
        }
        outcome
    }
}

async fn over(
    link: &Link,
    client: SocketAddr,
) -> Result<BoxedStream, Box<dyn std::error::Error + Send + Sync>> {
    let port = u32::from(client.port());
    let opening =
        link.handle.channel_open_direct_tcpip(NODE_TARGET, 0, client.ip().to_canonical().to_string(), port);
    match tokio::time::timeout(LINK_TIMEOUT, opening).await {
        Ok(Ok(channel)) => Ok(Box::new(Paced::new(channel))),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err("the link does not answer".into()),
    }
}

/// The address was checked when the node announced it; it is checked again here, where the harm
/// would be done. The auth server sees where an announcement comes from, and what comes through a
/// proxy beside it comes from loopback: only the proxy knows whom its own loopback belongs to.
async fn direct(node: &str, address: &str, loopback: bool) -> Result<BoxedStream, DialError> {
    let failed = |source| DialError::Address { node: node.to_owned(), address: address.to_owned(), source };
    let here = IpAddr::from([127, 0, 0, 1]);
    check_address(address, here).map_err(|error| failed(std::io::Error::other(error)))?;
    let socket: SocketAddr = address.parse().map_err(|error| failed(std::io::Error::other(error)))?;
    if socket.ip().to_canonical().is_loopback() && !loopback {
        let text =
            "the address is loopback, which is another machine for this proxy; set advertise_ip on the node";
        return Err(failed(std::io::Error::other(text)));
    }
    let stream = net::dial(address).await.map_err(|error| failed(std::io::Error::other(error)))?;
    Ok(Box::new(stream))
}
