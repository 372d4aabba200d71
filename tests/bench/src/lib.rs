//! Benchmarks beside the real peers.
