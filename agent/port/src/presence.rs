//! How a node makes itself known.

use async_trait::async_trait;
use domain::node::NodeSpec;

/// Why a heartbeat did not arrive. The text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PresenceError(pub String);

/// Tells the cluster that a node is there.
#[async_trait]
pub trait Presence: Send + Sync + 'static {
    /// Lists the node for another while and returns the name it is listed under, which is not the
    /// node's own when that is no valid host name.
    ///
    /// # Errors
    /// [`PresenceError`].
    async fn announce(&self, spec: &NodeSpec) -> Result<String, PresenceError>;

    /// Takes the node off the list.
    ///
    /// # Errors
    /// [`PresenceError`].
    async fn leave(&self, spec: &NodeSpec) -> Result<(), PresenceError>;
}
