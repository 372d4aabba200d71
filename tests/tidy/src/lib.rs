//! The house rules, executed.
