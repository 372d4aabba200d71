//! Calls to the auth server, passed on unopened, behind a preface that names the caller:
//! their TLS is between the caller and auth.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::service::WebService;

/// Where the next call goes first.
#[derive(Debug, Default)]
pub(crate) struct Turn(AtomicUsize);

impl WebService {
    /// Carries a connection to an auth server that answers, and tells it where the connection came
    /// from: strangers are counted there. `greeting` was read from it already.
    pub(crate) async fn pass_on(
        &self,
        greeting: Bytes,
        client: TcpStream,
        (peer, local): (SocketAddr, SocketAddr),
    ) {
        let Some(mut auth) = self.dial_auth().await else { return };
        let mut first = net::preface::write(peer, local);
        first.extend_from_slice(&greeting);
        if auth.write_all(&first).await.is_ok() {
            // How it ends is the business of the two ends.
            let _ = net::splice::splice(client, auth).await;
        }
    }

    async fn dial_auth(&self) -> Option<TcpStream> {
        let servers = &self.settings.auth_servers;
        let first = self.turn.0.fetch_add(1, Ordering::Relaxed);
        for offset in 0..servers.len() {
            let Some(address) = servers.get((first + offset) % servers.len()) else { continue };
            match net::dial(address).await {
                Ok(stream) => return Some(stream),
                Err(error) => tracing::warn!(%address, %error, "cannot reach the auth server for an agent"),
            }
        }
        None
    }
}
