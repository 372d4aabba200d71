//! What is spoken inside TLS on the web port.

/// gRPC to the auth server, passed through a proxy unopened.
pub const AUTH: &[u8] = b"teleport-auth";
/// The SSH link of an agent.
pub const TUNNEL: &[u8] = b"teleport-reversetunnel";
/// The web API and pages.
pub const HTTP2: &[u8] = b"h2";
/// The web API and pages.
pub const HTTP1: &[u8] = b"http/1.1";
