//! The auth server's API with the domain's types.

use std::sync::Arc;

use api::auth::cluster_service_client::ClusterServiceClient;
use api::auth::host_service_client::HostServiceClient;
use api::auth::record_service_client::RecordServiceClient;
use api::auth::sign_service_client::SignServiceClient;
use api::auth::watch_event::Event as WireEvent;
use api::auth::{
    DeleteRequest, EmitEventsRequest, GetRequest, HeartbeatRequest, ListRequest, PutRequest, RenewRequest,
    SignHostRequest, SignUserRequest, StatusRequest, StatusResponse, WatchRequest,
};
use certs::bundle::HostCertificates;
use domain::resource::{Kind, Resource, Spec};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::connect::AuthEndpoint;
use crate::error::{ClientError, bad_answer};

/// A client of the auth server. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct AuthClient {
    endpoint: Arc<AuthEndpoint>,
    channel: Channel,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The revision the record now has.
    pub revision: String,
    /// Whether there was one before.
    pub replaced: bool,
}

/// Which names, keys and addresses a host asks certificates for.
#[derive(Debug, Clone)]
pub struct HostRequest {
    /// The host's name.
    pub node_name: String,
    /// SSH public key, OpenSSH's one-line form.
    pub ssh_public_key: String,
    /// X.509 public key, SPKI in DER.
    pub tls_public_key: Vec<u8>,
    /// Addresses besides its name that it answers to.
    pub addresses: Vec<String>,
}

/// Certificates of a user.
#[derive(Debug, Clone)]
pub struct UserCertificates {
    /// OpenSSH's one-line form.
    pub ssh: String,
    /// DER.
    pub tls: Vec<u8>,
    /// Authorities to trust.
    pub authorities: Vec<domain::authority::AuthoritySpec>,
}

/// A change as a watch delivers it.
#[derive(Debug, Clone)]
pub enum Change {
    /// A record as it is now, as JSON.
    Put(Vec<u8>),
    /// A record that is gone.
    Deleted(Kind, String),
    /// Everything there was when the watch began has been delivered.
    Current,
}

impl AuthClient {
    /// A client of this endpoint. Nothing is connected before the first call.
    pub fn new(endpoint: Arc<AuthEndpoint>) -> Self {
        let channel = endpoint.channel();
        Self { endpoint, channel }
    }

    /// The addresses called, for errors.
    pub fn shown(&self) -> String {
        self.endpoint.shown()
    }

    fn records(&self) -> RecordServiceClient<Channel> {
        RecordServiceClient::new(self.channel.clone()).max_decoding_message_size(api::MESSAGE_MAX)
    }

    fn hosts(&self) -> HostServiceClient<Channel> {
        HostServiceClient::new(self.channel.clone())
    }

    fn signer(&self) -> SignServiceClient<Channel> {
        SignServiceClient::new(self.channel.clone())
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(crate) fn failed(&self, status: Status) -> ClientError {
        if is_lost(&status) {
            let text = source_text(&status);
            return ClientError::Connect { address: self.shown(), source: text.into() };
        }
        ClientError::Call { reason: api::status_text(&status, &self.shown()), code: status.code() }
    }

    /// One record.
    ///
    /// # Errors
    /// [`ClientError`]; see [`ClientError::is_not_found`].
    pub async fn get<S: Spec>(&self, name: &str) -> Result<Resource<S>, ClientError> {
        let json = self.get_json(S::KIND, name).await?;
        Resource::from_json(&json).map_err(bad_answer)
    }

    /// One record as JSON.
    ///
    /// # Errors
    /// [`ClientError`]; see [`ClientError::is_not_found`].
    pub async fn get_json(&self, kind: Kind, name: &str) -> Result<Vec<u8>, ClientError> {
        let request = GetRequest { kind: kind.to_string(), name: name.to_owned() };
        let answer = self.records().get(request).await.map_err(|status| self.failed(status))?;
        Ok(answer.into_inner().json)
    }

    /// All records of a kind.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list<S: Spec>(&self) -> Result<Vec<Resource<S>>, ClientError> {
        let all = self.list_json(S::KIND).await?;
        all.iter().map(|json| Resource::from_json(json).map_err(bad_answer)).collect()
    }

    /// All records of a kind as JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_json(&self, kind: Kind) -> Result<Vec<Vec<u8>>, ClientError> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListRequest { kind: kind.to_string(), limit: 0, page_token };
            let answer =
                self.records().list(request).await.map_err(|status| self.failed(status))?.into_inner();
            all.extend(answer.records.into_iter().map(|record| record.json));
            if answer.next_page_token.is_empty() {
                return Ok(all);
            }
            page_token = answer.next_page_token;
        }
    }

    /// Makes a record, or replaces one.
    ///
    /// # Errors
    /// [`ClientError`] when it is there and `replace` is false, among others.
    pub async fn put<S: Spec>(&self, record: &Resource<S>, replace: bool) -> Result<Written, ClientError> {
        self.put_json(record.to_json(), replace, None).await
    }

    /// Makes a record given as JSON, or replaces one; with `if_revision`, only the one of that revision.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_json(
        &self,
        json: Vec<u8>,
        replace: bool,
        if_revision: Option<String>,
    ) -> Result<Written, ClientError> {
        let request = PutRequest { json, replace, if_revision: if_revision.unwrap_or_default() };
        let answer = self.records().put(request).await.map_err(|status| self.failed(status))?.into_inner();
        Ok(Written { revision: answer.revision, replaced: answer.replaced })
    }

    /// Removes a record.
    ///
    /// # Errors
    /// [`ClientError`]; see [`ClientError::is_not_found`].
    pub async fn delete(&self, kind: Kind, name: &str) -> Result<(), ClientError> {
        let request = DeleteRequest { kind: kind.to_string(), name: name.to_owned() };
        self.records().delete(request).await.map_err(|status| self.failed(status))?;
        Ok(())
    }

    /// All records of some kinds, then every change.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn watch(&self, kinds: &[Kind]) -> Result<Watching, ClientError> {
        let request = WatchRequest { kinds: kinds.iter().map(Kind::to_string).collect() };
        let stream = self.records().watch(request).await.map_err(|status| self.failed(status))?.into_inner();
        Ok(Watching { stream, client: self.clone() })
    }

    /// Who answers, and the state of the cluster.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self) -> Result<StatusResponse, ClientError> {
        let mut client = ClusterServiceClient::new(self.channel.clone());
        Ok(client.status(StatusRequest {}).await.map_err(|status| self.failed(status))?.into_inner())
    }

    /// New certificates for the calling host.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn renew(&self, host: HostRequest) -> Result<HostCertificates, ClientError> {
        let request = RenewRequest {
            node_name: host.node_name,
            ssh_public_key: host.ssh_public_key,
            tls_public_key: host.tls_public_key,
            addresses: host.addresses,
        };
        let answer = self.hosts().renew(request).await.map_err(|status| self.failed(status))?;
        host_certificates(answer.into_inner())
    }

    /// Says that the calling node or proxy is alive, and returns the name it is listed under.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn heartbeat<S: Spec>(&self, spec: &S, leaving: bool) -> Result<String, ClientError> {
        let spec = serde_json::to_vec(spec).map_err(bad_answer)?;
        let request = HeartbeatRequest { spec, leaving };
        Ok(self
            .hosts()
            .heartbeat(request)
            .await
            .map_err(|status| self.failed(status))?
            .into_inner()
            .listed_as)
    }

    /// Delivers audit events, one JSON object each, at most [`api::EVENTS_MAX`]. Returns when they are
    /// on disk.
    ///
    /// # Errors
    /// [`ClientError`]; then it is not known which were written, and sending them again is safe.
    pub async fn emit(&self, events: Vec<Vec<u8>>) -> Result<(), ClientError> {
        self.hosts().emit_events(EmitEventsRequest { events }).await.map_err(|status| self.failed(status))?;
        Ok(())
    }

    /// Certificates for a user, outside of signing in. For `tctl` on the auth host.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sign_user(&self, request: SignUserRequest) -> Result<UserCertificates, ClientError> {
        let answer =
            self.signer().sign_user(request).await.map_err(|status| self.failed(status))?.into_inner();
        let authorities = api::authorities_from_wire(&answer.authorities).map_err(bad_answer)?;
        Ok(UserCertificates { ssh: answer.ssh, tls: answer.tls, authorities })
    }

    /// A certificate for a host that runs OpenSSH's sshd. For `tctl` on the auth host.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sign_host(&self, request: SignHostRequest) -> Result<HostCertificates, ClientError> {
        let answer = self.signer().sign_host(request).await.map_err(|status| self.failed(status))?;
        host_certificates(answer.into_inner())
    }
}

/// A watch under way.
pub struct Watching {
    stream: Streaming<api::auth::WatchEvent>,
    client: AuthClient,
}

impl Watching {
    /// The next change; none when the auth server ended the watch.
    ///
    /// # Errors
    /// [`ClientError`] when the connection was lost.
    pub async fn next(&mut self) -> Result<Option<Change>, ClientError> {
        loop {
            let message = self.stream.message().await.map_err(|status| self.client.failed(status))?;
            let Some(message) = message else { return Ok(None) };
            match message.event {
                Some(WireEvent::Put(record)) => return Ok(Some(Change::Put(record.json))),
                Some(WireEvent::Deleted(name)) => {
                    let Some(kind) = Kind::parse(&name.kind) else { continue };
                    return Ok(Some(Change::Deleted(kind, name.name)));
                }
                Some(WireEvent::Current(_)) => return Ok(Some(Change::Current)),
                // From a newer server: nothing this program could use.
                None => {}
            }
        }
    }
}

pub(crate) fn host_certificates(wire: api::auth::HostCertificates) -> Result<HostCertificates, ClientError> {
    let authorities = api::authorities_from_wire(&wire.authorities).map_err(bad_answer)?;
    Ok(HostCertificates { ssh: wire.ssh, tls: wire.tls, authorities })
}

/// Whether it is the connection that failed, before an answer or in the middle of one. A status that came
/// over the wire has no cause in this process.
fn is_lost(status: &Status) -> bool {
    let may_be = matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal);
    may_be && std::error::Error::source(status).is_some()
}

/// What a connection failed of: the innermost causes, which tonic hides behind "transport error".
fn source_text(status: &Status) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut source = std::error::Error::source(status);
    while let Some(cause) = source {
        let text = cause.to_string();
        if text != "transport error" && texts.last() != Some(&text) {
            texts.push(text);
        }
        source = cause.source();
    }
    if texts.is_empty() { status.message().to_owned() } else { texts.join(": ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_breaks_off_is_told_from_what_the_server_says() {
        let reset = || std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(is_lost(&Status::from_error(Box::new(reset()))), "in the middle of an answer");
        let mut refused = Status::unavailable("transport error");
        refused.set_source(Arc::new(reset()));
        assert!(is_lost(&refused));
        assert!(!is_lost(&Status::unavailable("the store is away")));
        assert!(!is_lost(&Status::internal("it could not be written")));
    }
}
