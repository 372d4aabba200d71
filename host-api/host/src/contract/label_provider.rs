//! `teleport:label-provider`: plugins that compute dynamic labels. A fresh instance per call.

pub(crate) mod v1;
