//! etcd's JSON gateway over kept HTTP connections: what is left of etcd's speed for whoever speaks JSON.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::json;
use terminal::Failure;

use super::VALUE;

/// One connection to it.
pub(super) struct Gateway {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Gateway {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its end is seen by the sender.
        drop(tokio::spawn(connection));
        Ok(Self { sender, host: address.to_string() })
    }

    async fn post(&mut self, path: &str, body: serde_json::Value) -> Result<(), Failure> {
        let request = hyper::Request::post(path)
            .header("host", &self.host)
            .body(Full::new(Bytes::from(body.to_string())))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            return Err(Failure::new(format!("etcd answered {status}: {}", String::from_utf8_lossy(&body))));
        }
        serde_json::from_slice::<serde_json::Value>(&body)?;
        Ok(())
    }

    pub(super) async fn put(&mut self, key: &str) -> Result<(), Failure> {
        self.post("/v3/kv/put", json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(VALUE) })).await
    }

    pub(super) async fn get(&mut self, key: &str) -> Result<(), Failure> {
        self.post("/v3/kv/range", json!({ "key": STANDARD.encode(key) })).await
    }
}
