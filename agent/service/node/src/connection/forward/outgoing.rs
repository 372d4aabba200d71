//! `-L` and `-D`: the client opens a channel and names where it is to go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::access::SessionPermit;
use domain::audit::Context;
use net::NetError;
use port::stream::BoxedStream;
use russh::Channel;
use russh::server::{ChannelOpenHandle, Msg};
use ssh::refuse::{chain, connect_failed, prohibited};

use super::{CONNECTIONS_MAX, Counted, Forwards, Target, carry};
use crate::service::NodeService;

/// How long looking a name up may take.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

impl Forwards {
    /// Connects a channel to its target, if that is permitted.
    pub(in crate::connection) async fn connect(
        &self,
        target: Target,
        permit: Result<SessionPermit, String>,
        context: Context,
        (channel, reply): (Channel<Msg>, ChannelOpenHandle),
    ) {
        let service = Arc::clone(&self.service);
        let permit = match permit {
            Ok(permit) => permit,
            Err(reason) => {
                reply.reject(prohibited(&reason)).await;
                tokio::spawn(async move { service.note_forward(context, &target, Some(&reason)).await });
                return;
            }
        };
        let Some(place) = Counted::enter(&self.open) else {
            reply.reject(prohibited(format!("more than {CONNECTIONS_MAX} forwarded connections"))).await;
            return;
        };
        let backlog = self.backlog.clone();
        tokio::spawn(async move {
            let outcome = service.reach(&target, permit.login()).await;
            service.note_forward(context, &target, outcome.as_ref().err()).await;
            match outcome {
                Ok(stream) => {
                    reply.accept().await;
                    carry(stream, channel, &backlog).await;
                }
                Err(error) => reply.reject(connect_failed(error)).await,
            }
            drop(place);
        });
    }
}

impl NodeService {
    async fn reach(&self, target: &Target, login: &str) -> Result<BoxedStream, String> {
        match target {
            Target::Tcp(host, port) => {
                let name = target.to_string();
                let port = u16::try_from(*port).map_err(|_| "there is no such port".to_owned())?;
                let (user, addresses) =
                    tokio::try_join!(self.host_user(login), addresses(&name, (host, port)))?;
                let stream = self.deps.launcher.connect_tcp(&user, &name, addresses).await;
                Ok(Box::new(stream.map_err(|error| chain(&error))?))
            }
            Target::Unix(path) => {
                let user = self.host_user(login).await?;
                let stream = self.deps.launcher.connect_unix(&user, path).await;
                Ok(Box::new(stream.map_err(|error| chain(&error))?))
            }
        }
    }
}

/// The addresses of a host. Looking names up is left to the daemon: whom it asks is the same for all.
async fn addresses(name: &str, host: (&str, u16)) -> Result<Vec<SocketAddr>, String> {
    let address = name.to_owned();
    match tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host(host)).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(source)) => Err(chain(&NetError::Resolve { address, source })),
        Err(_) => Err(chain(&NetError::Timeout { address, seconds: RESOLVE_TIMEOUT.as_secs() })),
    }
}
