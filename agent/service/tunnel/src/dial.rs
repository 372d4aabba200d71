//! Reaching a node for a user who may: over its link, or at the address it announces.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::access::DialPermit;
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

/// Reaches nodes.
pub struct Dialler {
    registry: Arc<Registry>,
}

impl Dialler {
    /// Dials over the links of this registry.
    pub fn new(registry: Arc<Registry>) -> Arc<Self> {
        Arc::new(Self { registry })
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
            return direct(&node, address).await;
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
/// would be done. Which machine the proxy itself is on is not known to the auth server, so loopback
/// is allowed as announced.
async fn direct(node: &str, address: &str) -> Result<BoxedStream, DialError> {
    let failed = |source| DialError::Address { node: node.to_owned(), address: address.to_owned(), source };
    let here = std::net::IpAddr::from([127, 0, 0, 1]);
    check_address(address, here).map_err(|error| failed(std::io::Error::other(error)))?;
    let stream = net::dial(address).await.map_err(|error| failed(std::io::Error::other(error)))?;
    Ok(Box::new(stream))
}
