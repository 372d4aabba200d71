//! From settings to running services.
