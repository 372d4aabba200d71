//! The SSH server of a host.
