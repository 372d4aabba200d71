//! Logs, metrics, health and redaction.
