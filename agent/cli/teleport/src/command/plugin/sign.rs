//! `teleport plugin sign`: vouches for a plugin with a publisher's key.

use std::io::Write;
use std::path::{Path, PathBuf};

use plugin_host::publish::{Package, PublisherName, SecretKeyFile};
use terminal::{Failure, Printer, Screen};

use super::password;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The secret key, from `teleport plugin keygen` or `minisign -G`.
    #[arg(short, long, value_name = "FILE")]
    key: PathBuf,
    /// Unlock the key with the first line of this file instead of asking.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The component; name and version are those of the manifest in it, or of plugin.toml beside it.
    #[arg(value_name = "plugin.wasm")]
    plugin: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    // Read first, so that nobody types a password for a file that cannot be signed.
    let package = Package::read(&arguments.plugin)?;
    let file = SecretKeyFile::read(&arguments.key)?;
    let password = match file.has_password() {
        true => Some(password::of(&arguments.key, arguments.password_file.as_deref())?),
        false => None,
    };
    let key = file.unlock(password.as_ref())?;
    let signed = package.sign(&key)?;
    let (name, version) = (&signed.statement.name, &signed.statement.version);
    let mut printer = Printer::new(out, Screen::pipe());
    if signed.embedded_now {
        printer.line(format!("put the manifest into {}", arguments.plugin.display()))?;
    }
    printer.line(format!("signed {name} {version} with key {}, {}", key.public().id(), signed.digest))?;
    printer.line(format!(
        "wrote {}; it goes beside plugin.wasm as plugin.wasm.minisig",
        signed.signature.display()
    ))?;
    printer.line("operators who trust the key add these lines, and the grants that `tctl plugins install` prints, to teleport.yaml:")?;
    let publisher = publisher(&arguments.key);
    let yaml = format!(
        "teleport:\n  plugins:\n    publishers:\n      {publisher}: {}\n    load:\n      {name}:\n        publishers: [{publisher}]",
        key.public()
    );
    printer.line(yaml)?;
    Ok(())
}

/// What operators may call whose key this is: as its file is called.
fn publisher(key: &Path) -> String {
    let stem = key.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    PublisherName::new(stem).map_or_else(|_| "publisher".to_owned(), |name| name.to_string())
}
