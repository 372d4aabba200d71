//! The HTTPS port: web API and ALPN routing.
