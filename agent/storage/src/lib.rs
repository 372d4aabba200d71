//! The store port over SQLite and memory, with watch and expiry.
