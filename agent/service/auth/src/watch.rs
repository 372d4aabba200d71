//! Everything of some kinds, then every change: what keeps proxies and nodes up to date.

use api::auth::watch_event::Event as WireEvent;
use api::auth::{self as wire, Current, RecordName, WatchEvent};
use domain::access::api::Caller;
use domain::resource::{Kind, ResourceError};
use domain::role::Verb;
use port::store::{Change, Item, Revision, StoreError, Watch};
use tokio::sync::mpsc;
use tonic::Status;

use crate::cache::read_all;
use crate::error::AuthError;
use crate::key;
use crate::record::shown;
use crate::service::AuthService;

/// How many changes wait for a slow watcher on its connection, besides the store's own queue.
const QUEUE: usize = 256;

type Sender = mpsc::Sender<Result<WatchEvent, Status>>;

impl AuthService {
    /// Starts a watch.
    pub(crate) fn watch(
        self: &std::sync::Arc<Self>,
        caller: &Caller,
        request: &wire::WatchRequest,
    ) -> Result<mpsc::Receiver<Result<WatchEvent, Status>>, AuthError> {
        let mut kinds = Vec::new();
        for name in &request.kinds {
            let kind = Kind::parse(name).ok_or_else(|| ResourceError::UnknownKind(name.clone()))?;
            caller.record(kind, Verb::List)?;
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let (sender, receiver) = mpsc::channel(QUEUE);
        let service = std::sync::Arc::clone(self);
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = service.feed(&kinds, &sender) => ended,
                () = sender.closed() => return,
            };
            if let Err(error) = ended {
                // The watcher starts over when it hears this; if it is gone, nobody needs to.
                let _ = sender.send(Err(error.into())).await;
            }
        });
        Ok(receiver)
    }

    async fn feed(&self, kinds: &[Kind], sender: &Sender) -> Result<(), AuthError> {
        let mut revisions = Vec::new();
        for kind in kinds {
            let (items, revision) = read_all(&*self.deps.store, &key::records(*kind)).await?;
            for item in &items {
                send(sender, put(*kind, item)).await?;
            }
            revisions.push(revision);
        }
        send(sender, Some(WireEvent::Current(Current {}))).await?;
        let mut following = tokio::task::JoinSet::new();
        for (kind, revision) in kinds.iter().copied().zip(revisions) {
            let watch = self.deps.store.watch(key::records(kind), Some(revision)).await?;
            following.spawn(follow(kind, watch, revision, sender.clone()));
        }
        // The first to end ends the watch; the others stop with the set.
        match following.join_next().await {
            Some(Ok(ended)) => ended,
            _ => Ok(()),
        }
    }
}

async fn follow(kind: Kind, mut watch: Watch, _from: Revision, sender: Sender) -> Result<(), AuthError> {
    while let Some(event) = watch.next().await {
        let event = match event?.change {
            Change::Put(item) => put(kind, &item),
            Change::Delete(key) => {
                let name = key.last_segment().to_owned();
                Some(WireEvent::Deleted(RecordName { kind: kind.to_string(), name }))
            }
        };
        send(&sender, event).await?;
    }
    Ok(())
}

/// A stored record as it travels. One that cannot be read was written by a newer auth server on the
/// same store; it is passed on as it is, for the watcher may be newer too. One that is not even JSON is
/// passed on as one that nobody can read but everybody knows by name.
fn put(kind: Kind, item: &Item) -> Option<WireEvent> {
    let nameable = || {
        let metadata = serde_json::json!({ "name": item.key.last_segment() });
        let record =
            serde_json::json!({ "kind": kind.as_str(), "version": "unreadable", "metadata": metadata });
        record.to_string().into_bytes()
    };
    let json = shown(item).unwrap_or_else(|_| nameable());
    Some(WireEvent::Put(wire::Record { json }))
}

async fn send(sender: &Sender, event: Option<WireEvent>) -> Result<(), AuthError> {
    let closed = |_| StoreError::Unavailable("the watcher is gone".to_owned());
    sender.send(Ok(WatchEvent { event })).await.map_err(closed)?;
    Ok(())
}
