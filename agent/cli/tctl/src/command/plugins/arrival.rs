//! Getting a plugin from where it is: a file, or a registry; into memory and looked into, no further.

use std::path::Path;

use clap::Args;
use plugin_host::Compiler;
use plugin_host::publish::Delivery;
use plugin_oci::{Credentials, Place, SCHEME};
use terminal::Failure;

use crate::context::Context;

/// Where a plugin is.
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    /// Speak HTTP without TLS with a registry on another machine
    #[arg(long)]
    plain_http: bool,
    /// Speak TLS also with a registry on this machine
    #[arg(long, conflicts_with = "plain_http")]
    tls: bool,
}

/// A plugin from somewhere.
pub(super) struct Arrival {
    pub(super) delivery: Delivery,
    /// Where it came from: a path, or a place in a registry by digest.
    pub(super) from: String,
}

impl SourceArgs {
    /// Fetches a plugin that is to be installed, and looks into it.
    ///
    /// # Errors
    /// A failure that says which step it was.
    pub(super) async fn fetch(&self, source: &str, context: &mut Context<'_>) -> Result<Arrival, Failure> {
        let Some(path) = file(source)? else { return self.pull(source, context).await };
        let delivery = Delivery::read(path, &Compiler::this_program()).await?;
        Ok(Arrival { delivery, from: source.to_owned() })
    }

    /// Fetches a plugin that is looked at and no more: the manifest of a file may still be beside it.
    ///
    /// # Errors
    /// As for [`SourceArgs::fetch`].
    pub(super) async fn look(&self, source: &str, context: &mut Context<'_>) -> Result<Arrival, Failure> {
        let Some(path) = file(source)? else { return self.pull(source, context).await };
        let delivery = Delivery::look(path, &Compiler::this_program()).await?;
        Ok(Arrival { delivery, from: source.to_owned() })
    }

    async fn pull(&self, source: &str, context: &mut Context<'_>) -> Result<Arrival, Failure> {
        let place = Place::parse(source, self.plain_http)?;
        let place = if self.tls { place.with_tls() } else { place };
        let credentials = Credentials::of_this_user(place.registry())?;
        let artifact = plugin_oci::pull(&place, &credentials).await.map_err(|error| {
            let advice = error.advice(&place);
            advice.into_iter().fold(Failure::from(error), Failure::hint)
        })?;
        let from = place.pinned(&artifact.digest);
        if place.digest().is_none() {
            context.note(format_args!("{place} is {from}"));
        }
        let compiler = Compiler::this_program();
        let delivery = Delivery::examine(&from, artifact.wasm, artifact.signature, &compiler).await?;
        Ok(Arrival { delivery, from })
    }
}

/// The file that is meant; none where it is a registry's place.
fn file(source: &str) -> Result<Option<&Path>, Failure> {
    if source.starts_with(SCHEME) {
        return Ok(None);
    }
    let path = Path::new(source);
    if source.contains("://") && !path.exists() {
        return Err(Failure::new(format!(
            "{source} cannot be fetched: a plugin comes from a file or from {SCHEME}REGISTRY/NAME"
        ))
        .hint("download it first and name the file, or name a registry that it was pushed to"));
    }
    if path.is_dir() {
        return Err(Failure::new(format!("{source} is a folder"))
            .hint(format!("a plugin is one file: {}/plugin.wasm", source.trim_end_matches('/'))));
    }
    Ok(Some(path))
}

/// Whether this names a file or a registry's place and not a plugin.
pub(super) fn is_source(text: &str) -> bool {
    text.starts_with(SCHEME) || text.contains('/') || text.ends_with(".wasm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_no_registrys_is_refused_with_what_can_be_named() {
        for address in ["https://foo/x", "http://foo/x.wasm", "ftp://foo/x", "OCI://foo/x"] {
            let error = file(address).unwrap_err().render();
            assert!(
                error.contains(address) && error.contains("a file or from oci://REGISTRY/NAME"),
                "{error}"
            );
        }
        assert_eq!(file("oci://foo/x").unwrap(), None);
        assert_eq!(file("x/plugin.wasm").unwrap(), Some(Path::new("x/plugin.wasm")));
    }
}
