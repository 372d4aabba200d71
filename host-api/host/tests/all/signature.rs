//! A plugin that a publisher has signed, as the daemon meets it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use domain::plugin::publisher::SIGNATURE_MAX;
use plugin_host::publish::{Package, PublicKey, Publisher, PublisherName, SecretKeyFile, generate};
use plugin_host::{PluginListing, PluginState};
use port::label::LabelProvider as _;

use crate::bed::{Bed, guest, label, manifest, refusal};
use crate::reload::{put, until_listed};

/// A plugin directory with a signed plugin in it, and who signs.
struct Desk {
    bed: Bed,
    keys: tempfile::TempDir,
}

impl Desk {
    /// The hostile guest, signed by acme and nobody listed for it yet.
    fn new() -> Self {
        let desk = Self { bed: Bed::new(), keys: tempfile::tempdir().unwrap() };
        for name in ["acme", "globex"] {
            generate(&desk.key_path(name), &desk.keys.path().join(format!("{name}.pub")), None).unwrap();
        }
        desk.bed.install("hostile", &guest("hostile"), &manifest("hostile"));
        desk.sign("hostile", "acme");
        desk
    }

    fn key_path(&self, name: &str) -> PathBuf {
        self.keys.path().join(format!("{name}.key"))
    }

    fn publisher(&self, name: &str) -> Publisher {
        let text = std::fs::read_to_string(self.keys.path().join(format!("{name}.pub"))).unwrap();
        Publisher { name: PublisherName::new(name).unwrap(), key: PublicKey::parse_file(&text).unwrap() }
    }

    fn sign(&self, plugin: &str, by: &str) {
        let key = SecretKeyFile::read(&self.key_path(by)).unwrap().unlock(None).unwrap();
        Package::read(&self.bed.folder(plugin).join("plugin.wasm")).unwrap().sign(&key).unwrap();
    }

    /// Has the operator list a publisher for a plugin.
    fn list(&mut self, plugin: &str, publisher: &str) {
        let publisher = self.publisher(publisher);
        self.bed.plugin(plugin).publishers.push(publisher);
    }

    fn signature(&self) -> PathBuf {
        self.bed.folder("hostile").join("plugin.wasm.minisig")
    }

    async fn refusal(&self) -> String {
        refusal(&self.bed.host(), "hostile").await
    }

    async fn loads(&self) {
        let host = self.bed.host();
        assert_eq!(host.evaluate(&label("hostile", "echo signed")).await.as_deref(), Ok("signed"));
    }
}

#[tokio::test]
async fn a_signed_plugin_loads_and_its_publisher_is_shown() {
    let mut desk = Desk::new();
    desk.list("hostile", "globex");
    desk.list("hostile", "acme");
    let host = desk.bed.host();
    assert_eq!(host.evaluate(&label("hostile", "echo signed")).await.as_deref(), Ok("signed"));
    let listed = host.list().into_iter().find(|listing| listing.name.as_str() == "hostile").unwrap();
    assert_eq!(listed.known.unwrap().publisher, Some(desk.publisher("acme").to_string()));
    // What the first start compiled is checked again by the second.
    std::fs::remove_file(desk.signature()).unwrap();
    assert!(desk.refusal().await.contains("is not signed"));
}

#[tokio::test]
async fn a_signature_nobody_asked_for_does_not_count() {
    let desk = Desk::new();
    let text = desk.refusal().await;
    assert!(
        text.contains("is not pinned and no publisher is listed")
            && text.contains("publishers: [NAME]")
            && text.contains("digest: sha256:"),
        "{text}"
    );
}

#[tokio::test]
async fn a_missing_signature_is_named_with_what_to_do() {
    let mut desk = Desk::new();
    desk.list("hostile", "acme");
    std::fs::remove_file(desk.signature()).unwrap();
    let text = desk.refusal().await;
    let place = desk.signature().display().to_string();
    let acme = desk.publisher("acme").to_string();
    assert!(
        text.contains(&place)
            && text.contains(&acme)
            && text.contains("in place of the publishers: digest: sha256:"),
        "{text}"
    );
}

#[tokio::test]
async fn a_digest_and_a_publisher_must_both_hold() {
    let mut desk = Desk::new();
    desk.list("hostile", "acme");
    desk.bed.pin("hostile");
    desk.loads().await;
    // Another release by the same publisher, signed as well as the first.
    let newer = manifest("hostile").replace("0.0.1", "0.0.2");
    desk.bed.install("hostile", &guest("hostile"), &newer);
    desk.sign("hostile", "acme");
    assert!(desk.refusal().await.contains("is not the file that is pinned"));
    desk.bed.pin("hostile");
    std::fs::write(desk.signature(), "none").unwrap();
    assert!(desk.refusal().await.contains("is no minisign signature"));
}

#[tokio::test]
async fn a_changed_file_is_refused() {
    let mut desk = Desk::new();
    desk.list("hostile", "acme");
    let path = desk.bed.folder("hostile").join("plugin.wasm");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let text = desk.refusal().await;
    assert!(text.contains("does not fit the file: the file was changed"), "{text}");
    assert!(!desk.bed.cache().join("x").exists());
}

#[tokio::test]
async fn a_key_that_is_not_listed_is_named() {
    let mut desk = Desk::new();
    desk.list("hostile", "globex");
    let key = desk.publisher("acme").key.id().to_string();
    let text = desk.refusal().await;
    assert!(text.contains(&format!("signed with key {key}, which is no publisher's")), "{text}");
    desk.bed.settings.publishers = vec![desk.publisher("acme"), desk.publisher("globex")];
    let text = desk.refusal().await;
    assert!(text.contains("which is that of publisher acme, not listed for this plugin"), "{text}");
}

#[tokio::test]
async fn what_is_no_signature_and_what_is_too_large_is_refused() {
    let mut desk = Desk::new();
    desk.list("hostile", "acme");
    let whole = std::fs::read(desk.signature()).unwrap();
    let long = vec![b'x'; SIGNATURE_MAX + 1];
    for (bad, expected) in [
        (&whole[..whole.len() / 2], "is no minisign signature"),
        (b"", "is no minisign signature (it does not have four lines)"),
        (&[0xff; 100], "it is not text"),
        (&long, "plugin.wasm.minisig is larger than 4096 bytes"),
    ] {
        std::fs::write(desk.signature(), bad).unwrap();
        let text = desk.refusal().await;
        assert!(text.contains(expected), "{text} should say {expected}");
    }
}

#[tokio::test]
async fn a_signature_others_may_write_is_refused() {
    let mut desk = Desk::new();
    desk.list("hostile", "acme");
    std::fs::set_permissions(desk.signature(), std::fs::Permissions::from_mode(0o666)).unwrap();
    let text = desk.refusal().await;
    assert!(text.contains("may be written by others") && text.contains("chmod go-w"), "{text}");
    std::fs::remove_file(desk.signature()).unwrap();
    std::fs::create_dir(desk.signature()).unwrap();
    assert!(desk.refusal().await.contains("is not a plain file"));
}

/// A good plugin of a good publisher under the name of another one of theirs.
#[tokio::test]
async fn a_signature_of_another_plugin_is_refused() {
    let mut desk = Desk::new();
    desk.list("other", "acme");
    std::fs::create_dir(desk.bed.folder("other")).unwrap();
    for file in ["plugin.wasm", "plugin.wasm.minisig"] {
        std::fs::copy(desk.bed.folder("hostile").join(file), desk.bed.folder("other").join(file)).unwrap();
    }
    let text = refusal(&desk.bed.host(), "other").await;
    assert!(text.ends_with("the signature is of plugin hostile, not of other"), "{text}");
}

/// Signed by hand, as minisign does it with a trusted comment of one's own.
#[tokio::test]
async fn what_is_signed_must_be_the_version_and_hold_the_manifest() {
    let mut desk = Desk::new();
    desk.list("hostile", "acme");
    let path = desk.bed.folder("hostile").join("plugin.wasm");
    let by_hand = |comment: &str| {
        let text = std::fs::read_to_string(desk.key_path("acme")).unwrap();
        let key = minisign::SecretKeyBox::from(text).into_unencrypted_secret_key().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let signature = minisign::sign(None, &key, &bytes[..], Some(comment), None).unwrap();
        std::fs::write(desk.signature(), signature.into_string()).unwrap();
    };
    by_hand("teleport-plugin name=hostile version=0.0.2");
    let text = desk.refusal().await;
    assert!(text.ends_with("the signature is of version 0.0.2, the manifest says 0.0.1"), "{text}");
    by_hand("timestamp:1555779966\tfile:plugin.wasm");
    let text = desk.refusal().await;
    assert!(text.contains("does not say which plugin it is of"), "{text}");
    by_hand("teleport-plugin name=hostile version=0.0.1");
    desk.loads().await;
    // The component as it was before the manifest was put in.
    std::fs::write(&path, guest("hostile")).unwrap();
    by_hand("teleport-plugin name=hostile version=0.0.1");
    let text = desk.refusal().await;
    assert!(text.contains("does not cover the manifest"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_that_is_taken_away_or_replaced_shows_while_the_plugin_is_served() {
    let mut desk = Desk::new();
    desk.list("hostile", "acme");
    desk.list("hostile", "globex");
    let watching = &mut desk.bed.settings.watching;
    (watching.poll, watching.sweep) = (Duration::from_millis(100), Duration::from_millis(100));
    let host = desk.bed.host();
    assert_eq!(host.evaluate(&label("hostile", "echo signed")).await.as_deref(), Ok("signed"));
    let is_signed_by = |who: &'static str| {
        let publisher = desk.publisher(who).to_string();
        move |listed: Option<PluginListing>| {
            let listed = listed.unwrap();
            listed.state == PluginState::Ready && listed.known.unwrap().publisher.as_ref() == Some(&publisher)
        }
    };
    until_listed(&host, "hostile", is_signed_by("acme")).await;
    let kept = std::fs::read(desk.signature()).unwrap();
    std::fs::remove_file(desk.signature()).unwrap();
    let is_unsigned = |listed: Option<PluginListing>| match listed.unwrap().state {
        PluginState::Behind(reason) => reason.contains("is not signed"),
        _ => false,
    };
    until_listed(&host, "hostile", is_unsigned).await;
    assert_eq!(host.evaluate(&label("hostile", "echo on")).await.as_deref(), Ok("on"), "it goes on");
    put(&desk.signature(), &kept);
    until_listed(&host, "hostile", is_signed_by("acme")).await;
    desk.sign("hostile", "globex");
    until_listed(&host, "hostile", is_signed_by("globex")).await;
}
