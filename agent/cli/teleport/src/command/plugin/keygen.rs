//! `teleport plugin keygen`: a key to sign plugins with.

use std::io::Write;
use std::path::PathBuf;

use plugin_host::publish::{self, PublisherName};
use terminal::{Failure, Printer, Screen};

use super::password;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The publisher's name: NAME.key and NAME.pub are written.
    #[arg(short, long, value_name = "NAME", default_value = "publisher")]
    output: String,
    /// Write to this folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out_dir: PathBuf,
    /// Lock the secret key with the first line of this file instead of asking.
    #[arg(long, value_name = "FILE", conflicts_with = "no_password")]
    password_file: Option<PathBuf>,
    /// Leave the secret key unlocked: whoever reads the file can sign.
    #[arg(long)]
    no_password: bool,
}

pub(crate) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let name = PublisherName::new(arguments.output.as_str())
        .map_err(|error| Failure::usage(error.to_string()).hint("name the folder with --out-dir"))?;
    let path = |ending| arguments.out_dir.join(format!("{name}.{ending}"));
    let (secret, public) = (path("key"), path("pub"));
    publish::check_free(&[&secret, &public])?;
    let password = match arguments.no_password {
        true => None,
        false => Some(password::new(arguments.password_file.as_deref())?),
    };
    let key = publish::generate(&secret, &public, password.as_ref())?;
    let mut printer = Printer::new(out, Screen::pipe());
    printer.line(format!("wrote {}: the secret key; keep it, it signs in your name", secret.display()))?;
    printer.line(format!("wrote {}: the public key {}, for operators", public.display(), key.id()))?;
    printer.line("operators add to teleport.yaml:")?;
    printer.line(format!("teleport:\n  plugins:\n    publishers:\n      {name}: {key}"))?;
    Ok(())
}
