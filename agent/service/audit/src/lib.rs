//! The audit log of the auth server and the spool of every agent.
