//! A lock that comes into force ends the connections of whom it shuts out.
//!
//! Only locks do: a role that changes and a certificate that ends keep a connection from anything
//! new, and what runs goes on. Ending a connection hangs its sessions up, as when the client goes.

use std::time::Duration;

use domain::audit::{Context, Detail};
use russh::Disconnect;
use russh::server::Handle;
use tokio::sync::oneshot;

use super::signed_in::SignedIn;

/// How long telling the client may take; one that does not listen need not hear it.
const GOODBYE: Duration = Duration::from_secs(1);

/// Somebody has signed in.
pub(crate) struct Arrival {
    pub(super) who: SignedIn,
    pub(super) context: Context,
    /// The client's connection.
    pub(super) client: Handle,
}

/// Waits for the user to come in and for a lock to shut them out. They have been told why when this
/// returns, which it does for nobody else.
pub(crate) async fn shut_out(arrival: oneshot::Receiver<Arrival>) {
    let Ok(Arrival { who, context, client }) = arrival.await else { return std::future::pending().await };
    let mut locks = who.service().deps.view.follow_locks();
    let reason = loop {
        if let Some(reason) = who.locked_out() {
            break reason;
        }
        if locks.changed().await.is_err() {
            return std::future::pending().await;
        }
    };
    tracing::info!(user = context.user, login = context.login, reason, "a lock ends a connection");
    let saying = client.disconnect(Disconnect::ByApplication, reason.clone(), String::new());
    let _ = tokio::time::timeout(GOODBYE, saying).await;
    let service = std::sync::Arc::clone(who.service());
    // A slow disk must not keep the connection open.
    tokio::spawn(async move { service.door.note(context, Detail::ClientDisconnect { reason }).await });
}
