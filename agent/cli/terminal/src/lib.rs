//! How any command meets a person: what it prints, how it fails, what it exits with.
//!
//! A command gets a [`Printer`] and returns `Result<(), Failure>`; its program hands both to
//! [`finish`]. Tables are plain columns, wide on a pipe and fitted on a terminal; `--format` gives
//! the same data as JSON or YAML. Errors are printed in one place, as the chain of what failed and
//! why, with hints on lines of their own.
//!
//! ```
//! use teleport_terminal::{Column, Format, Printer, Screen, Table};
//!
//! # fn main() -> Result<(), teleport_terminal::Failure> {
//! let mut out = Vec::new();
//! let mut printer = Printer::new(&mut out, Screen::pipe());
//! printer.list(Format::Text, &["joe"], |users| {
//!     let mut table = Table::new([Column::new("User"), Column::new("Roles")]);
//!     users.iter().for_each(|user| table.row([user.to_string(), "access".into()]));
//!     table
//! })?;
//! assert_eq!(String::from_utf8_lossy(&out), "User     Roles\n----     -----\njoe      access\n");
//! # Ok(())
//! # }
//! ```
//!
//! Refuses to: print anywhere but where it was told, exit the process, ask questions.

mod arguments;
mod expiry;
mod failure;
mod format;
mod printer;
mod screen;
mod table;

pub use arguments::parse;
pub use expiry::expiry;
pub use failure::{Explain, Failure, finish};
pub use format::{Format, FormatArgs};
pub use printer::{PrintError, Printer};
pub use screen::Screen;
pub use table::{Column, Table};
