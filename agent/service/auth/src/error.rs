//! What can go wrong in the auth service, and how it is told to callers.

use api::refusal;
use domain::Timestamp;
use domain::access::api::ApiDenied;
use domain::resource::{Kind, ResourceError};
use domain::token::JoinRefusal;
use port::audit::AuditError;
use port::store::StoreError;
use tonic::{Code, Status};

/// Why the auth service could not do it.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The port cannot be listened on, or TLS not set up.
    #[error(transparent)]
    Net(#[from] net::NetError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The event could not be written, so the deed was not done.
    #[error("the audit log cannot be written, so this is refused")]
    Audit(#[from] AuditError),
    /// Keys or certificates.
    #[error(transparent)]
    Certificate(#[from] certs::CertError),
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] ApiDenied),
    /// The caller showed no certificate.
    #[error("this call needs a certificate of the cluster")]
    NoCertificate,
    /// The caller's certificate was good when it connected, and is no more.
    #[error("the certificate shown on this connection expired at {0}; connect again with a new one")]
    Expired(Timestamp),
    /// The caller is locked.
    #[error("access is locked: {0}")]
    Locked(String),
    /// The token does not admit the host.
    #[error(transparent)]
    Join(#[from] JoinRefusal),
    /// The host's UUID belongs to a node that is online.
    #[error(
        "a node with the UUID {0} is online already; if this host is a copy of it, delete host_uuid from its data_dir and join again"
    )]
    HostTaken(String),
    /// The host's UUID is that of a proxy's host, and the token is not for proxies.
    #[error(
        "the UUID {0} is that of a host that runs a proxy; to run a node beside it, join with a token for both roles (tctl tokens add --type=node,proxy); if this host is a copy of it, delete host_uuid from its data_dir"
    )]
    ProxysHost(String),
    /// The host's UUID belongs to a host with other keys, which may be silent.
    #[error(
        "the UUID {0} belongs to a host that joined with other keys; if this host is a copy of it, delete host_uuid from its data_dir and join again; if it is that host installed anew, have an administrator run tctl rm node/{0} first"
    )]
    HostKnown(String),
    /// The record breaks a rule.
    #[error(transparent)]
    Record(#[from] ResourceError),
    /// No such record.
    #[error("{kind} {name:?} does not exist")]
    NotFound {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// There is one already.
    #[error("{kind} {name:?} already exists")]
    Exists {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// Someone else changed it meanwhile.
    #[error("{kind} {name:?} was changed by someone else meanwhile; read it again and repeat the change")]
    Changed {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// Something else refers to it.
    #[error("{0}")]
    InUse(String),
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// Others came before; later there may be room.
    #[error("{0}")]
    TooMany(String),
    /// The store belongs to another cluster.
    #[error(
        "{store} belongs to the cluster {found:?}, but auth_service.cluster_name is {wanted:?}; renaming a cluster voids all its certificates: restore the name, or give the new cluster a store and a data_dir of its own, both empty"
    )]
    OtherCluster {
        /// The store.
        store: String,
        /// The cluster it belongs to.
        found: String,
        /// The cluster the configuration names.
        wanted: String,
    },
    /// The store is empty, and this host is no newcomer.
    #[error(
        "{store} is empty, but this data_dir belongs to {known}; no cluster was made there. To go on with that cluster, set teleport.storage to where its records are (is a path or a prefix mistyped?); to make a new cluster, use an empty data_dir"
    )]
    EmptyStore {
        /// The store.
        store: String,
        /// The cluster of the data folder, as a phrase.
        known: String,
    },
}

impl AuthError {
    /// The kind of failure, as gRPC says it.
    fn code(&self) -> Code {
        match self {
            Self::Store(StoreError::Unavailable(_)) | Self::Audit(_) => Code::Unavailable,
            Self::Store(StoreError::TooLarge { .. }) | Self::Record(_) | Self::Invalid(_) => {
                Code::InvalidArgument
            }
            Self::Store(StoreError::Conflict(_)) | Self::Changed { .. } => Code::Aborted,
            Self::Store(_)
            | Self::Net(_)
            | Self::Certificate(_)
            | Self::OtherCluster { .. }
            | Self::EmptyStore { .. } => Code::Internal,
            Self::NoCertificate | Self::Expired(_) => Code::Unauthenticated,
            Self::Denied(_) | Self::Locked(_) | Self::Join(_) => Code::PermissionDenied,
            Self::TooMany(_) => Code::ResourceExhausted,
            Self::NotFound { .. } => Code::NotFound,
            Self::Exists { .. } | Self::HostTaken(_) | Self::HostKnown(_) | Self::ProxysHost(_) => {
                Code::AlreadyExists
            }
            Self::InUse(_) => Code::FailedPrecondition,
        }
    }
}

impl From<AuthError> for Status {
    fn from(error: AuthError) -> Self {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        refusal(error.code(), text)
    }
}
