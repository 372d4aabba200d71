//! Why a process does not start, or stops by itself.

use std::path::PathBuf;

/// Why a process does not start, or stops by itself. Printed as a chain by the program.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Configuration: a token or pin file.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    /// The data folder.
    #[error(
        "cannot use the data folder {path}; choose another with --data-dir, or let this user write to it"
    )]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What happened.
        #[source]
        source: sys::file::FileError,
    },
    /// A file in the data folder.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// A certificate of the web port, or its key.
    #[error("cannot read {path}, which proxy_service.https_keypairs names")]
    Keypair {
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// A file in the data folder cannot be written.
    #[error(transparent)]
    Write(#[from] sys::file::FileError),
    /// A file in the data folder does not hold what it should.
    #[error("{path} is damaged: {reason}; {remedy}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The data folder holds an identity of another cluster than the one this process serves.
    #[error(
        "{path} is an identity of the cluster {found:?}, but {store} belongs to {served}; use an empty data_dir for that cluster, or set teleport.storage to where the records of this one are"
    )]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// The cluster of the identity on disk.
        found: String,
        /// The store.
        store: String,
        /// The cluster of the store, as a phrase: the names of both may be the same.
        served: String,
    },
    /// The store.
    #[error("cannot open the store")]
    Store(#[from] storage::OpenError),
    /// The store in etcd. What it is reached with is told, for etcd's refusals name no file.
    #[error(
        "cannot open the store in etcd: {reason}. It was asked with tls_cert_file {certificate}, which a member that refuses TLS or closes the connection does not take; a member is trusted when {believed} vouches for it"
    )]
    Etcd {
        /// What happened.
        reason: String,
        /// The files of the client certificate and its key.
        certificate: String,
        /// Whose word is taken for the members.
        believed: String,
    },
    /// A kind of store this version cannot open.
    #[error("storage.type {0} is not served by this version; use sqlite, the default")]
    StoreKind(&'static str),
    /// The audit log or spool.
    #[error("cannot open the audit log")]
    Audit(#[from] audit_service::AuditServiceError),
    /// The auth service.
    #[error("the auth service cannot start")]
    Auth(#[from] auth_service::AuthError),
    /// The web port.
    #[error("the web port cannot start")]
    Web(#[from] web_service::WebError),
    /// A port of a service that cannot be had.
    #[error("the address of {key} cannot be served")]
    Listen {
        /// Where it can be written.
        key: &'static str,
        /// What happened.
        #[source]
        source: net::NetError,
    },
    /// Listening.
    #[error(transparent)]
    Net(#[from] net::NetError),
    /// Keys or certificates.
    #[error(transparent)]
    Certificate(#[from] certs::CertError),
    /// The plugin host.
    #[error("the plugin host cannot start")]
    Plugins(#[from] plugin_host::LoadError),
    /// Joining.
    #[error("cannot join the cluster as {role}")]
    Join {
        /// As what.
        role: domain::identity::SystemRole,
        /// What happened.
        #[source]
        source: client::ClientError,
    },
    /// Nothing says how the auth server is to be trusted.
    #[error(
        "cannot tell whether {servers} is the right cluster: {reason}; give --ca-pin (tctl status prints it on the auth server), or --insecure to trust whoever answers"
    )]
    NoTrust {
        /// The servers asked.
        servers: String,
        /// Why its public certificate does not help.
        reason: String,
    },
    /// No identity, and nothing to get one with.
    #[error(
        "this host has not joined the cluster as {0} and has no join token; give --token (tctl tokens add --type={0} makes one)"
    )]
    NoToken(domain::identity::SystemRole),
    /// The identity has run out.
    #[error(
        "the certificates of this host as {0} have expired while it was away; join again with --token (tctl tokens add --type={0})"
    )]
    Expired(domain::identity::SystemRole),
    /// A service ended by itself.
    #[error("the {service} service stopped: {reason}")]
    Stopped {
        /// Which.
        service: &'static str,
        /// Why.
        reason: String,
    },
    /// The diagnostics port.
    #[error("the diagnostics port stopped")]
    Diagnostics(#[source] std::io::Error),
}

impl ProcessError {
    /// What a port that cannot be had is told as; `key` is where its address can be written.
    pub(crate) fn listen(key: &'static str) -> impl FnOnce(net::NetError) -> Self {
        move |source| Self::Listen { key, source }
    }
}
