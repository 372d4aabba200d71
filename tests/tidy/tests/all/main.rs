//! The rules of the house, one topic per file.

mod arrow;
mod contract;
mod layout;
mod manifest;
mod source;
mod text;

/// Fails with all that is wrong, each with its place.
fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n  {}\n", problems.join("\n  "));
}
