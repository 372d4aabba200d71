use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A registry that answers each path with these bytes, whatever they are.
async fn registry(answers: BTreeMap<String, Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answers = answers.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                let text = String::from_utf8_lossy(&head).into_owned();
                let path = text.split(' ').nth(1).unwrap_or_default();
                let (status, body) = match answers.get(path) {
                    Some(body) => ("200 OK", body.clone()),
                    None if path == "/v2/" => ("200 OK", b"{}".to_vec()),
                    None => ("404 Not Found", b"{\"errors\":[]}".to_vec()),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: {OCI_IMAGE_MEDIA_TYPE}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            });
        }
    });
    address.to_string()
}

fn descriptor(media_type: &str, bytes: &[u8]) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len() })
}

fn manifest(config: &str, layers: &[serde_json::Value]) -> Vec<u8> {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_IMAGE_MEDIA_TYPE,
        "config": descriptor(config, b"{}"), "layers": layers,
    });
    serde_json::to_vec(&manifest).unwrap()
}

/// Pulls from a registry with this manifest under the tag `1` and these bytes as its blobs.
async fn pulled(manifest: &[u8], blobs: &[(&[u8], &[u8])]) -> Result<Artifact, String> {
    pulled_from(manifest, blobs, ":1").await
}

async fn pulled_from(manifest: &[u8], blobs: &[(&[u8], &[u8])], at: &str) -> Result<Artifact, String> {
    let path = |at: &str| format!("/v2/x/manifests/{}", at.trim_start_matches([':', '@']));
    let mut answers = BTreeMap::from([(path(at), manifest.to_vec())]);
    for (named, served) in blobs {
        answers.insert(format!("/v2/x/blobs/{}", Digest::of(named)), served.to_vec());
    }
    let place = Place::parse(&format!("oci://{}/x{at}", registry(answers).await), false).unwrap();
    pull(&place, &Credentials::anonymous()).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_plugin_is_pulled_with_its_signature() {
    let layers = [descriptor(WASM, b"wasm"), descriptor(SIGNATURE, b"sig")];
    let manifest = manifest(CONFIG, &layers);
    let blobs: [(&[u8], &[u8]); 2] = [(b"wasm", b"wasm"), (b"sig", b"sig")];
    let artifact = pulled(&manifest, &blobs).await.unwrap();
    assert_eq!((&artifact.wasm[..], artifact.signature.as_deref()), (&b"wasm"[..], Some(&b"sig"[..])));
    assert_eq!(artifact.digest, Digest::of(&manifest));
    let at = format!("@{}", artifact.digest);
    assert_eq!(pulled_from(&manifest, &blobs, &at).await.unwrap().digest, artifact.digest);
}

#[tokio::test]
async fn bytes_that_are_not_those_of_the_digest_are_refused() {
    let whole = manifest(CONFIG, &[descriptor(WASM, b"wasm")]);
    let error = pulled(&whole, &[(b"wasm", b"evil")]).await.unwrap_err();
    assert!(error.contains("the component of") && error.contains("not what was asked for"), "{error}");
    let at = format!("@{}", Digest::of(b"another manifest"));
    pulled_from(&whole, &[(b"wasm", b"wasm")], &at).await.unwrap_err();
}

#[tokio::test]
async fn what_is_no_plugin_is_named() {
    let wasm = || descriptor(WASM, b"wasm");
    let image = "application/vnd.oci.image.config.v1+json";
    let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
    for (manifest, expected) in [
        (manifest(image, &[wasm()]), "its configuration is \"application/vnd.oci.image.config.v1+json\""),
        (manifest(CONFIG, &[]), "it has no layer application/wasm"),
        (manifest(CONFIG, &[wasm(), wasm()]), "it has two layers"),
        (
            manifest(CONFIG, &[wasm(), descriptor(tar, b"x")]),
            "it has a layer \"application/vnd.oci.image.layer",
        ),
        (b"not json".to_vec(), "its manifest cannot be read"),
        (vec![b' '; 70_000], "manifest of oci://127.0.0.1"),
    ] {
        let error = pulled(&manifest, &[(b"wasm", b"wasm")]).await.unwrap_err();
        assert!(error.contains(expected), "{error} should say {expected}");
    }
}

#[tokio::test]
async fn a_layer_is_bounded_by_what_it_says_and_by_what_comes() {
    let mut huge = descriptor(WASM, b"wasm");
    huge["size"] = json!(LAYER_MAX + 1);
    let error = pulled(&manifest(CONFIG, &[huge]), &[(b"wasm", b"wasm")]).await.unwrap_err();
    assert!(error.contains("the component of") && error.contains("is larger than"), "{error}");
    let layers = [descriptor(WASM, b"wasm"), descriptor(SIGNATURE, b"sig")];
    let long = vec![0; 100_000];
    let error = pulled(&manifest(CONFIG, &layers), &[(b"wasm", b"wasm"), (b"sig", &long)]).await.unwrap_err();
    assert!(error.contains("the signature of") && error.contains("is larger than"), "{error}");
}
