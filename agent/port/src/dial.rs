//! Connections to nodes.

use std::net::SocketAddr;

use async_trait::async_trait;
use domain::access::DialPermit;

use crate::stream::BoxedStream;

/// Why a node cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No tunnel and no address.
    #[error("node {node} is offline: it has no tunnel to this proxy and announces no address")]
    Offline {
        /// The node.
        node: String,
    },
    /// Its tunnel is there but does not answer.
    #[error("node {node} does not answer on its tunnel")]
    Tunnel {
        /// The node.
        node: String,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The address it announces does not answer.
    #[error("node {node} does not answer at {address}")]
    Address {
        /// The node.
        node: String,
        /// Its address.
        address: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// It took too long.
    #[error("node {node} did not answer within {seconds} s")]
    Timeout {
        /// The node.
        node: String,
        /// How long was waited.
        seconds: u64,
    },
}

/// Reaches nodes for users who may.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// Connects to the node the permit names, and to no other. `client` is told to the node, which
    /// checks and records it.
    ///
    /// # Errors
    /// [`DialError`] names the node and what failed.
    async fn dial(&self, permit: &DialPermit, client: SocketAddr) -> Result<BoxedStream, DialError>;
}
