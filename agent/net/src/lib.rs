//! Listening, dialling, TLS, ALPN routing and connection limits.
