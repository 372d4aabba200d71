//! How a request went, in the protocol's few words (draft-ietf-secsh-filexfer-02 section 7).

use std::io;

use rustix::io::Errno;

use super::wire::{Malformed, Output, kind};

/// The protocol's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Ok = 0,
    Eof = 1,
    NoSuchFile = 2,
    PermissionDenied = 3,
    Failure = 4,
    BadMessage = 5,
    Unsupported = 8,
}

/// Why a request did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: Code,
    /// For a person.
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(code: Code, message: &str) -> Self {
        Self { code, message: message.to_owned() }
    }

    /// There is no more.
    pub(super) fn eof() -> Self {
        Self::new(Code::Eof, "End of file")
    }
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        // As OpenSSH's server has it, so that its clients say what they are used to saying.
        let code = match error {
            Errno::NOENT | Errno::NOTDIR | Errno::BADF | Errno::LOOP => Code::NoSuchFile,
            Errno::PERM | Errno::ACCESS | Errno::FAULT => Code::PermissionDenied,
            Errno::NAMETOOLONG | Errno::INVAL => Code::BadMessage,
            Errno::NOSYS | Errno::OPNOTSUPP => Code::Unsupported,
            _ => Code::Failure,
        };
        let text = io::Error::from(error).to_string();
        // Without Rust's " (os error 2)".
        let message = text.split_once(" (os error").map_or(text.as_str(), |(message, _)| message);
        Self::new(code, message)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => errno.into(),
            // The one error of the standard library's own: a path with a NUL in it.
            None if error.kind() == io::ErrorKind::InvalidInput => Errno::INVAL.into(),
            None => Self::new(Code::Failure, &error.to_string()),
        }
    }
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Self::new(Code::BadMessage, "The request is malformed")
    }
}

/// Answers with a status.
pub(super) fn write(out: &mut Vec<u8>, id: u32, code: Code, message: &str) {
    let start = out.begin(kind::STATUS);
    out.put_u32(id);
    out.put_u32(code as u32);
    out.put_string(message.as_bytes());
    // The language, which is none in particular.
    out.put_string(b"");
    out.end(start);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_are_told_apart_and_in_its_words() {
        let missing = Failure::from(io::Error::from_raw_os_error(2));
        assert_eq!(missing, Failure::new(Code::NoSuchFile, "No such file or directory"));
        assert_eq!(Failure::from(Errno::ACCESS).code, Code::PermissionDenied);
        assert_eq!(Failure::from(Errno::DQUOT).code, Code::Failure);
        assert!(Failure::from(Errno::DQUOT).message.contains("quota"));
        let nul = std::fs::File::open("a\0b").unwrap_err();
        assert_eq!(Failure::from(nul).code, Code::BadMessage);
    }
}
