//! What can go wrong on the network.

use std::net::SocketAddr;

/// Why a connection or listener could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// A port cannot be listened on.
    #[error("cannot listen on {address}{}", hint(.source))]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// A name has no address.
    #[error("cannot find the address of {address}")]
    Resolve {
        /// The name.
        address: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// Nobody answers.
    #[error("cannot connect to {address}")]
    Connect {
        /// Who was called.
        address: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// Nobody answers in time.
    #[error("{address} did not answer within {seconds} s")]
    Timeout {
        /// Who was called.
        address: String,
        /// How long was waited.
        seconds: u64,
    },
    /// A key pair cannot be served.
    #[error("the web certificate of {place} cannot be served: its {what} is not in order")]
    Pair {
        /// Where it was read.
        place: String,
        /// What of it.
        what: &'static str,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A TLS configuration cannot be built.
    #[error("cannot use the TLS {what}")]
    Config {
        /// What of it.
        what: &'static str,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The remedy, where the error of a listener has a usual one.
fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            " (another program listens there; end it, or choose another port in teleport.yaml)"
        }
        std::io::ErrorKind::PermissionDenied => " (ports below 1024 need root or CAP_NET_BIND_SERVICE)",
        std::io::ErrorKind::AddrNotAvailable => " (this host has no such address)",
        _ => "",
    }
}
