//! Audit events: this service's own, and those agents deliver.

use api::auth as wire;
use domain::access::api::Caller;
use domain::audit::{Context, Detail, Event};
use domain::identity::Identity;
use serde_json::{Map, Value};

use crate::error::AuthError;
use crate::service::AuthService;

/// The largest event accepted from an agent, in bytes.
const EVENT_MAX: usize = 64 * 1024;

impl AuthService {
    /// Writes an event of this service. Returns when it is on disk.
    pub(crate) async fn record_event(&self, context: Context, detail: Detail) -> Result<(), AuthError> {
        let context = Context { server_id: self.settings.host_id.to_string(), ..context };
        let event = Event { uid: self.deps.random.uuid(), time: self.deps.clock.now(), context, detail };
        self.deps.audit.append(vec![event.to_json()]).await?;
        Ok(())
    }

    /// Writes the events of an agent. Whatever they claim, they are marked with the host that
    /// delivered them.
    pub(crate) async fn emit(
        &self,
        caller: &Caller,
        request: wire::EmitEventsRequest,
    ) -> Result<wire::EmitEventsResponse, AuthError> {
        let host = caller.host()?;
        if request.events.len() > api::EVENTS_MAX {
            return Err(AuthError::Invalid(format!("more than {} events in one call", api::EVENTS_MAX)));
        }
        let mark = |json: &Vec<u8>| -> Result<Map<String, Value>, AuthError> {
            let mut event = read_event(json)?;
            event.insert("server_id".to_owned(), host.host_id.to_string().into());
            event.insert("cluster_name".to_owned(), self.cluster.clone().into());
            Ok(event)
        };
        let events = request.events.iter().map(mark).collect::<Result<Vec<_>, _>>()?;
        self.deps.metrics.events.inc_by(events.len() as u64);
        self.deps.audit.append(events).await?;
        Ok(wire::EmitEventsResponse {})
    }
}

/// Who wants something, as the audit log calls them.
pub(crate) fn acting(caller: &Caller) -> String {
    match caller.identity() {
        Identity::User(user) => user.user.clone(),
        Identity::Host(host) => format!("@{}", host.role),
    }
}

/// An event with the fields without which it could not be found again.
fn read_event(json: &[u8]) -> Result<Map<String, Value>, AuthError> {
    let invalid = |why: &str| AuthError::Invalid(format!("an audit event {why}"));
    if json.len() > EVENT_MAX {
        return Err(invalid(&format!("is larger than {EVENT_MAX} bytes")));
    }
    let event: Map<String, Value> =
        serde_json::from_slice(json).map_err(|error| invalid(&format!("cannot be read: {error}")))?;
    for field in ["event", "code", "uid", "time"] {
        if !event.get(field).is_some_and(Value::is_string) {
            return Err(invalid(&format!("has no {field}")));
        }
    }
    Ok(event)
}
