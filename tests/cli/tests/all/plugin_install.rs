//! `tctl plugins install`, `inspect FILE` and `rm`: files, without a daemon.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::plugin::Desk;
use crate::program::{Ended, program};

/// A desk with a publisher and a plugin directory.
struct Shop {
    desk: Desk,
    key: String,
    component: Vec<u8>,
}

impl Shop {
    fn open() -> Self {
        let desk = Desk::new();
        let component = std::fs::read(desk.path("plugin.wasm")).unwrap();
        std::fs::create_dir(desk.path("plugins")).unwrap();
        let key = desk.keygen("acme");
        let shop = Self { desk, key, component };
        shop.configure("");
        shop
    }

    /// A configuration that says this of the plugin.
    fn configure(&self, load: &str) {
        let (key, directory) = (&self.key, self.desk.path("plugins"));
        let yaml = format!(
            "teleport:\n  data_dir: {0}/data\n  plugins: {{directory: {0}, publishers: {{acme: {key}}}, load: {{{load}}}}}\n",
            directory.display()
        );
        std::fs::write(self.desk.path("teleport.yaml"), yaml).unwrap();
    }

    /// A signed plugin of this version that asks for this, as `NAME/plugin.wasm`.
    fn package(&self, folder: &str, version: &str, needs: &str) {
        self.unsigned(folder, version, needs);
        self.desk.plugin(&format!("sign --key acme.key {folder}/plugin.wasm")).good();
    }

    /// One as its author builds it, its manifest beside it.
    fn unsigned(&self, folder: &str, version: &str, needs: &str) {
        self.lay(folder, &self.component);
        let manifest = format!(
            "name = \"hostile\"\nversion = \"{version}\"\ncontract = \"teleport:label-provider@1.0.0\"\ndescription = \"for tests\"\n{needs}"
        );
        std::fs::write(self.desk.path(folder).join("plugin.toml"), manifest).unwrap();
    }

    fn lay(&self, folder: &str, wasm: &[u8]) {
        std::fs::create_dir(self.desk.path(folder)).unwrap();
        std::fs::write(self.desk.path(folder).join("plugin.wasm"), wasm).unwrap();
    }

    fn tctl(&self, words: &str) -> Ended {
        self.desk.tctl(&format!("plugins {words} -c teleport.yaml"))
    }

    /// Why it is not installed; and nothing is.
    fn refused(&self, words: &str) -> String {
        let ended = self.tctl(&format!("install {words}"));
        assert_eq!(ended.code, Some(1), "{}{}", ended.out, ended.err);
        let left: Vec<_> = std::fs::read_dir(self.desk.path("plugins")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        ended.err
    }
}

const ECHO: &str = "[[needs]]\ncapability = \"process\"\nargv = [\"echo\"]\nreason = \"says it\"\n";
const KV: &str = "[[needs]]\ncapability = \"kv\"\nreason = \"remembers\"\n";

#[test]
fn what_install_says_to_add_is_what_the_plugin_asks_for() {
    let shop = Shop::open();
    shop.package("v1", "1.0.0", ECHO);
    let said = shop.tctl("install v1/plugin.wasm").good();
    assert!(said.contains("signed by acme, who is not listed for this plugin yet"), "{said}");
    let (_, yaml) = said.split_once("restart teleport:\n").unwrap();
    assert!(yaml.contains("publishers: [acme]") && yaml.contains("process: [[\"echo\"]]"), "{yaml}");
    let installed = shop.desk.path("plugins/hostile/plugin.wasm");
    assert_eq!(std::fs::read(&installed).unwrap(), std::fs::read(shop.desk.path("v1/plugin.wasm")).unwrap());
    assert!(shop.desk.path("plugins/hostile/plugin.wasm.minisig").exists());
    let mode = std::fs::metadata(&installed).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o644);
    // Once it is written, nothing is left to do.
    shop.configure("hostile: {publishers: acme, grants: {process: [[echo]]}}");
    let said = shop.tctl("install v1/plugin.wasm").good();
    assert!(said.contains("it is installed already"), "{said}");
    shop.tctl("rm hostile").good_with_notes();
    let said = shop.tctl("install v1/plugin.wasm").good();
    assert!(said.contains("teleport.yaml grants what it asks for"), "{said}");
}

#[test]
fn what_no_host_could_load_is_not_installed() {
    let shop = Shop::open();
    shop.package("typo", "1.0.0", &KV.replace("kv", "vk"));
    let said = shop.refused("typo/plugin.wasm");
    assert!(said.contains("asks for \"vk\", which this host does not know; it knows "), "{said}");
    shop.package("greedy", "1.0.0", "[limits]\nmemroy = \"1MiB\"\n");
    let said = shop.refused("greedy/plugin.wasm");
    assert!(said.contains("the host would refuse this plugin") && said.contains("memroy"), "{said}");
}

#[test]
fn the_lines_of_install_are_enough_also_for_limits_and_configuration() {
    let shop = Shop::open();
    let more = "[limits]\nkv_bytes = \"16MiB\"\n[config.city]\ntype = \"text\"\nrequired = true\n\
                description = \"whose weather\"\n[config.days]\ntype = \"number\"\ndefault = \"3\"\n\
                description = \"how far ahead\"\n";
    shop.package("v1", "1.0.0", &format!("{KV}{more}"));
    let said = shop.tctl("inspect v1/plugin.wasm").good();
    for line in [
        "  kv_bytes: 16MiB (default 64KiB)",
        "  city: a text, required (whose weather)",
        "  days: a whole number, default \"3\" (how far ahead)",
    ] {
        assert!(said.lines().any(|shown| shown == line), "{said} should say {line}");
    }
    let said = shop.tctl("install v1/plugin.wasm").good();
    let (_, yaml) = said.split_once("restart teleport:\n").unwrap();
    shop.tctl("rm hostile").good();
    // As they stand, below what is there already.
    let (_, load) = yaml.split_once("  plugins:\n").unwrap();
    let (directory, key) = (shop.desk.path("plugins"), &shop.key);
    let head = format!(
        "teleport:\n  data_dir: {0}/data\n  plugins:\n    directory: {0}\n    publishers: {{acme: {key}}}\n",
        directory.display()
    );
    std::fs::write(shop.desk.path("teleport.yaml"), format!("{head}{load}")).unwrap();
    let said = shop.tctl("install v1/plugin.wasm").good();
    assert!(said.contains("teleport.yaml grants what it asks for"), "{said}");
    // With grants alone the daemon would refuse it, so that is not said to be all.
    shop.tctl("rm hostile").good_with_notes();
    shop.configure("hostile: {publishers: acme, grants: {kv: yes}}");
    let said = shop.tctl("install v1/plugin.wasm").good();
    for line in ["limits: kv_bytes: 16MiB", "config: city: TEXT  # whose weather"] {
        assert!(said.contains(&format!("add under teleport.plugins.load.hostile.{line}")), "{said}");
    }
    assert!(!said.contains("grants what it asks for"), "{said}");
}

#[test]
fn a_configuration_that_is_tested_is_held_against_what_is_installed() {
    let shop = Shop::open();
    shop.package("v1", "1.0.0", KV);
    let test = |load: &str| {
        shop.configure(load);
        let said = shop.desk.run(&program("teleport"), "configure --test teleport.yaml").good();
        said.strip_suffix("teleport.yaml: OK\n").unwrap_or_else(|| panic!("{said}")).to_owned()
    };
    assert_eq!(test("hostile: {publishers: acme}"), "", "it is not installed");
    shop.tctl("install v1/plugin.wasm").good();
    let said = test("hostile: {publishers: acme}");
    assert!(
        said.starts_with("warning: on this host, hostile: the host would refuse this plugin: "),
        "{said}"
    );
    assert!(said.contains("asks for kv (remembers) and is not granted it"), "{said}");
    assert_eq!(test("hostile: {publishers: acme, grants: {kv: yes}}"), "");
    assert_eq!(test("hostile: {publishers: acme, enabled: no}"), "", "that is what is wanted");
    // What is beside it does not matter: it carries its manifest.
    std::fs::write(shop.desk.path("plugins/hostile/plugin.toml"), "nonsense").unwrap();
    assert_eq!(test("hostile: {publishers: acme, grants: {kv: yes}}"), "");
    std::fs::create_dir(shop.desk.path("plugins/other")).unwrap();
    let said = test("other: {publishers: acme}");
    assert!(said.contains("there is no ") && said.contains("tctl plugins install"), "{said}");
    std::fs::copy(shop.desk.path("v1/plugin.wasm"), shop.desk.path("plugins/other/plugin.wasm")).unwrap();
    assert!(
        test("other: {publishers: acme}")
            .contains("is plugin hostile, and belongs into a folder of that name")
    );
    std::fs::write(shop.desk.path("plugins/hostile/plugin.wasm"), "nonsense").unwrap();
    let said = test("hostile: {publishers: acme, grants: {kv: yes}}");
    assert!(said.contains("it is not a WebAssembly component"), "{said}");
}

#[test]
fn what_labels_and_records_need_is_missed_when_a_configuration_is_tested() {
    let shop = Shop::open();
    shop.package("v1", "1.0.0", "");
    shop.tctl("install v1/plugin.wasm").good();
    let test = |plugins: &str, load: &str| {
        let label = |name: &str, plugin: &str| format!("{{name: {name}, plugin: {plugin}, period: 1h}}");
        let labels = [label("a", "hostlie"), label("b", "hostile")].join(", ");
        let yaml = format!(
            "teleport:\n  storage: {{type: records}}\n  plugins: {{directory: {plugins}, load: {{{load}}}}}\nssh_service:\n  commands: [{labels}, {{name: up, command: [uptime], period: 1m}}]\n"
        );
        std::fs::write(shop.desk.path("teleport.yaml"), yaml).unwrap();
        shop.desk.run(&program("teleport"), "configure --test teleport.yaml").good()
    };
    let there = shop.desk.path("plugins");
    let there = there.to_str().unwrap();
    let said = test(there, "");
    for part in [
        "warning: label a needs plugin hostlie, which this host does not have",
        "warning: teleport.storage needs plugin records, which this host does not have",
        "warning: on this host, hostile: the host would refuse this plugin: ",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("label-command"), "{said}");
    let off = test(there, "hostile: {enabled: no}");
    assert!(
        off.contains(
            "label b needs plugin hostile, which teleport.plugins.load.hostile.enabled switches off"
        ),
        "{off}"
    );
    let off = test(there, "label-command: {enabled: no}");
    assert!(off.contains("label up needs plugin label-command, which teleport.plugins.load.label-command.enabled switches off"), "{off}");
    let too_much = test(there, "label-command: {grants: {kv: yes}}");
    assert!(too_much.contains("warning: on this host, label-command: "), "{too_much}");
    assert!(too_much.contains("is granted kv and does not ask for it"), "{too_much}");
    let away = test("/nonexistent/plugins", "");
    assert!(away.contains("warning: this host has no plugin directory /nonexistent/plugins"), "{away}");
    assert!(away.contains("label b needs plugin hostile"), "{away}");
}

#[test]
fn the_plugin_of_ours_that_keeps_the_records_is_missed_as_others_are() {
    let shop = Shop::open();
    let test = |load: &str| {
        let plugins = shop.desk.path("plugins");
        let etcd = "{type: etcd, peers: [\"https://10.0.0.1\"], prefix: x, tls_cert_file: /c, tls_key_file: /k, tls_ca_file: /a}";
        let yaml = format!(
            "teleport:\n  storage: {etcd}\n  plugins: {{directory: {}, load: {{{load}}}}}\nauth_service: {{enabled: yes}}\n",
            plugins.display()
        );
        std::fs::write(shop.desk.path("teleport.yaml"), yaml).unwrap();
        shop.desk.run(&program("teleport"), "configure --test teleport.yaml").good()
    };
    let said = test("");
    assert!(!said.contains("storage-etcd"), "{said}");
    let said = test("storage-etcd: {enabled: no}");
    assert!(said.contains("teleport.storage needs plugin storage-etcd, which teleport.plugins.load.storage-etcd.enabled switches off"), "{said}");
    std::fs::create_dir_all(shop.desk.path("plugins/storage-etcd")).unwrap();
    let said = test("");
    assert!(said.contains("on this host, storage-etcd: there is no "), "{said}");
}

#[test]
fn another_version_shows_what_is_new_and_replaces_nothing_unasked() {
    let shop = Shop::open();
    shop.package("v1", "1.0.0", ECHO);
    shop.package("v2", "2.0.0", KV);
    shop.configure("hostile: {publishers: acme, grants: {process: [[echo]]}}");
    shop.tctl("install v1/plugin.wasm").good();
    let before = std::fs::read(shop.desk.path("plugins/hostile/plugin.wasm")).unwrap();
    let ended = shop.tctl("install v2/plugin.wasm");
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("would be replaced") && ended.err.contains("--yes"), "{}", ended.err);
    for line in
        ["in place of version 1.0.0", "+ asks for kv in addition", "- no longer asks for process [\"echo\"]"]
    {
        assert!(ended.out.contains(line), "{}", ended.out);
    }
    assert_eq!(std::fs::read(shop.desk.path("plugins/hostile/plugin.wasm")).unwrap(), before);
    let said = shop.tctl("install --yes v2/plugin.wasm").good();
    for line in [
        "add under teleport.plugins.load.hostile.grants: kv: yes",
        "remove under teleport.plugins.load.hostile.grants: process: [[\"echo\"]]",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert_ne!(std::fs::read(shop.desk.path("plugins/hostile/plugin.wasm")).unwrap(), before);
    let left: Vec<_> = std::fs::read_dir(shop.desk.path("plugins/hostile")).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn what_nobody_vouches_for_as_asked_is_not_installed() {
    let shop = Shop::open();
    shop.package("v1", "1.0.0", ECHO);
    shop.configure(&format!("hostile: {{digest: \"sha256:{}\"}}", "0".repeat(64)));
    assert!(shop.refused("v1/plugin.wasm").contains("is not the file that is pinned"));
    shop.configure("");
    let signature = shop.desk.path("v1/plugin.wasm.minisig");
    let good = std::fs::read(&signature).unwrap();
    std::fs::write(&signature, "nothing\n").unwrap();
    assert!(shop.refused("v1/plugin.wasm").contains("is no minisign signature"));
    std::fs::write(&signature, &good).unwrap();
    let wasm = shop.desk.path("v1/plugin.wasm");
    let mut changed = std::fs::read(&wasm).unwrap();
    // The last bytes are the manifest's: the version is another and the component is whole.
    let version = b"version = \"1.0.0\"";
    let at =
        changed.windows(version.len()).rposition(|bytes| bytes == version).unwrap() + b"version = \"".len();
    changed[at] = b'9';
    std::fs::write(&wasm, &changed).unwrap();
    let error = shop.refused("v1/plugin.wasm");
    assert!(error.contains("does not fit the file"), "{error}");
    std::fs::remove_file(shop.desk.path("v1/plugin.toml")).unwrap();
    shop.desk.keygen("globex");
    shop.desk.plugin("sign --key globex.key v1/plugin.wasm").good();
    let error = shop.refused("v1/plugin.wasm");
    assert!(error.contains("which is no publisher's"), "{error}");
    // Nobody's signature at all: the daemon waits for its digest, and that is said.
    std::fs::remove_file(&signature).unwrap();
    let said = shop.tctl("install v1/plugin.wasm").good();
    assert!(said.contains("nobody vouches for it") && said.contains("        digest: sha256:"), "{said}");
}

/// A component with this manifest at its end (WebAssembly core specification 5.5.3, custom section).
fn with_manifest(component: &[u8], text: &str) -> Vec<u8> {
    fn leb(mut value: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let low = (value & 0x7f) as u8;
            value >>= 7;
            bytes.push(if value == 0 { low } else { low | 0x80 });
            if value == 0 {
                return bytes;
            }
        }
    }
    let name = b"teleport:manifest";
    let body = [&leb(name.len())[..], name, text.as_bytes()].concat();
    [component, &[0], &leb(body.len()), &body].concat()
}

#[test]
fn files_that_are_no_plugins_are_named_and_not_installed() {
    let shop = Shop::open();
    let manifest = |name: &str, contract: &str| {
        format!("name = \"{name}\"\nversion = \"1\"\ncontract = \"{contract}\"\ndescription = \"x\"\n")
    };
    let labels = "teleport:label-provider@1.0.0";
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("module", b"\0asm\x01\0\0\0".to_vec(), "core WebAssembly module"),
        ("text", b"#!/bin/sh\n".to_vec(), "does not begin like one"),
        ("bare", shop.component.clone(), "carries no manifest"),
        ("cut", shop.component[..shop.component.len() / 2].to_vec(), "cannot be used"),
        ("dots", with_manifest(&shop.component, &manifest("../evil", labels)), "cannot name a plugin"),
        (
            "liar",
            with_manifest(&shop.component, &manifest("liar", "teleport:storage-backend@1.0.0")),
            "would refuse",
        ),
    ];
    for (folder, wasm, expected) in cases {
        shop.lay(folder, &wasm);
        let error = shop.refused(&format!("{folder}/plugin.wasm"));
        assert!(error.contains(expected), "{folder}: {error}");
        assert!(!shop.desk.path("evil").exists());
    }
    shop.lay("huge", b"\0asm");
    let file = std::fs::OpenOptions::new().write(true).open(shop.desk.path("huge/plugin.wasm")).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    assert!(shop.refused("huge/plugin.wasm").contains("is larger than 67108864 bytes"));
    assert!(shop.refused("gone.wasm").contains("gone.wasm cannot be read"));
}

#[test]
fn the_directory_must_be_set_there_and_nobody_elses() {
    let shop = Shop::open();
    shop.package("v1", "1.0.0", "");
    let directory = shop.desk.path("plugins");
    let mode = |bits| std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(bits)).unwrap();
    mode(0o777);
    assert!(shop.refused("v1/plugin.wasm").contains("chmod go-w"));
    mode(0o755);
    let error = shop.refused("--plugin-dir nowhere v1/plugin.wasm");
    assert!(
        error.contains("the plugin directory nowhere is not there") && error.contains("mkdir -m 755"),
        "{error}"
    );
    std::fs::write(shop.desk.path("teleport.yaml"), "teleport: {}\n").unwrap();
    let error = shop.refused("v1/plugin.wasm");
    assert!(error.contains("no plugin directory is set in teleport.yaml"), "{error}");
    assert!(
        shop.refused("oci://nowhere").contains("no plugin directory is set"),
        "before anything is fetched"
    );
}

#[test]
fn a_file_is_inspected_without_being_installed() {
    let shop = Shop::open();
    shop.package("v1", "1.0.0", ECHO);
    let json = shop.tctl("inspect v1/plugin.wasm --format=json").good();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["name"], &json["version"]), (&"hostile".into(), &"1.0.0".into()));
    assert_eq!(json["needs"][0]["what"], "process [\"echo\"]");
    assert!(json["trust"].as_str().unwrap().starts_with("signed by acme"), "{json}");
    assert!(json["imports"].as_array().unwrap().iter().any(|name| name == "teleport:host/process@1.0.0"));
    assert!(std::fs::read_dir(shop.desk.path("plugins")).unwrap().next().is_none());
}

#[test]
fn what_nobody_has_signed_yet_is_inspected_with_the_manifest_beside_it() {
    let shop = Shop::open();
    shop.unsigned("v1", "1.0.0", ECHO);
    let said = shop.tctl("inspect v1/plugin.wasm").good();
    assert!(
        said.contains("process [\"echo\"] (says it)") && said.contains("nobody vouches for it"),
        "{said}"
    );
    let error = shop.refused("v1/plugin.wasm");
    assert!(error.contains("carries no manifest"), "{error}");
    // Put into the plugin directory by hand, it is what another one is held against.
    std::fs::rename(shop.desk.path("v1"), shop.desk.path("plugins/hostile")).unwrap();
    shop.package("v2", "2.0.0", KV);
    let said = shop.tctl("install v2/plugin.wasm");
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    assert!(said.out.contains("in place of version 1.0.0"), "{}", said.out);
    assert!(said.out.contains("+ asks for kv in addition"), "{}", said.out);
}

#[test]
fn rm_takes_out_what_is_there_and_nothing_else() {
    let shop = Shop::open();
    shop.package("v1", "1.0.0", "");
    shop.tctl("install v1/plugin.wasm").good();
    let said = shop.tctl("rm hostile").good();
    assert!(said.starts_with("plugin hostile has been removed from "), "{said}");
    let error = shop.tctl("rm hostile").bad();
    assert!(
        error.contains("there is no plugin hostile in") && error.contains("hint: list them with"),
        "{error}"
    );
    let error = shop.tctl("rm label-command").bad();
    assert!(error.contains("switched off with: tctl plugins disable label-command"), "{error}");
    assert!(shop.tctl("rm ../v1").bad().contains("cannot name a plugin"));
    assert!(shop.desk.path("v1/plugin.wasm").exists());
    // A link to somebody's working copy: the link goes, the copy stays.
    std::os::unix::fs::symlink(shop.desk.path("v1"), shop.desk.path("plugins/hostile")).unwrap();
    shop.tctl("rm hostile").good();
    assert!(shop.desk.path("v1/plugin.wasm").exists());
    assert!(!Path::new(&shop.desk.path("plugins/hostile")).exists());
}

#[test]
fn what_a_removed_plugin_kept_is_told_of_and_deleted_when_that_is_asked_for() {
    let shop = Shop::open();
    shop.package("v1", "1.0.0", KV);
    // As the configuration has it, the data folder is below the plugin directory's.
    let kept = shop.desk.path("plugins/data/plugins/kv/hostile.json");
    std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
    std::fs::write(&kept, "{}").unwrap();
    let rm = |words: &str| {
        shop.tctl("install v1/plugin.wasm").good();
        shop.tctl(words)
    };
    let ended = rm("rm hostile");
    assert!(ended.err.contains(&format!("what it kept stays in {}", kept.display())), "{}", ended.err);
    assert!(ended.err.contains("run: tctl plugins rm --purge hostile"), "{}", ended.err);
    assert!(kept.exists());
    // It is gone already, and what it left can be deleted all the same.
    let said = shop.tctl("rm --purge hostile").good();
    assert_eq!(said, format!("what it kept in {} has been deleted\n", kept.display()));
    assert!(!kept.exists());
    assert!(shop.tctl("rm --purge hostile").bad().contains("there is no plugin hostile in"));
    assert!(rm("rm --purge hostile").good().ends_with("it kept nothing on this host\n"));
}

#[test]
fn the_plugin_that_keeps_the_records_is_not_removed() {
    let shop = Shop::open();
    shop.package("v1", "1.0.0", KV);
    shop.tctl("install v1/plugin.wasm").good();
    let yaml = shop.desk.read("teleport.yaml");
    std::fs::write(shop.desk.path("teleport.yaml"), format!("{yaml}  storage:\n    type: hostile\n"))
        .unwrap();
    let error = shop.tctl("rm hostile").bad();
    assert!(
        error.contains("plugin hostile keeps the records") && error.contains("change teleport.storage first"),
        "{error}"
    );
    assert!(shop.desk.path("plugins/hostile/plugin.wasm").exists());
}

#[test]
fn without_a_daemon_the_socket_is_named() {
    let shop = Shop::open();
    for words in
        ["ls", "explain hostile", "logs hostile", "enable hostile", "disable hostile", "inspect hostile"]
    {
        let error = shop.tctl(words).bad();
        assert!(
            error.contains("no daemon that runs plugins answers at") && error.contains("control.sock"),
            "{error}"
        );
    }
}
