//! Asks an address whether it is a proxy, and what it says of itself (`/webapi/find`).
//!
//! The answer is a hint, not a proof: what follows from it is checked again by certificates. Only a
//! pin taken from it is believed, and then only over TLS that the public authorities vouch for.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use net::tls::ServerTrust;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio_rustls::TlsConnector;

use crate::error::{ClientError, bad_answer};

/// How long the whole may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer, in bytes.
const ANSWER_MAX: usize = 64 * 1024;

/// What a proxy says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Found {
    /// Its cluster.
    pub cluster_name: String,
    /// Its version.
    #[serde(default)]
    pub server_version: String,
    /// Pins of its cluster's host authority.
    #[serde(default)]
    pub ca_pins: Vec<String>,
}

/// How far the answer can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belief {
    /// Not at all: any certificate will do.
    Hint,
    /// As far as the public authorities vouch for the address.
    Vouched,
}

/// Asks `host:port`; none when it is no proxy (an auth server offers no HTTP).
///
/// # Errors
/// [`ClientError`] when it cannot be reached, or nobody vouches for it where that is needed.
pub async fn find(address: &str, belief: Belief) -> Result<Option<Found>, ClientError> {
    let connect = |source: Box<dyn std::error::Error + Send + Sync>| ClientError::Connect {
        address: address.to_owned(),
        source,
    };
    match tokio::time::timeout(TIMEOUT, ask(address, belief)).await {
        Ok(answer) => answer,
        Err(_) => Err(connect("no answer in time".into())),
    }
}

async fn ask(address: &str, belief: Belief) -> Result<Option<Found>, ClientError> {
    let connect = |source: Box<dyn std::error::Error + Send + Sync>| ClientError::Connect {
        address: address.to_owned(),
        source,
    };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host.clone()).map_err(|error| connect(error.into()))?;
    let stream = net::dial(address).await?;
    let tls = match TlsConnector::from(config(belief)?).connect(name, stream).await {
        Ok(tls) => tls,
        // An auth server speaks TLS, but not HTTP.
        Err(error) if is_no_http(&error) => return Ok(None),
        Err(error) => return Err(connect(error.into())),
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls))
        .await
        .map_err(|error| connect(error.into()))?;
    let driving = tokio::spawn(connection);
    let request = Request::get("/webapi/find")
        .header("host", host)
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|error| connect(error.into()))?;
    let answer = sender.send_request(request).await.map_err(|error| connect(error.into()))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await.map_err(&connect)?;
    driving.abort();
    if !status.is_success() {
        return Err(bad_answer(format!(
            "GET https://{address}/webapi/find: response code is not 200 but {}",
            status.as_u16()
        )));
    }
    serde_json::from_slice(&body.to_bytes()).map(Some).map_err(bad_answer)
}

fn config(belief: Belief) -> Result<Arc<rustls::ClientConfig>, ClientError> {
    Ok(match belief {
        Belief::Hint => net::tls::client(&ServerTrust::Anyone, None, net::alpn::HTTP1)?,
        Belief::Vouched => net::tls::public_client(net::alpn::HTTP1)?,
    })
}

fn is_no_http(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)))
}
