//! A plugin as it lies in a registry: from bytes to layers and back.
//!
//! What comes back has been held against every digest on the way: the manifest against the one that was
//! asked for, each layer against the manifest's. Bytes are taken into memory up to a bound and go
//! nowhere else.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use domain::plugin::Digest;
use oci_client::Client;
use oci_client::client::{ClientConfig, Config, ImageLayer};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::credential::Credentials;
use crate::error::OciError;
use crate::fetch::{Fetch, Refused, SILENT, USER_AGENT};
use crate::place::{LATEST, Place};

/// The largest component, in bytes: what the plugin host takes.
pub const LAYER_MAX: u64 = 64 << 20;

/// The largest manifest, and the largest signature, in bytes.
const SMALL_MAX: u64 = 64 << 10;

/// How long a registry may take to answer with a manifest.
const MANIFEST_TIME: Duration = Duration::from_secs(30);

/// How long all bytes may take.
const WHOLE_TIME: Duration = Duration::from_secs(600);

/// The configuration's media type (CNCF Wasm OCI artifact layout).
const CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// The component's (the same).
const WASM: &str = "application/wasm";

/// The signature's: ours.
const SIGNATURE: &str = "application/vnd.teleport.plugin.signature.v1+minisig";

/// A plugin that was pulled.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The digest of its manifest: what a place is pinned by.
    pub digest: Digest,
    /// The component.
    pub wasm: Bytes,
    /// The publisher's signature, if it has one.
    pub signature: Option<Vec<u8>>,
}

/// A plugin to be pushed.
#[derive(Debug, Clone, Default)]
pub struct Upload {
    /// The component.
    pub wasm: Bytes,
    /// The publisher's signature.
    pub signature: Option<Vec<u8>>,
    /// What it imports, for whoever looks before pulling.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// What the manifest of the artifact says beside: OCI's own keys.
    pub annotations: BTreeMap<String, String>,
}

/// The configuration of the artifact. It has no time of its own: the same plugin is the same artifact.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WasmConfig {
    created: String,
    architecture: String,
    os: String,
    layer_digests: Vec<String>,
    component: Option<Component>,
}

#[derive(Serialize, Deserialize)]
struct Component {
    exports: Vec<String>,
    imports: Vec<String>,
    target: Option<String>,
}

impl Fetch<'_> {
    /// The manifest, whose digest is the one that was asked for.
    async fn manifest(&self, place: &Place) -> Result<(OciImageManifest, Digest), OciError> {
        let reference = place.reference();
        let named = reference.digest().or(reference.tag()).unwrap_or(LATEST);
        let path = format!("manifests/{named}");
        let reading = self.get(&path, OCI_IMAGE_MEDIA_TYPE, SMALL_MAX);
        let bytes = bounded("manifest", place, SMALL_MAX, MANIFEST_TIME, reading).await?;
        let digest = Digest::of(&bytes);
        if let Some(wanted) = place.digest().filter(|wanted| *wanted != digest) {
            return Err(other("manifest", place, digest, wanted.to_string()));
        }
        let manifest: OciImageManifest = serde_json::from_slice(&bytes)
            .map_err(|error| no_plugin(place, format!("its manifest cannot be read: {error}")))?;
        Ok((manifest, digest))
    }

    /// The bytes of a layer, whose digest is the manifest's.
    async fn layer(
        &self,
        what: &'static str,
        place: &Place,
        layer: &OciDescriptor,
        max: u64,
    ) -> Result<Vec<u8>, OciError> {
        if u64::try_from(layer.size).map_or(true, |size| size > max) {
            return Err(OciError::TooLarge { what, place: place.to_string(), max });
        }
        // Ours is of sha256 alone, so that nothing but its digits becomes part of a path.
        let wanted = Digest::parse(&layer.digest).map_err(|error| no_plugin(place, error.to_string()))?;
        let path = format!("blobs/{wanted}");
        let reading = self.get(&path, "*/*", max);
        let bytes = bounded(what, place, max, WHOLE_TIME, reading).await?;
        match Digest::of(&bytes) {
            digest if digest == wanted => Ok(bytes),
            digest => Err(other(what, place, digest, wanted.to_string())),
        }
    }
}

/// What a registry gives, within its bounds.
async fn bounded(
    what: &'static str,
    place: &Place,
    max: u64,
    limit: Duration,
    reading: impl Future<Output = Result<Vec<u8>, Refused>>,
) -> Result<Vec<u8>, OciError> {
    let shown = || place.to_string();
    match timeout(limit, reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(Refused::TooLarge)) => Err(OciError::TooLarge { what, place: shown(), max }),
        Ok(Err(Refused::Other(source))) => Err(failed("pulling", place)(source)),
        Err(_) => Err(OciError::TimedOut { what: "pulling", place: shown(), limit }),
    }
}

async fn begin<'a>(place: &'a Place, credentials: &Credentials) -> Result<Fetch<'a>, OciError> {
    // Whoever installed one before has installed this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (what, limit) = ("reaching", MANIFEST_TIME);
    match timeout(limit, Fetch::begin(place, credentials)).await {
        Ok(begun) => begun,
        Err(_) => Err(OciError::TimedOut { what, place: place.to_string(), limit }),
    }
}

/// Pulls a plugin.
///
/// # Errors
/// [`OciError`]; nothing was written anywhere.
pub async fn pull(place: &Place, credentials: &Credentials) -> Result<Artifact, OciError> {
    let fetch = begin(place, credentials).await?;
    let (manifest, digest) = fetch.manifest(place).await?;
    let (wasm, signature) = layers(place, &manifest)?;
    let wasm = fetch.layer("component", place, wasm, LAYER_MAX).await?.into();
    let signature = match signature {
        Some(layer) => Some(fetch.layer("signature", place, layer, SMALL_MAX).await?),
        None => None,
    };
    Ok(Artifact { digest, wasm, signature })
}

/// The layers of a plugin among those of a manifest.
fn layers<'a>(
    place: &Place,
    manifest: &'a OciImageManifest,
) -> Result<(&'a OciDescriptor, Option<&'a OciDescriptor>), OciError> {
    let no_plugin = |reason| Err(no_plugin(place, reason));
    if manifest.config.media_type != CONFIG {
        return no_plugin(format!("its configuration is {:?} and not {CONFIG}", manifest.config.media_type));
    }
    let (mut wasm, mut signature) = (None, None);
    for layer in &manifest.layers {
        let place = match layer.media_type.as_str() {
            WASM => &mut wasm,
            SIGNATURE => &mut signature,
            other => return no_plugin(format!("it has a layer {other:?}")),
        };
        if place.replace(layer).is_some() {
            return no_plugin(format!("it has two layers {:?}", layer.media_type));
        }
    }
    match wasm {
        Some(wasm) => Ok((wasm, signature)),
        None => no_plugin(format!("it has no layer {WASM}")),
    }
}

/// Pushes a plugin; gives back the digest of its manifest.
///
/// # Errors
/// [`OciError`]. Layers may have arrived when the manifest does not; registries sweep them up.
pub async fn push(place: &Place, credentials: &Credentials, upload: Upload) -> Result<Digest, OciError> {
    let Upload { wasm, signature, imports, exports, annotations } = upload;
    let wasm_config = WasmConfig {
        created: "1970-01-01T00:00:00Z".to_owned(),
        architecture: "wasm".to_owned(),
        os: "wasip2".to_owned(),
        layer_digests: vec![Digest::of(&wasm).to_string()],
        component: Some(Component { exports, imports, target: None }),
    };
    let failed_json = |error: serde_json::Error| no_plugin(place, error.to_string());
    let json = serde_json::to_vec(&wasm_config).map_err(failed_json)?;
    let config = Config::new(json, CONFIG.to_owned(), None);
    let mut layers = vec![ImageLayer::new(wasm, WASM.to_owned(), None)];
    layers.extend(signature.map(|bytes| ImageLayer::new(bytes, SIGNATURE.to_owned(), None)));
    let manifest = OciImageManifest::build(&layers, &config, Some(annotations));
    let client = client(place)?;
    let pushing = client.push(place.reference(), &layers, config, &credentials.0, Some(manifest));
    match timeout(WHOLE_TIME, pushing).await {
        Ok(pushed) => pushed.map(drop).map_err(failed("pushing", place))?,
        Err(_) => {
            let (what, place) = ("pushing", place.to_string());
            return Err(OciError::TimedOut { what, place, limit: WHOLE_TIME });
        }
    }
    // What the registry has now is what others get.
    Ok(begin(place, credentials).await?.manifest(place).await?.1)
}

/// The library's own client, which pushes: to a registry the author has chosen, whose answers are short.
fn client(place: &Place) -> Result<Client, OciError> {
    // Whoever installed one before has installed this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = ClientConfig {
        protocol: place.protocol(),
        platform_resolver: None,
        read_timeout: Some(SILENT),
        connect_timeout: Some(SILENT),
        user_agent: USER_AGENT,
        ..ClientConfig::default()
    };
    Client::try_from(config).map_err(failed("reaching", place))
}

fn failed(what: &'static str, place: &Place) -> impl FnOnce(OciDistributionError) -> OciError {
    let place = place.to_string();
    move |source| OciError::Registry { what, place, source: Box::new(source) }
}

fn no_plugin(place: &Place, reason: String) -> OciError {
    OciError::NoPlugin { place: place.to_string(), reason }
}

fn other(what: &'static str, place: &Place, found: Digest, wanted: String) -> OciError {
    OciError::Digest { what, place: place.to_string(), found: found.to_string(), wanted }
}

#[cfg(test)]
mod tests;
