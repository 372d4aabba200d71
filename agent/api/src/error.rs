//! How errors travel: a gRPC status with one sentence a person can act on.

use tonic::{Code, Status};

/// A refusal with the sentence the caller sees.
pub fn refusal(code: Code, reason: impl std::fmt::Display) -> Status {
    Status::new(code, reason.to_string())
}

/// What a person is told of a failed call. `whom` is the address called.
pub fn status_text(status: &Status, whom: &str) -> String {
    let message = status.message();
    match status.code() {
        Code::DeadlineExceeded | Code::Cancelled => {
            format!("the auth server at {whom} did not answer in time")
        }
        Code::Unauthenticated => {
            format!("the auth server at {whom} does not know this certificate: {message}")
        }
        Code::Unimplemented => {
            format!("the auth server at {whom} does not know this call; it may run an older version")
        }
        _ => message.to_owned(),
    }
}
