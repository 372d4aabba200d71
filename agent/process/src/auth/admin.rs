//! What lets `tctl` in on this host: an identity that is kept fresh, and the address to use it at.
//!
//! Two auth servers may have one data folder. The later one's address is in it then; once nobody is there any more the
//! other one puts its own back.

use std::net::SocketAddr;
use std::time::Duration;

use auth_service::AuthService;
use domain::identity::SystemRole;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::data_dir::DataDir;
use crate::error::ProcessError;
use crate::{ADMIN_IDENTITY, AUTH_ADDRESS};

/// How often the identity of `tctl` is made anew; it lives for a week.
const RENEWAL: Duration = Duration::from_secs(86_400);

/// How often it is looked whether the address is this server's.
const LOOK: Duration = Duration::from_secs(5);

/// How long the server at another address may take to be connected to.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Leaves the address, readable by this user alone.
pub(super) fn leave_address(data: &DataDir, address: SocketAddr) -> Result<(), ProcessError> {
    data.write(AUTH_ADDRESS, format!("{address}\n").as_bytes())
}

/// Leaves an identity, readable by this user alone.
pub(super) async fn leave_identity(service: &AuthService, data: &DataDir) -> Result<(), ProcessError> {
    let admin = service.own_identity(SystemRole::Admin).await?;
    data.write(ADMIN_IDENTITY, admin.to_secret()?.reveal())
}

/// Keeps both as they should be, for ever.
pub(super) async fn keep(service: &AuthService, data: &DataDir, address: SocketAddr) {
    tokio::join!(keep_fresh(service, data), keep_address(service, data, address));
}

async fn keep_fresh(service: &AuthService, data: &DataDir) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        if let Err(error) = leave_identity(service, data).await {
            tracing::error!(error = &error as &dyn std::error::Error, "tctl's identity could not be renewed");
        }
    }
}

async fn keep_address(service: &AuthService, data: &DataDir, address: SocketAddr) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(other) = other(data, address) else { continue };
        if matches!(timeout(CONNECT_MAX, TcpStream::connect(other)).await, Ok(Ok(_))) {
            continue;
        }
        // The other one's cluster may have been in memory, and its identity means nothing now.
        let left = leave_identity(service, data).await.and_then(|()| leave_address(data, address));
        match left {
            Ok(()) => tracing::info!(%address, gone = %other, "tctl asks this auth server again"),
            Err(error) => tracing::warn!(%error, "tctl does not know where this auth server is"),
        }
    }
}

/// The address that is there, where it is another one's. A folder that is gone is not made anew.
fn other(data: &DataDir, address: SocketAddr) -> Option<SocketAddr> {
    let written = data.read(AUTH_ADDRESS).ok()??;
    let other: SocketAddr = std::str::from_utf8(&written).ok()?.trim().parse().ok()?;
    (other != address).then_some(other)
}
