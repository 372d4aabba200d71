//! The certificate authority: joining, certificates, resources, heartbeats.
