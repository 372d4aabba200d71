//! The SSH proxy users connect through.
