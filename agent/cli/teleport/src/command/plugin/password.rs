//! The password of a secret key: from a file, or from a person at a terminal, who does not see it.

use std::path::Path;

use plugin_host::publish::Password;
use terminal::{Explain, Failure};

/// The password for a new key. Whoever types it types it twice.
pub(super) fn new(file: Option<&Path>) -> Result<Password, Failure> {
    if let Some(file) = file {
        return Ok(Password::read(file)?);
    }
    let first = ask("Password for the new key: ")?;
    if first.is(&ask("The same again: ")?) {
        return Ok(first);
    }
    Err(Failure::new("the two passwords differ; no key was made"))
}

/// The password of a key that has one.
pub(super) fn of(key: &Path, file: Option<&Path>) -> Result<Password, Failure> {
    match file {
        Some(file) => Ok(Password::read(file)?),
        None => ask(&format!("Password of {}: ", key.display())),
    }
}

fn ask(prompt: &str) -> Result<Password, Failure> {
    let typed = rpassword::prompt_password(prompt)
        .while_doing("the password cannot be asked for")
        .hint("where there is no terminal, use --password-file, or a key made with --no-password")?;
    Ok(Password::new(typed)?)
}
