//! One file per benchmark.

pub(crate) mod bulk;
pub(crate) mod certificates;
pub(crate) mod frames;
pub(crate) mod latency;
pub(crate) mod machine;
pub(crate) mod memory;
pub(crate) mod parallel;
pub(crate) mod plugin;
pub(crate) mod sessions;
pub(crate) mod start;
pub(crate) mod tunnels;
