//! `teleport plugin keygen`, `sign` and `verify`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::program::{Ended, program};

/// What a plugin says of itself.
const MANIFEST: &str = "name = \"hostile\"\nversion = \"0.0.1\"\n\
    contract = \"teleport:label-provider@1.0.0\"\ndescription = \"for tests\"\n";

/// A component, built once per run.
fn component() -> Vec<u8> {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--release", "--target", "wasm32-wasip2"]);
        for foreign in ["CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS"]
        {
            cargo.env_remove(foreign);
        }
        let built = cargo.current_dir(&guests).output().expect("cargo starts");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        guests.join("target/wasm32-wasip2/release")
    });
    std::fs::read(folder.join("guest_hostile.wasm")).expect("the guest is built")
}

/// A folder with a plugin in it, in which commands are run.
pub(crate) struct Desk(TempDir);

impl Desk {
    pub(crate) fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        std::fs::write(desk.path("plugin.wasm"), component()).unwrap();
        std::fs::write(desk.path("plugin.toml"), MANIFEST).unwrap();
        desk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs a program without input and without a terminal.
    pub(crate) fn run(&self, program: &Path, words: &str) -> Ended {
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(program).args(words.split(' ')).current_dir(self.0.path());
        Ended::of(&mut command)
    }

    /// `teleport plugin …`.
    pub(crate) fn plugin(&self, words: &str) -> Ended {
        self.run(&program("teleport"), &format!("plugin {words}"))
    }

    /// `tctl …`.
    pub(crate) fn tctl(&self, words: &str) -> Ended {
        self.run(&program("tctl"), words)
    }

    /// A key nobody has to type a password for, and its public half.
    pub(crate) fn keygen(&self, name: &str) -> String {
        self.plugin(&format!("keygen -o {name} --no-password")).good();
        self.read(&format!("{name}.pub")).lines().nth(1).unwrap().to_owned()
    }

    /// A configuration that says this under `teleport.plugins`, in the form of one line.
    fn configure(&self, plugins: &str) {
        let yaml = format!("teleport:\n  plugins: {{directory: /etc/teleport/plugins, {plugins}}}\n");
        std::fs::write(self.path("teleport.yaml"), yaml).unwrap();
    }
}

#[test]
fn a_plugin_goes_from_its_author_to_its_operator() {
    let desk = Desk::new();
    let said = desk.plugin("keygen -o acme --no-password").good();
    let key = desk.read("acme.pub").lines().nth(1).unwrap().to_owned();
    assert!(
        said.ends_with(&format!("teleport:\n  plugins:\n    publishers:\n      acme: {key}\n")),
        "{said}"
    );
    let mode = |name| std::fs::metadata(desk.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("acme.key"), 0o600);

    let said = desk.plugin("sign --key acme.key plugin.wasm").good();
    assert!(said.starts_with("put the manifest into plugin.wasm\nsigned hostile 0.0.1 with key "), "{said}");
    // The lines it says to add are a configuration that works.
    let (_, yaml) = said.split_once("teleport.yaml:\n").unwrap();
    std::fs::write(desk.path("teleport.yaml"), yaml).unwrap();
    let said = desk.plugin("verify -c teleport.yaml plugin.wasm").good();
    assert!(said.starts_with("hostile 0.0.1: signed by acme with key "), "{said}");
    // The manifest has become part of the component.
    std::fs::remove_file(desk.path("plugin.toml")).unwrap();
    assert_eq!(desk.plugin("verify --publisher acme.pub plugin.wasm").good(), said);
    let json = desk.plugin(&format!("verify --publisher {key} --format=json plugin.wasm")).good();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["name"], &json["publisher"]), (&"hostile".into(), &"publisher".into()));
}

#[test]
fn a_changed_plugin_and_a_changed_signature_are_refused() {
    let desk = Desk::new();
    desk.keygen("acme");
    desk.plugin("sign --key acme.key plugin.wasm").good();
    let (wasm, signature) =
        (std::fs::read(desk.path("plugin.wasm")).unwrap(), desk.read("plugin.wasm.minisig"));
    let verify = || desk.plugin("verify --publisher acme.pub plugin.wasm");
    let mut changed = wasm.clone();
    changed[wasm.len() / 2] ^= 1;
    std::fs::write(desk.path("plugin.wasm"), changed).unwrap();
    let text = verify().bad();
    assert!(text.contains("does not fit the file: the file was changed"), "{text}");
    std::fs::write(desk.path("plugin.wasm"), wasm).unwrap();
    let newer = signature.replace(
        "trusted comment: teleport-plugin name=hostile version=0.0.1",
        "trusted comment: teleport-plugin name=hostile version=0.0.2",
    );
    assert_ne!(newer, signature);
    for (bad, expected) in
        [(newer.as_str(), "does not fit the file"), ("nothing\n", "is no minisign signature")]
    {
        std::fs::write(desk.path("plugin.wasm.minisig"), bad).unwrap();
        let text = verify().bad();
        assert!(text.contains(expected), "{text}");
    }
    std::fs::remove_file(desk.path("plugin.wasm.minisig")).unwrap();
    let text = verify().bad();
    assert!(text.contains("is not signed: there is no plugin.wasm.minisig"), "{text}");
}

#[test]
fn the_wrong_key_is_named() {
    let desk = Desk::new();
    let (acme, globex) = (desk.keygen("acme"), desk.keygen("globex"));
    desk.plugin("sign --key globex.key plugin.wasm").good();
    let text = desk.plugin("verify --publisher acme.pub plugin.wasm").bad();
    assert!(text.contains("which is no publisher's; only acme ("), "{text}");
    desk.configure(&format!(
        "publishers: {{acme: {acme}, globex: {globex}}}, load: {{hostile: {{publishers: [acme]}}}}"
    ));
    let text = desk.plugin("verify -c teleport.yaml plugin.wasm").bad();
    assert!(text.contains("which is that of publisher globex, not listed for this plugin"), "{text}");
    desk.configure(&format!("publishers: {{globex: {globex}}}"));
    let text = desk.plugin("verify -c teleport.yaml plugin.wasm").bad();
    assert!(text.contains("publishers: [NAME]") && text.contains("digest: sha256:"), "{text}");
}

#[test]
fn a_digest_and_a_signature_must_both_hold() {
    let desk = Desk::new();
    let acme = desk.keygen("acme");
    let said = desk.plugin("sign --key acme.key plugin.wasm").good();
    let digest = said.split_whitespace().find(|word| word.starts_with("sha256:")).unwrap();
    let both = |digest: &str| {
        desk.configure(&format!(
            "publishers: {{acme: {acme}}}, load: {{hostile: {{publishers: acme, digest: \"{digest}\"}}}}"
        ));
        desk.plugin("verify -c teleport.yaml plugin.wasm")
    };
    assert!(both(digest).good().contains("signed by acme"));
    let other = format!("sha256:{}", "0".repeat(64));
    assert!(both(&other).bad().contains("is not the file that is pinned"));
    desk.configure(&format!("load: {{hostile: {{digest: \"{digest}\"}}}}"));
    assert!(desk.plugin("verify -c teleport.yaml plugin.wasm").good().contains("its digest is pinned"));
}

#[test]
fn what_a_configuration_does_not_give_it_is_named() {
    let desk = Desk::new();
    let text = desk.read("plugin.toml")
        + "[[needs]]\ncapability = \"kv\"\nreason = \"counts\"\n[config.city]\ntype = \"text\"\ndescription = \"where\"\n[limits]\nwall = \"1m\"\n";
    std::fs::write(desk.path("plugin.toml"), text).unwrap();
    let acme = desk.keygen("acme");
    desk.plugin("sign --key acme.key plugin.wasm").good();
    let verify = |more: &str| {
        desk.configure(&format!(
            "publishers: {{acme: {acme}}}, load: {{hostile: {{publishers: [acme]{more}}}}}"
        ));
        desk.plugin("verify -c teleport.yaml plugin.wasm")
    };
    let text = verify("").bad();
    assert!(text.contains("asks for kv (counts) and is not granted it"), "{text}");
    let text = verify(", grants: {kv: yes, process: [[id]]}").bad();
    assert!(text.contains("is granted process") && text.contains("does not ask for it"), "{text}");
    let text = verify(", grants: {kv: yes}").bad();
    assert!(text.contains("wants the limit wall at 1m0s, above the default of 10s"), "{text}");
    let text = verify(", grants: {kv: yes}, limits: {wall: 1m}, config: {town: Oslo}").bad();
    assert!(text.contains("town"), "{text}");
    verify(", grants: {kv: yes}, limits: {wall: 1m}, config: {city: Oslo}").good();
    let text = verify(", enabled: no").bad();
    assert!(text.contains("plugin hostile is switched off"), "{text}");
    // Whose it is can be asked without any.
    desk.plugin("verify --publisher acme.pub plugin.wasm").good();
}

#[test]
fn a_password_comes_from_a_file_or_a_terminal() {
    let desk = Desk::new();
    let secret = |name: &str, text: &str| {
        std::fs::write(desk.path(name), text).unwrap();
        std::fs::set_permissions(desk.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    secret("password", "correct horse\n");
    secret("wrong", "wrong horse\n");
    desk.plugin("keygen -o acme --password-file password").good();
    desk.plugin("sign --key acme.key --password-file password plugin.wasm").good();
    let text = desk.plugin("sign --key acme.key --password-file wrong plugin.wasm").bad();
    assert!(text.contains("the secret key acme.key cannot be unlocked"), "{text}");
    let text = desk.plugin("sign --key acme.key plugin.wasm").bad();
    assert!(
        text.contains("the password cannot be asked for")
            && text.contains("hint: where there is no terminal"),
        "{text}"
    );
    let text = desk.plugin("keygen -o other").bad();
    assert!(text.contains("--no-password") && !desk.path("other.key").exists(), "{text}");
    std::fs::set_permissions(desk.path("password"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let text = desk.plugin("sign --key acme.key --password-file password plugin.wasm").bad();
    assert!(text.contains("others may read password"), "{text}");
}

#[test]
fn a_key_is_not_written_over() {
    let desk = Desk::new();
    desk.keygen("acme");
    let before = desk.read("acme.key");
    let text = desk.plugin("keygen -o acme --no-password").bad();
    assert!(text.contains("acme.key exists and is not written over"), "{text}");
    assert_eq!(desk.read("acme.key"), before);
    let wrong = desk.plugin("keygen -o ../acme --no-password");
    assert_eq!(wrong.code, Some(2), "{}", wrong.err);
    std::fs::create_dir(desk.path("keys")).unwrap();
    desk.plugin("keygen -o acme --out-dir keys --no-password").good();
    assert!(desk.path("keys/acme.pub").exists());
}
