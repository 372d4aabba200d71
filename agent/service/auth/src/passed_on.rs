//! Connections that a proxy passes on, and who may say so.
//!
//! All callers who come through a proxy have its address. The proxy says where each comes from, and is
//! believed while a member is connected from the same address that has shown a proxy's certificate:
//! so strangers are counted where they are, and none of them uses up the room of all the others. Who
//! shares an address with a proxy can evade the count of one source; the count of all holds for them
//! as for everybody.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpStream;

/// The addresses from which proxies are connected.
#[derive(Debug, Default)]
pub(crate) struct Proxies(Mutex<HashMap<IpAddr, usize>>);

/// A proxy's connection, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Present(Arc<Proxies>, IpAddr);

impl Proxies {
    /// Counts a connection that has shown a proxy's certificate.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Present {
        let address = address.to_canonical();
        *self.0.lock().entry(address).or_default() += 1;
        Present(Arc::clone(self), address)
    }

    fn is_one(&self, address: IpAddr) -> bool {
        self.0.lock().contains_key(&address.to_canonical())
    }

    /// Where a connection comes from: what its preface says, if it has one and is believed.
    pub(crate) async fn source(
        &self,
        stream: &mut TcpStream,
        peer: SocketAddr,
    ) -> std::io::Result<SocketAddr> {
        let told = net::preface::read(stream).await?;
        Ok(told.filter(|_| self.is_one(peer.ip())).unwrap_or(peer))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut addresses = self.0.0.lock();
        if let Some(count) = addresses.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn only_proxies_that_are_connected_are_believed() {
        let proxies = Arc::new(Proxies::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let claimed: SocketAddr = "192.0.2.7:40000".parse().unwrap();
        let source = async || {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.write_all(&net::preface::write(claimed, claimed)).await.unwrap();
            let (mut stream, peer) = listener.accept().await.unwrap();
            let source = proxies.source(&mut stream, peer).await.unwrap();
            assert!(source == claimed || source == peer);
            source == claimed
        };
        assert!(!source().await);
        let elsewhere = proxies.enter("192.0.2.8".parse().unwrap());
        assert!(!source().await);
        let [first, second] = [(); 2].map(|()| proxies.enter("::ffff:127.0.0.1".parse().unwrap()));
        drop(first);
        assert!(source().await);
        drop((second, elsewhere));
        assert!(!source().await);
        assert!(proxies.0.lock().is_empty());
    }
}
