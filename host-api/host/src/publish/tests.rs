use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::plugin::publisher::PublicKey;
use domain::plugin::{Publisher, PublisherName};
use tempfile::TempDir;

use super::*;
use crate::carried;
use crate::error::chain;
use crate::settings::PluginSettings;

/// A plugin as its author's tools leave it, and its author's key.
struct Desk {
    root: TempDir,
}

const MANIFEST: &str = include_str!("../../../../plugins/label-command/plugin.toml");

impl Desk {
    /// The carried plugin without its manifest, which lies beside it.
    fn new() -> Self {
        let desk = Self { root: tempfile::tempdir().unwrap() };
        let whole = carried::find("label-command").unwrap().wasm;
        let section = crate::section::with_manifest(b"", MANIFEST);
        std::fs::write(desk.wasm(), whole.strip_suffix(&section[..]).unwrap()).unwrap();
        std::fs::write(desk.path("plugin.toml"), MANIFEST).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn wasm(&self) -> PathBuf {
        self.path("plugin.wasm")
    }

    fn generate(&self, name: &str, password: Option<&Password>) -> PublicKey {
        generate(&self.path(&format!("{name}.key")), &self.path(&format!("{name}.pub")), password).unwrap()
    }

    fn key(&self, name: &str) -> SecretKey {
        SecretKeyFile::read(&self.path(&format!("{name}.key"))).unwrap().unlock(None).unwrap()
    }

    fn sign(&self) -> Result<SignedPackage, PublishError> {
        Package::read(&self.wasm())?.sign(&self.key("acme"))
    }

    fn verify(&self, key: &PublicKey) -> Result<Option<Publisher>, PublishError> {
        let publishers = vec![Publisher { name: PublisherName::new("acme").unwrap(), key: key.clone() }];
        let written = PluginSettings { publishers, ..PluginSettings::default() };
        Package::read(&self.wasm())?.verify(&written, &[])
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_signed_is_accepted_with_its_manifest_in_it() {
    let desk = Desk::new();
    let key = desk.generate("acme", None);
    let signed = desk.sign().unwrap();
    assert!(signed.embedded_now);
    assert_eq!(signed.statement.to_string(), "teleport-plugin name=label-command version=0.1.0");
    assert_eq!(std::fs::read(desk.wasm()).unwrap(), carried::find("label-command").unwrap().wasm);
    assert_eq!(mode(&signed.signature), 0o644);
    assert_eq!(desk.verify(&key).unwrap().unwrap().key, key);
    // A second time nothing is put in, and the signature is replaced.
    let again = desk.sign().unwrap();
    assert_eq!((again.embedded_now, again.digest), (false, signed.digest));
    assert!(desk.verify(&key).is_ok());
    let left: Vec<_> = std::fs::read_dir(desk.root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "no draft is left behind: {left:?}");
}

#[test]
fn a_manifest_beside_the_component_is_not_signed() {
    let desk = Desk::new();
    let key = desk.generate("acme", None);
    let bare = std::fs::read(desk.wasm()).unwrap();
    let statement = "teleport-plugin name=label-command version=0.1.0";
    let by_hand = minisign::sign(None, &desk.key("acme").secret, &bare[..], Some(statement), None).unwrap();
    std::fs::write(signature_path(&desk.wasm()), by_hand.into_string()).unwrap();
    let text = chain(&desk.verify(&key).unwrap_err());
    assert!(text.contains("does not cover the manifest") && text.contains("teleport plugin sign"), "{text}");
}

#[test]
fn an_edited_manifest_and_an_old_component_do_not_go_together() {
    let desk = Desk::new();
    desk.generate("acme", None);
    desk.sign().unwrap();
    std::fs::write(desk.path("plugin.toml"), MANIFEST.replace("0.1.0", "0.2.0")).unwrap();
    let error = desk.sign().unwrap_err();
    assert!(matches!(error, PublishError::OtherManifest { .. }), "{error}");
}

#[test]
fn what_the_host_would_refuse_is_not_signed() {
    let desk = Desk::new();
    desk.generate("acme", None);
    let before = std::fs::read(desk.wasm()).unwrap();
    let contract = MANIFEST.replace("label-provider@1.0.0", "label-provider@1.0.9");
    for (manifest, expected) in [
        (contract.as_str(), "component is built for"),
        ("name = \"label-x\"\n", "the manifest in"),
        ("name = \"../x\"\n", "cannot name a plugin"),
    ] {
        std::fs::write(desk.path("plugin.toml"), manifest).unwrap();
        let text = chain(&desk.sign().unwrap_err());
        assert!(text.contains(expected), "{text} should say {expected}");
    }
    std::fs::remove_file(desk.path("plugin.toml")).unwrap();
    assert!(matches!(desk.sign(), Err(PublishError::NoManifest { .. })));
    for bytes in [&b"#!/bin/sh\n"[..], b"", b"\0asm\x01\0\0\0"] {
        std::fs::write(desk.wasm(), bytes).unwrap();
        let error = desk.sign().unwrap_err();
        assert!(matches!(error, PublishError::Component { .. } | PublishError::NoManifest { .. }), "{error}");
        std::fs::write(desk.wasm(), &before).unwrap();
    }
    assert!(!signature_path(&desk.wasm()).exists());
}

#[test]
fn a_key_is_never_written_over_and_nobody_else_reads_it() {
    let desk = Desk::new();
    let key = desk.generate("acme", None);
    let (secret, public) = (desk.path("acme.key"), desk.path("acme.pub"));
    assert_eq!((mode(&secret), mode(&public)), (0o600, 0o644));
    assert_eq!(PublicKey::parse_file(&std::fs::read_to_string(&public).unwrap()), Ok(key.clone()));
    assert_eq!(desk.key("acme").public(), &key);
    let before = std::fs::read(&secret).unwrap();
    assert!(matches!(generate(&secret, &public, None), Err(PublishError::Exists { path }) if path == secret));
    let other = desk.path("other.key");
    assert!(matches!(generate(&other, &public, None), Err(PublishError::Exists { path }) if path == public));
    assert!(!other.exists() && std::fs::read(&secret).unwrap() == before);
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o640)).unwrap();
    let text = SecretKeyFile::read(&secret).err().unwrap().to_string();
    assert!(text.contains("others may read") && text.contains("chmod 600"), "{text}");
}

#[test]
fn a_link_in_the_place_of_a_key_is_not_followed() {
    let desk = Desk::new();
    let target = desk.path("elsewhere");
    std::os::unix::fs::symlink(&target, desk.path("acme.key")).unwrap();
    let made = generate(&desk.path("acme.key"), &desk.path("acme.pub"), None);
    assert!(matches!(made, Err(PublishError::Exists { .. })));
    assert!(!target.exists());
}

#[test]
fn a_password_locks_the_key() {
    let desk = Desk::new();
    let password = |text: &str| Password::new(text.to_owned()).unwrap();
    let key = desk.generate("acme", Some(&password("correct horse")));
    let file = || SecretKeyFile::read(&desk.path("acme.key")).unwrap();
    assert!(file().has_password());
    assert!(matches!(file().unlock(None), Err(PublishError::PasswordMissing { .. })));
    let wrong = file().unlock(Some(&password("wrong horse"))).err().unwrap();
    assert!(chain(&wrong).contains("Wrong password"), "{}", chain(&wrong));
    let unlocked = file().unlock(Some(&password("correct horse"))).unwrap();
    assert_eq!(unlocked.public(), &key);
    Package::read(&desk.wasm()).unwrap().sign(&unlocked).unwrap();
    assert!(desk.verify(&key).is_ok());
}

/// As `minisign -G -W` writes it: no checksum, so damage is found when the signature is read back.
#[test]
fn a_key_without_checksum_signs_unless_it_is_damaged() {
    let desk = Desk::new();
    let key = desk.generate("acme", None);
    let text = std::fs::read_to_string(desk.path("acme.key")).unwrap();
    let line = text.lines().nth(1).unwrap();
    let mut bytes = STANDARD.decode(line).unwrap();
    let put = |bytes: &[u8]| {
        std::fs::write(desk.path("acme.key"), text.replace(line, &STANDARD.encode(bytes))).unwrap();
    };
    let length = bytes.len();
    bytes[length - 32..].fill(0);
    put(&bytes);
    desk.sign().unwrap();
    assert!(desk.verify(&key).is_ok());
    // A byte of the seed; the public half behind it is as it was.
    bytes[70] ^= 1;
    put(&bytes);
    assert!(matches!(desk.sign(), Err(PublishError::Check { .. })));
}

#[test]
fn passwords_come_from_private_files() {
    let desk = Desk::new();
    let path = desk.path("password");
    std::fs::write(&path, "correct horse\nsecond line\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let read = Password::read(&path).unwrap();
    assert!(read.is(&Password::new("correct horse".to_owned()).unwrap()));
    assert!(!read.is(&Password::new("correct".to_owned()).unwrap()));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Password::read(&path), Err(PublishError::Exposed { .. })));
    for bad in [String::new(), "x".repeat(key::PASSWORD_MAX + 1)] {
        assert!(matches!(Password::new(bad), Err(PublishError::Password)));
    }
}

#[test]
fn what_is_no_secret_key_is_named() {
    let desk = Desk::new();
    let path = desk.path("not.key");
    for bad in [&b""[..], b"one line", b"comment\nnot base64!\n", b"comment\nRWQf\n", &[0xff; 100]] {
        let _ = std::fs::remove_file(&path);
        file::create(&path, 0o600, bad).unwrap();
        assert!(matches!(SecretKeyFile::read(&path), Err(PublishError::NoKey { .. })), "{bad:?}");
    }
    std::fs::remove_file(&path).unwrap();
    file::create(&path, 0o600, &[b'x'; 5000]).unwrap();
    assert!(matches!(SecretKeyFile::read(&path), Err(PublishError::TooLarge { .. })));
    desk.generate("acme", None);
    for mode in [0o644, 0o600] {
        let public = desk.path("acme.pub");
        std::fs::set_permissions(&public, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = SecretKeyFile::read(&public).err().unwrap();
        assert!(matches!(error, PublishError::PublicHalf { .. }), "{mode:o}: {error}");
    }
}

#[test]
fn a_signature_file_of_any_size_is_not_read_whole() {
    let desk = Desk::new();
    let key = desk.generate("acme", None);
    desk.sign().unwrap();
    std::fs::write(signature_path(&desk.wasm()), vec![b'x'; 4097]).unwrap();
    assert!(matches!(desk.verify(&key), Err(PublishError::TooLarge { max: 4096, .. })));
}
