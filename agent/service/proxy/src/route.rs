//! From what a user typed to a connection with a node.

use std::net::SocketAddr;
use std::sync::Arc;

use domain::access::{Checker, DialPermit};
use domain::route::{RouteError, Target};
use port::stream::BoxedStream;
use ssh::user::{Authenticator, User};

use crate::error::ProxyError;
use crate::service::ProxyService;

impl ProxyService {
    /// Connects a user to the node they mean, if they may.
    ///
    /// Nodes the user may not reach are as good as absent: neither their names nor that a name is
    /// ambiguous among them is told.
    pub(crate) async fn connect(
        &self,
        user: &User,
        target: &Target,
        client: SocketAddr,
    ) -> Result<BoxedStream, ProxyError> {
        self.door.authenticator.readmit(user, None)?;
        let permit = self.permit(user, target)?;
        // A host that is locked may have been taken over: its link is still up, and it will not turn
        // users away itself.
        let onto = Authenticator { server: Some(permit.host_id()), ..self.door.authenticator.clone() };
        onto.readmit(user, None)?;
        Ok(self.deps.dial.dial(&permit, client).await?)
    }

    fn permit(&self, user: &User, target: &Target) -> Result<DialPermit, ProxyError> {
        let view = &self.deps.view;
        let checker = Checker::new(&user.identity, |name| view.role(name));
        let mut found = Err(ProxyError::Route(RouteError::NotFound(target.host.clone())));
        view.with_nodes(&mut |nodes| {
            let visible = |node: &Arc<domain::node::Node>| checker.dial(node).is_ok();
            found = nodes
                .resolve(target, view.cluster_name(), visible)
                .map_err(ProxyError::from)
                .and_then(|node| Ok(checker.dial(node)?));
        });
        found
    }

    /// Why a user did not get to a node, as it is written down: whoever reads that may know of nodes the user may not.
    pub(crate) fn reason(&self, user: &User, target: &Target, error: &ProxyError) -> String {
        let hidden = match error {
            ProxyError::Route(RouteError::NotFound(_)) => self.hidden(user, target),
            _ => None,
        };
        match hidden {
            Some(why) => format!("{}: {why}; the user is told that it is unknown", target.host),
            None => format!("{}: {error}", target.host),
        }
    }

    /// What a target is that is none of those they may reach, if it is anything.
    fn hidden(&self, user: &User, target: &Target) -> Option<String> {
        let view = &self.deps.view;
        let checker = Checker::new(&user.identity, |name| view.role(name));
        let mut hidden = None;
        view.with_nodes(&mut |nodes| {
            hidden = match nodes.resolve(target, view.cluster_name(), |_| true) {
                Ok(node) => checker.dial(node).err().map(|denied| denied.to_string()),
                Err(RouteError::NotFound(_)) => None,
                Err(other) => Some(other.to_string()),
            };
        });
        hidden
    }
}
