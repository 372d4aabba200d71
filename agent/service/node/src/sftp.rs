//! The SFTP server.
pub(crate) const BUILTIN: &str = "sftp";
