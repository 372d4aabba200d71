//! `teleport plugin new`: a project for a new plugin, which builds with its language's own tools.
//!
//! Everything it needs of this repository is in the program: the contracts, and for Rust the SDK's sources, for
//! the SDK is in no registry and a project that builds only beside a checkout would be nobody's. It writes into
//! a folder that was not there before, and nowhere else.

use std::io::Write;
use std::path::{Path, PathBuf};

use domain::plugin::PluginName;
use terminal::{Explain as _, Failure, Printer, Screen};

use super::world::World;

mod template;

use template::{Language, Words};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What kind of plugin.
    #[arg(long, value_enum)]
    world: World,
    /// The language it is written in.
    #[arg(long, value_enum)]
    lang: Language,
    /// Its name: lower-case letters, digits and hyphens. A folder of this name is made.
    #[arg(value_name = "NAME", value_parser = name)]
    name: PluginName,
    /// Make the folder in this one.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out_dir: PathBuf,
}

fn name(text: &str) -> Result<PluginName, String> {
    PluginName::new(text).map_err(|error| error.to_string())
}

pub(crate) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let Arguments { world, lang, name, out_dir } = arguments;
    let folder = out_dir.join(name.as_str());
    let shown = folder.display();
    match std::fs::create_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Failure::new(format!("{shown} exists and is not written over"))
                .hint("take another name, or another place with --out-dir"));
        }
        made => made.while_doing(format!("cannot make the folder {shown}"))?,
    }
    let words = Words::new(name, *world, *lang);
    for (path, text) in template::files(*world, *lang) {
        write(&folder, &path, &words.fill(text))?;
    }
    let mut printer = Printer::new(out, Screen::pipe());
    printer.line(format!("made {shown}, a {} in {}", words.world(), words.language()))?;
    printer.line(format!("next:\n  cd {shown}"))?;
    words.commands().iter().try_for_each(|command| printer.line(format!("  {command}")))?;
    Ok(())
}

fn write(folder: &Path, path: &str, text: &str) -> Result<(), Failure> {
    let path = folder.join(path);
    let doing = || format!("cannot write {}", path.display());
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).while_doing(doing())?;
    }
    std::fs::write(&path, text).while_doing(doing())
}
