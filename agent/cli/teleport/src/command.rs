//! One file per command.

pub(crate) mod configure;
pub(crate) mod plugin;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod version;
