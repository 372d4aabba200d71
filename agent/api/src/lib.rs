//! The wire between agents, auth and tools.
