//! What can go wrong between a client and the auth server.

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection could not be made.
    #[error("cannot reach the auth server at {address}")]
    Connect {
        /// The addresses tried.
        address: String,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The auth server said no, or did not answer. The sentence is for a person.
    #[error("{reason}")]
    Call {
        /// What the auth server said.
        reason: String,
        /// Its kind.
        code: tonic::Code,
    },
    /// The answer makes no sense.
    #[error("the auth server's answer cannot be used")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Keys or certificates.
    #[error(transparent)]
    Certificate(#[from] certs::CertError),
    /// TLS.
    #[error(transparent)]
    Net(#[from] net::NetError),
}

impl ClientError {
    /// Whether trying again later may help.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Connect { .. } => true,
            Self::Call { code, .. } => matches!(
                code,
                tonic::Code::Unavailable
                    | tonic::Code::DeadlineExceeded
                    | tonic::Code::Cancelled
                    | tonic::Code::ResourceExhausted
                    | tonic::Code::Internal
                    | tonic::Code::Unknown
                    | tonic::Code::Aborted
                    | tonic::Code::DataLoss
            ),
            Self::Answer(_) | Self::Certificate(_) | Self::Net(_) => false,
        }
    }

    /// Whether the auth server knows no such record.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Call { code: tonic::Code::NotFound, .. })
    }

    /// Whether there is a record of that name already.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Call { code: tonic::Code::AlreadyExists, .. })
    }
}

/// An answer that cannot be used.
pub(crate) fn bad_answer(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
    ClientError::Answer(error.into())
}
