//! What proxy and node have in common: an identity, a connection to auth, a view of the cluster and a
//! way for audit events.

use std::sync::Arc;

use audit_service::{SpoolPorts, SpoolService, SpoolSettings};
use certs::bundle::Bundle;
use client::view::View;
use client::{AuthClient, AuthEndpoint};
use domain::audit::Context;
use domain::identity::SystemRole;
use domain::resource::Kind;
use net::tls::ServerTrust;
use port::audit::{AuditSink, Recorder};
use ssh::host::HostCheck;
use tokio::sync::watch;

use crate::adapter::Deliverer;
use crate::data_dir::DataDir;
use crate::error::ProcessError;
use crate::host::Host;
use crate::identity::{Membership, Renewal};
use crate::supervise::{Group, Tokens};
use crate::watchdog::Watchdog;

/// A member of the cluster in one role.
pub(crate) struct Member {
    pub(crate) client: AuthClient,
    pub(crate) view: Arc<View>,
    pub(crate) identity: watch::Receiver<Arc<Bundle>>,
    pub(crate) recorder: Arc<Recorder>,
}

/// What becoming a member needs.
pub(crate) struct Entering<'a> {
    pub(crate) host: &'a Host,
    pub(crate) data: &'a DataDir,
    pub(crate) membership: &'a Membership,
    pub(crate) sink: Arc<dyn AuditSink>,
    pub(crate) tokens: &'a Tokens,
    pub(crate) watchdog: &'a Watchdog,
}

impl Entering<'_> {
    /// Joins, or takes up an earlier identity, and starts what keeps it fresh.
    pub(crate) async fn enter(&self, role: SystemRole, group: &mut Group) -> Result<Member, ProcessError> {
        let Self { host, data, membership, .. } = self;
        let bundle = membership.enter(role, data, &*host.clock, &*host.random).await?;
        let trust = ServerTrust::Cluster(bundle.authorities.clone());
        let joined = |source| ProcessError::Join { role, source };
        let endpoint =
            AuthEndpoint::new(membership.servers.clone(), &trust, Some(&bundle)).map_err(joined)?;
        let client = AuthClient::new(Arc::clone(&endpoint));
        let view = View::new(&bundle.identity.cluster, kinds(role), &bundle.authorities);
        let (sender, identity) = watch::channel(Arc::new(bundle));
        let renewal = Renewal {
            data: (*data).clone(),
            client: client.clone(),
            endpoint,
            view: Arc::clone(&view),
            identity: sender,
            node_name: membership.node_name.clone(),
            names: membership.names.clone(),
            clock: Arc::clone(&host.clock),
            random: Arc::clone(&host.random),
        };
        self.keep("certificates", group, renewal.run());
        let (following, random) = ((Arc::clone(&view), client.clone()), Arc::clone(&host.random));
        self.keep("view", group, async move { following.0.follow(&following.1, &*random).await });
        self.watchdog.follow_view(role.as_str(), view.freshness());
        let recorder =
            Recorder::new(Arc::clone(&host.clock), Arc::clone(&host.random), Arc::clone(&self.sink));
        Ok(Member { client, view, identity, recorder: Arc::new(recorder) })
    }

    /// Runs something that never ends until this part of the process stops.
    fn keep(&self, name: &'static str, group: &mut Group, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.tokens.agents.clone();
        group.spawn(name, async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

impl Member {
    /// This host, in audit events.
    pub(crate) fn context(&self, nodename: &str) -> Context {
        let bundle = self.identity.borrow();
        Context {
            cluster_name: bundle.identity.cluster.to_string(),
            server_id: bundle.identity.host_id.to_string(),
            server_hostname: nodename.to_owned(),
            ..Context::default()
        }
    }

    /// How hosts of the cluster are checked.
    pub(crate) fn host_check(&self, host: &Host) -> HostCheck {
        HostCheck { view: self.view.clone(), clock: Arc::clone(&host.clock) }
    }
}

/// What a role needs to know of the cluster. A node learns of proxies, for each of which it keeps a link, and not of
/// other nodes.
fn kinds(role: SystemRole) -> &'static [Kind] {
    match role {
        SystemRole::Proxy => &[Kind::CertAuthority, Kind::Role, Kind::Lock, Kind::Node],
        SystemRole::Node => &[Kind::CertAuthority, Kind::Role, Kind::Lock, Kind::Proxy],
        _ => &[Kind::CertAuthority, Kind::Role, Kind::Lock],
    }
}

/// Opens the spool that events of this host wait in. It takes events at once; they are delivered as
/// soon as there is a member to deliver them.
pub(crate) fn open_spool(
    host: &Host,
    data: &DataDir,
    watchdog: &Watchdog,
) -> Result<SpoolService, ProcessError> {
    let ports = SpoolPorts {
        clock: Arc::clone(&host.clock),
        random: Arc::clone(&host.random),
        metrics: watchdog.metrics.clone(),
        health: watchdog.health.clone(),
    };
    Ok(SpoolService::new(SpoolSettings::new(data.path()), ports)?)
}

/// Delivers the spool's events in the name of a member.
pub(crate) fn deliver(spool: SpoolService, member: &Member, tokens: &Tokens, group: &mut Group) {
    let forward = Arc::new(Deliverer(member.client.clone()));
    group.spawn("audit spool", spool.run(forward, tokens.agents.clone()));
}
