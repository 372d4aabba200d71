//! `-L` and `-D`: the client opens a channel and names where it is to go.

use std::sync::Arc;

use domain::access::SessionPermit;
use domain::audit::Context;
use port::stream::BoxedStream;
use russh::Channel;
use russh::server::{ChannelOpenHandle, Msg};
use ssh::refuse::{connect_failed, prohibited};

use super::{CONNECTIONS_MAX, Counted, Forwards, Target, carry};
use crate::service::NodeService;

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
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                let stream = net::dial(&format!("{host}:{port}")).await;
                Ok(Box::new(stream.map_err(|error| ssh::refuse::chain(&error))?))
            }
            Target::Unix(path) => {
                let user = self.host_user(login).await?;
                let stream = self.deps.launcher.connect_unix(&user, path).await;
                Ok(Box::new(stream.map_err(|error| ssh::refuse::chain(&error))?))
            }
        }
    }
}
