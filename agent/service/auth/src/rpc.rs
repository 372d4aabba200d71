//! From gRPC to the topics and back: who calls, what comes out. No rule lives here.

use std::sync::Arc;

use api::auth as wire;
use api::auth::cluster_service_server::{ClusterService, ClusterServiceServer};
use api::auth::host_service_server::{HostService, HostServiceServer};
use api::auth::join_service_server::{JoinService, JoinServiceServer};
use api::auth::record_service_server::{RecordService, RecordServiceServer};
use api::auth::sign_service_server::{SignService, SignServiceServer};
use domain::access::api::Caller;
use domain::identity::Identity;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use crate::error::AuthError;
use crate::server::Peer;
use crate::service::AuthService;

/// Every service, ready to be served.
///
/// A message is up to [`api::MESSAGE_MAX`] bytes and is read whole before its call begins; so whether
/// the caller may speak at all is decided on the headers alone, wherever a certificate is needed.
pub(crate) fn routes(service: &Arc<AuthService>) -> Routes {
    let rpc = || Rpc(Arc::clone(service));
    let door = || {
        let rpc = rpc();
        move |request: Request<()>| {
            rpc.admitted(&request)?;
            Ok(request)
        }
    };
    let hosts = HostServiceServer::new(rpc()).max_decoding_message_size(api::MESSAGE_MAX);
    let records = RecordServiceServer::new(rpc()).max_decoding_message_size(api::MESSAGE_MAX);
    Routes::new(JoinServiceServer::new(rpc()).max_decoding_message_size(64 * 1024))
        .add_service(InterceptedService::new(hosts, door()))
        .add_service(InterceptedService::new(records, door()))
        .add_service(InterceptedService::new(ClusterServiceServer::new(rpc()), door()))
        .add_service(InterceptedService::new(SignServiceServer::new(rpc()), door()))
}

#[derive(Clone)]
struct Rpc(Arc<AuthService>);

impl Rpc {
    /// Whom the caller's certificate names. Locked callers get no further, nor those whose
    /// certificate expired since the connection was made.
    fn admitted<T>(&self, request: &Request<T>) -> Result<Identity, AuthError> {
        let peer = peer(request).ok_or(AuthError::NoCertificate)?;
        let identity = peer.identity.clone().ok_or(AuthError::NoCertificate)?;
        let now = self.0.deps.clock.now();
        let shown = peer.shown.ok_or(AuthError::NoCertificate)?;
        if now >= shown.expires {
            return Err(AuthError::Expired(shown.expires));
        }
        self.0.cache.check_lock(&identity, shown.serial, now)?;
        Ok(identity)
    }

    /// Who calls. A lock may have come while the message was on its way, so it is looked for again.
    fn caller<T>(&self, request: &Request<T>) -> Result<Caller, AuthError> {
        Ok(Caller::new(self.admitted(request)?, |name| self.0.cache.role(name)))
    }
}

fn peer<T>(request: &Request<T>) -> Option<&Peer> {
    request.extensions().get::<Peer>()
}

fn address<T>(request: &Request<T>) -> Result<std::net::SocketAddr, AuthError> {
    peer(request).map(|peer| peer.address).ok_or(AuthError::NoCertificate)
}

#[tonic::async_trait]
impl JoinService for Rpc {
    async fn join(
        &self,
        request: Request<wire::JoinRequest>,
    ) -> Result<Response<wire::JoinResponse>, Status> {
        let address = address(&request)?;
        Ok(Response::new(self.0.join(request.into_inner(), address).await?))
    }
}

#[tonic::async_trait]
impl HostService for Rpc {
    async fn renew(
        &self,
        request: Request<wire::RenewRequest>,
    ) -> Result<Response<wire::HostCertificates>, Status> {
        let caller = self.caller(&request)?;
        Ok(Response::new(self.0.renew(&caller, request.into_inner()).await?))
    }

    async fn heartbeat(
        &self,
        request: Request<wire::HeartbeatRequest>,
    ) -> Result<Response<wire::HeartbeatResponse>, Status> {
        let (caller, address) = (self.caller(&request)?, address(&request)?);
        Ok(Response::new(self.0.heartbeat(&caller, request.into_inner(), address).await?))
    }

    async fn emit_events(
        &self,
        request: Request<wire::EmitEventsRequest>,
    ) -> Result<Response<wire::EmitEventsResponse>, Status> {
        let caller = self.caller(&request)?;
        Ok(Response::new(self.0.emit(&caller, request.into_inner()).await?))
    }
}

#[tonic::async_trait]
impl RecordService for Rpc {
    type WatchStream = ReceiverStream<Result<wire::WatchEvent, Status>>;

    async fn get(&self, request: Request<wire::GetRequest>) -> Result<Response<wire::Record>, Status> {
        let caller = self.caller(&request)?;
        Ok(Response::new(self.0.get(&caller, request.into_inner()).await?))
    }

    async fn list(
        &self,
        request: Request<wire::ListRequest>,
    ) -> Result<Response<wire::ListResponse>, Status> {
        let caller = self.caller(&request)?;
        Ok(Response::new(self.0.list(&caller, request.into_inner()).await?))
    }

    async fn put(&self, request: Request<wire::PutRequest>) -> Result<Response<wire::PutResponse>, Status> {
        let caller = self.caller(&request)?;
        Ok(Response::new(self.0.put(&caller, request.into_inner()).await?))
    }

    async fn delete(
        &self,
        request: Request<wire::DeleteRequest>,
    ) -> Result<Response<wire::DeleteResponse>, Status> {
        let caller = self.caller(&request)?;
        Ok(Response::new(self.0.delete(&caller, request.into_inner()).await?))
    }

    async fn watch(
        &self,
        request: Request<wire::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let caller = self.caller(&request)?;
        let changes = self.0.watch(&caller, request.get_ref())?;
        Ok(Response::new(ReceiverStream::new(changes)))
    }
}

#[tonic::async_trait]
impl ClusterService for Rpc {
    async fn status(
        &self,
        request: Request<wire::StatusRequest>,
    ) -> Result<Response<wire::StatusResponse>, Status> {
        self.caller(&request)?;
        Ok(Response::new(self.0.status()?))
    }
}

#[tonic::async_trait]
impl SignService for Rpc {
    async fn sign_user(
        &self,
        request: Request<wire::SignUserRequest>,
    ) -> Result<Response<wire::UserCertificates>, Status> {
        let caller = self.caller(&request)?;
        Ok(Response::new(self.0.sign_user(&caller, request.into_inner()).await?))
    }

    async fn sign_host(
        &self,
        request: Request<wire::SignHostRequest>,
    ) -> Result<Response<wire::HostCertificates>, Status> {
        let caller = self.caller(&request)?;
        Ok(Response::new(self.0.sign_host(&caller, request.into_inner()).await?))
    }
}
