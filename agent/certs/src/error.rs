//! What can go wrong with keys and certificates.

/// Why a key or certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// A key could not be made.
    #[error("cannot make a {0} key")]
    MakeKey(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// A stored or received key cannot be read.
    #[error("cannot read the {0}")]
    ReadKey(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// A stored or received certificate cannot be read.
    #[error("cannot read the {0} certificate")]
    ReadCertificate(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// Signing failed.
    #[error("cannot sign the {0} certificate")]
    Sign(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// A field of the certificate breaks a rule.
    #[error("cannot make the certificate: {0}")]
    Field(String),
    /// The certificate does not come from whom it should.
    #[error("{0}")]
    Untrusted(String),
}

/// Wraps an error of a library.
pub(crate) fn boxed(
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Box<dyn std::error::Error + Send + Sync> {
    error.into()
}
