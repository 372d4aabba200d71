//! In-memory twins of the ports, with fault switches, for tests.
