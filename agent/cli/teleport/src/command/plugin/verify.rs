//! `teleport plugin verify`: whether the daemon would take a file for the plugin it says it is; and, with a
//! configuration, whether that gives it what it asks for.

use std::io::Write;
use std::path::{Path, PathBuf};

use config::Settings;
use plugin_host::PluginSettings;
use plugin_host::publish::{Package, PublicKey, PublishError, Publisher, PublisherName};
use terminal::{Explain, Failure, FormatArgs, Printer, Screen};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Accept a signature by this key: the key itself or its .pub file; may be given several times.
    #[arg(long, value_name = "KEY", conflicts_with = "config")]
    publisher: Vec<String>,
    /// Go by what this configuration says of the plugin [default: /etc/teleport.yaml].
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    format: FormatArgs,
    /// The component; its signature is expected beside it.
    #[arg(value_name = "plugin.wasm")]
    plugin: PathBuf,
}

/// A plugin somebody vouches for.
#[derive(serde::Serialize)]
struct Verified {
    name: String,
    version: String,
    digest: String,
    /// Whose signature it has; nobody's where its digest alone is pinned.
    publisher: Option<String>,
    /// The number of their key.
    key: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let package = Package::read(&arguments.plugin)?;
    let publisher = if arguments.publisher.is_empty() {
        let file = arguments.config.as_deref().unwrap_or(Path::new(config::DEFAULT_FILE));
        fits(&package, &configuration(file)?)?
    } else {
        let publishers = arguments.publisher.iter().map(|text| given(text)).collect::<Result<_, _>>()?;
        package.verify(&PluginSettings { publishers, ..PluginSettings::default() }, &[])?
    };
    let verified = Verified {
        name: package.manifest().name.to_string(),
        version: package.manifest().version.clone(),
        digest: package.digest().to_string(),
        key: publisher.as_ref().map(|publisher| publisher.key.id().to_string()),
        publisher: publisher.map(|publisher| publisher.name.to_string()),
    };
    Printer::new(out, Screen::pipe()).record(arguments.format.format, &verified, text)?;
    Ok(())
}

fn text(verified: &Verified) -> String {
    let Verified { name, version, digest, publisher, key } = verified;
    match (publisher, key) {
        (Some(publisher), Some(key)) => {
            format!("{name} {version}: signed by {publisher} with key {key}, {digest}")
        }
        _ => format!("{name} {version}: not signed, its digest is pinned, {digest}"),
    }
}

fn configuration(path: &Path) -> Result<Settings, Failure> {
    let file = path.display().to_string();
    let text = config::read_file(path)
        .while_doing(format!("cannot read {file}"))
        .hint("name another configuration with -c, or a key with --publisher")?;
    Ok(config::check(&text, &file)?)
}

/// Whether a daemon with this configuration would take a plugin, and gives it what it asks for. Gives back the
/// publisher whose signature it has, if one is asked for.
///
/// # Errors
/// [`PublishError`] with what the daemon would say.
pub(crate) fn fits(package: &Package, settings: &Settings) -> Result<Option<Publisher>, PublishError> {
    let publishers = settings.plugins.publishers.iter();
    let known: Vec<_> =
        publishers.map(|(name, key)| Publisher { name: name.clone(), key: key.clone() }).collect();
    let written = process::plugin_settings(settings, &package.manifest().name);
    let publisher = package.verify(&written, &known)?;
    package.agrees(&written)?;
    Ok(publisher)
}

/// A key on the command line, or the file it is in, which then gives the publisher its name.
fn given(text: &str) -> Result<Publisher, Failure> {
    let named = |name: &str, key| {
        let name = PublisherName::new(name).or_else(|_| PublisherName::new("publisher"))?;
        Ok(Publisher { name, key })
    };
    if let Ok(key) = PublicKey::parse(text) {
        return named("publisher", key);
    }
    let path = Path::new(text);
    let content = config::read_file(path)
        .while_doing(format!("{text} is neither a minisign public key nor a file with one"))?;
    let key = PublicKey::parse_file(&content).map_err(|error| Failure::new(format!("{text} {error}")))?;
    named(path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default(), key)
}
