//! `teleport plugin push`: puts a plugin into a registry, as `tctl plugins install` takes it from there.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use domain::plugin::Manifest;
use plugin_host::Compiler;
use plugin_host::publish::Delivery;
use plugin_oci::{Credentials, Place, Upload};
use terminal::{Failure, Printer, Screen};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Speak HTTP without TLS with a registry on another machine.
    #[arg(long)]
    plain_http: bool,
    /// Speak TLS also with a registry on this machine.
    #[arg(long, conflicts_with = "plain_http")]
    tls: bool,
    /// The component with its manifest in it; the signature beside it goes along.
    #[arg(value_name = "plugin.wasm")]
    plugin: PathBuf,
    /// Where to; without a tag, the plugin's version is the tag.
    #[arg(value_name = "oci://HOST/REPOSITORY[:TAG]")]
    to: String,
}

pub(crate) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let place = Place::parse(&arguments.to, arguments.plain_http)?;
    let place = if arguments.tls { place.with_tls() } else { place };
    if place.digest().is_some() {
        return Err(Failure::usage("a digest is what pushing results in; write a tag, or nothing"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let compiler = Compiler::this_program();
    let delivery = runtime.block_on(Delivery::read(&arguments.plugin, &compiler))?;
    let manifest = delivery.manifest();
    let place = place.or_tag(&manifest.version);
    let credentials = Credentials::of_this_user(place.registry())?;
    let upload = Upload {
        wasm: delivery.wasm().clone(),
        signature: delivery.signature().map(<[u8]>::to_vec),
        imports: delivery.imports().to_vec(),
        exports: delivery.exports().to_vec(),
        annotations: annotations(manifest),
    };
    let signed = upload.signature.is_some();
    let digest = runtime.block_on(plugin_oci::push(&place, &credentials, upload)).map_err(|error| {
        let advice = error.advice(&place);
        advice.into_iter().fold(Failure::from(error), Failure::hint)
    })?;
    let mut printer = Printer::new(out, Screen::pipe());
    let how = if signed { "with its signature" } else { "without a signature" };
    printer.line(format!("pushed {} {} {how} to {place}", manifest.name, manifest.version))?;
    printer.line(format!("operators install it with: tctl plugins install {}", place.pinned(&digest)))?;
    Ok(())
}

/// What registries show of an artifact (OCI image specification, annotations).
fn annotations(manifest: &Manifest) -> BTreeMap<String, String> {
    let homepage = manifest.homepage.as_ref().map(|link| ("url", link.clone()));
    let said = [
        ("title", manifest.name.to_string()),
        ("version", manifest.version.clone()),
        ("description", manifest.description.clone()),
    ];
    let said = said.into_iter().chain(homepage);
    said.map(|(key, value)| (format!("org.opencontainers.image.{key}"), value)).collect()
}
