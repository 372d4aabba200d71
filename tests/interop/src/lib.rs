//! Real OpenSSH and other clients against a real cluster.
