//! Connections to nodes that are tests.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use domain::access::DialPermit;
use parking_lot::Mutex;
use port::dial::{Dial, DialError};
use port::stream::BoxedStream;
use tokio::io::DuplexStream;
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use crate::fault::Fault;

/// How many bytes one end may send before the other reads.
const PIPE: usize = 64 * 1024;
/// How many connections wait to be accepted.
const BACKLOG: usize = 64;

/// Why dialling is to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No tunnel and no address.
    Offline,
    /// The tunnel is there but broken in this way.
    Tunnel(io::ErrorKind),
    /// The address does not answer, for this reason.
    Address(io::ErrorKind),
    /// It takes so many seconds that the caller gives up.
    Timeout(u64),
}

/// One connection as the node sees it.
#[derive(Debug)]
pub struct Dialled {
    /// The UUID of the node the permit named.
    pub node: String,
    /// The user the permit named.
    pub user: String,
    /// The client as it was told to the node.
    pub client: SocketAddr,
    /// The node's end of the connection.
    pub stream: DuplexStream,
}

/// Gives each dial one end of a pipe; the test takes the other with [`FakeDial::accept`].
#[derive(Debug)]
pub struct FakeDial {
    dialled: mpsc::Sender<Dialled>,
    accepted: AsyncMutex<mpsc::Receiver<Dialled>>,
    fault: Fault<Refusal>,
    delay: Mutex<Duration>,
}

impl Default for FakeDial {
    fn default() -> Self {
        let (dialled, accepted) = mpsc::channel(BACKLOG);
        let accepted = AsyncMutex::new(accepted);
        Self { dialled, accepted, fault: Fault::default(), delay: Mutex::default() }
    }
}

impl FakeDial {
    /// A dialler that reaches every node.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next connection, waiting up to ten seconds for it.
    pub async fn accept(&self) -> Option<Dialled> {
        let mut accepted = self.accepted.lock().await;
        tokio::time::timeout(Duration::from_secs(10), accepted.recv()).await.ok().flatten()
    }

    /// The next `times` dials fail like this.
    pub fn fail(&self, times: usize, refusal: Refusal) {
        self.fault.set(times, refusal);
    }

    /// Every dial takes this long from now on, by tokio's clock.
    pub fn delay(&self, delay: Duration) {
        *self.delay.lock() = delay;
    }
}

#[async_trait]
impl Dial for FakeDial {
    async fn dial(&self, permit: &DialPermit, client: SocketAddr) -> Result<BoxedStream, DialError> {
        let delay = *self.delay.lock();
        tokio::time::sleep(delay).await;
        if let Some(refusal) = self.fault.take() {
            return Err(refused(permit, refusal));
        }
        let (near, far) = tokio::io::duplex(PIPE);
        let (node, user) = (permit.host_id().to_string(), permit.user().to_owned());
        // The receiver lives as long as this dialler does.
        let _ = self.dialled.send(Dialled { node, user, client, stream: far }).await;
        Ok(Box::new(near))
    }
}

fn refused(permit: &DialPermit, refusal: Refusal) -> DialError {
    let node = permit.host_id().to_string();
    match refusal {
        Refusal::Offline => DialError::Offline { node },
        Refusal::Tunnel(kind) => DialError::Tunnel { node, source: Box::new(io::Error::from(kind)) },
        Refusal::Address(kind) => {
            DialError::Address { node, address: permit.node().spec.addr.clone(), source: kind.into() }
        }
        Refusal::Timeout(seconds) => DialError::Timeout { node, seconds },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::Timestamp;
    use domain::access::Checker;
    use domain::identity::UserIdentity;
    use domain::node::{Node, NodeSpec};
    use domain::traits::Traits;
    use port::cluster::ClusterView;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::FakeView;

    const ID: &str = "d52527f9-b260-41d0-bb5a-e23b0cfe0f8f";
    const CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 40_000);

    fn permit() -> DialPermit {
        let view = FakeView::new("example.com");
        let joe = UserIdentity {
            user: "joe".into(),
            roles: vec!["access".into()],
            traits: Traits::default(),
            logins: Vec::new(),
            issued: Timestamp::UNIX_EPOCH,
        };
        let spec: NodeSpec = serde_json::from_str(r#"{"hostname":"db","addr":"192.0.2.1:3022"}"#).unwrap();
        view.put_node(Node::new(ID, spec));
        let mut permit = None;
        view.with_nodes(&mut |nodes| {
            let node: &Arc<Node> = nodes.by_id(ID).unwrap();
            permit = Some(Checker::new(&joe, |name| view.role(name)).dial(node).unwrap());
        });
        permit.unwrap()
    }

    #[tokio::test]
    async fn the_test_is_the_node() {
        let dial = FakeDial::new();
        let mut near = dial.dial(&permit(), CLIENT).await.unwrap();
        let mut far = dial.accept().await.unwrap();
        assert_eq!((far.node.as_str(), far.user.as_str(), far.client), (ID, "joe", CLIENT));
        near.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        far.stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }

    #[tokio::test]
    async fn fails_in_every_way_a_dial_can() {
        let dial = FakeDial::new();
        let fail = async |refusal| {
            dial.fail(1, refusal);
            dial.dial(&permit(), CLIENT).await.err().unwrap().to_string()
        };
        assert!(fail(Refusal::Offline).await.contains("is offline"));
        assert!(fail(Refusal::Tunnel(io::ErrorKind::BrokenPipe)).await.contains("on its tunnel"));
        assert!(fail(Refusal::Address(io::ErrorKind::ConnectionRefused)).await.contains("192.0.2.1:3022"));
        assert!(fail(Refusal::Timeout(7)).await.contains("7 s"));
        assert!(dial.dial(&permit(), CLIENT).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn takes_as_long_as_told() {
        let dial = FakeDial::new();
        dial.delay(Duration::from_secs(5));
        let permit = permit();
        let slow = tokio::time::timeout(Duration::from_secs(4), dial.dial(&permit, CLIENT));
        assert!(slow.await.is_err());
        assert!(dial.accept().await.is_none(), "a dial given up reaches nobody");
    }
}
