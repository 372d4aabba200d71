//! `teleport:storage-backend`: plugins that keep the cluster's records.

pub(crate) mod v1;
