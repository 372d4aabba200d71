//! The way of a plugin through a registry, and what stops it there.

use std::path::{Path, PathBuf};
use std::process::Command as Build;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use teleport_tests_interop::{Daemon, Output, Port, eventually, program, run};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::server::Registry;

/// An author and an operator with a plugin directory, on one desk.
struct Desk {
    folder: TempDir,
}

impl Desk {
    async fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(desk.path("plugin.wasm"), guest()).unwrap();
        let manifest = "name = \"hostile\"\nversion = \"1.2.3+b4\"\ncontract = \"teleport:label-provider@1.0.0\"\n\
             description = \"for tests\"\n";
        std::fs::write(desk.path("plugin.toml"), manifest).unwrap();
        desk.run("teleport", &["plugin", "keygen", "-o", "acme", "--no-password"]).await.good();
        desk.run("teleport", &["plugin", "sign", "--key", "acme.key", "plugin.wasm"]).await.good();
        std::fs::create_dir(desk.path("plugins")).unwrap();
        let key = std::fs::read_to_string(desk.path("acme.pub")).unwrap().lines().nth(1).unwrap().to_owned();
        let yaml = format!(
            "teleport:\n  plugins:\n    directory: {}\n    publishers: {{acme: {key}}}\n    load: {{hostile: {{publishers: acme}}}}\n",
            desk.path("plugins").display()
        );
        std::fs::write(desk.path("teleport.yaml"), yaml).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn run(&self, name: &str, arguments: &[&str]) -> Output {
        self.run_with(name, arguments, &[]).await
    }

    async fn run_with(&self, name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(program(name));
        command.args(arguments).current_dir(self.folder.path()).env("DOCKER_CONFIG", self.path("docker"));
        command.envs(environment.iter().copied());
        run(&mut command).await
    }

    async fn push(&self, to: &str) -> Output {
        self.run("teleport", &["plugin", "push", "plugin.wasm", to]).await
    }

    async fn install(&self, from: &str) -> Output {
        self.run("tctl", &["plugins", "install", from, "-c", "teleport.yaml"]).await
    }

    /// Why it is not installed; and nothing is.
    async fn refused(&self, from: &str) -> String {
        let output = self.install(from).await;
        assert_eq!(output.code(), Some(1), "{}{}", output.text(), output.stderr);
        assert!(std::fs::read_dir(self.path("plugins")).unwrap().next().is_none(), "nothing is written");
        output.stderr
    }
}

/// The hostile guest, built by its own workspace.
fn guest() -> Vec<u8> {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests");
    let mut cargo = Build::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--release", "--locked", "--target", "wasm32-wasip2"])
        .current_dir(&guests);
    for foreign in ["CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS"] {
        cargo.env_remove(foreign);
    }
    let built = cargo.output().expect("cargo starts");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    std::fs::read(guests.join("target/wasm32-wasip2/release/guest_hostile.wasm")).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The place by digest that `push` prints.
fn pinned(said: &str) -> String {
    said.split_whitespace().last().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_goes_through_a_registry_by_tag_and_by_digest() {
    let desk = Desk::new().await;
    let registry = Registry::open(desk.folder.path()).await;
    let said = desk.push(&registry.place("acme/hostile")).await.good();
    assert!(
        said.contains("hostile 1.2.3+b4 with its signature") && said.contains("/acme/hostile:1.2.3_b4"),
        "{said}"
    );
    let by_digest = pinned(&said);
    let output = desk.install(&registry.place("acme/hostile:1.2.3_b4")).await;
    assert!(
        output.stderr.contains(&format!("is {by_digest}")),
        "the digest of the tag is said: {}",
        output.stderr
    );
    let said = output.good();
    assert!(said.contains("signed by acme") && said.contains(&by_digest), "{said}");
    for file in ["plugin.wasm", "plugin.wasm.minisig"] {
        let installed = std::fs::read(desk.path("plugins/hostile").join(file)).unwrap();
        assert!(installed == std::fs::read(desk.path(file)).unwrap(), "{file}");
    }
    let said = desk.install(&by_digest).await.good();
    assert!(said.contains("it is installed already"), "{said}");
    // The same plugin is the same artifact.
    assert_eq!(pinned(&desk.push(&registry.place("acme/hostile:again")).await.good()), by_digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_changes_is_not_installed() {
    let desk = Desk::new().await;
    let registry = Registry::open(desk.folder.path()).await;
    let place = pinned(&desk.push(&registry.place("acme/hostile")).await.good());
    let wasm = std::fs::read(desk.path("plugin.wasm")).unwrap();
    let blob = registry.blob(&sha256(&wasm));
    let mut changed = wasm.clone();
    changed[wasm.len() / 2] ^= 1;
    std::fs::write(&blob, &changed).unwrap();
    let error = desk.refused(&place).await;
    assert!(error.contains("the component of") && error.contains("is not what was asked for"), "{error}");
    std::fs::write(&blob, &wasm).unwrap();
    let manifest = registry.blob(place.split_once('@').unwrap().1);
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("for tests", "for Tests")).unwrap();
    let error = desk.refused(&place).await;
    assert!(error.contains("the manifest of") && error.contains("is not what was asked for"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_named() {
    let desk = Desk::new().await;
    let registry = Registry::open(desk.folder.path()).await;
    for rest in ["acme/nothing:1", &format!("acme/nothing@sha256:{}", "0".repeat(64))] {
        let place = registry.place(rest);
        let error = desk.refused(&place).await;
        assert!(error.contains(&format!("pulling {place} failed")), "{error}");
        assert!(error.contains("hint: check repository and tag"), "{error}");
    }
    let closed = Port::free();
    let error = desk.refused(&format!("oci://{}/x:1", closed.address())).await;
    assert!(error.contains("failed") && error.contains("hint: check that a registry listens at"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_registry_is_entered_with_what_docker_login_wrote() {
    let desk = Desk::new().await;
    let registry = Registry::closed(desk.folder.path()).await;
    let place = registry.place("acme/hostile:1");
    let output = desk.push(&place).await;
    assert_eq!(output.code(), Some(1), "{}", output.text());
    assert!(output.stderr.contains("hint: sign in with `docker login"), "{}", output.stderr);
    std::fs::create_dir(desk.path("docker")).unwrap();
    // joe:s3cret
    let login =
        format!("{{\"auths\":{{\"{}\":{{\"auth\":\"am9lOnMzY3JldA==\"}}}}}}", registry.port.address());
    std::fs::write(desk.path("docker/config.json"), login).unwrap();
    desk.push(&place).await.good();
    desk.install(&place).await.good();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_with_tls_is_believed_by_the_authority_it_shows_and_by_no_other() {
    let desk = Desk::new().await;
    let (registry, authority) = Registry::with_tls(desk.folder.path()).await;
    let place = registry.place("acme/hostile:1");
    let (authority, stranger) =
        (authority.display().to_string(), desk.path("acme.pub").display().to_string());
    let push = ["plugin", "push", "--tls", "plugin.wasm", &place];
    let install = ["plugins", "install", "--tls", &place, "-c", "teleport.yaml"];
    // Nobody vouches for it: neither half is spoken to.
    for (program, words) in [("teleport", &push[..]), ("tctl", &install[..])] {
        let output = desk.run_with(program, words, &[("SSL_CERT_FILE", &stranger)]).await;
        assert_eq!(output.code(), Some(1), "{}{}", output.text(), output.stderr);
        assert!(output.stderr.contains("certificate"), "the reason is said: {}", output.stderr);
    }
    // Without TLS, which is how a registry on this machine is spoken to, it does not answer either.
    let output = desk.push(&place).await;
    assert_eq!(output.code(), Some(1), "{}{}", output.text(), output.stderr);
    let trusted = [("SSL_CERT_FILE", authority.as_str())];
    let by_digest = pinned(&desk.run_with("teleport", &push, &trusted).await.good());
    desk.run_with("tctl", &install, &trusted).await.good();
    let install = ["plugins", "install", "--tls", &by_digest, "-c", "teleport.yaml"];
    let said = desk.run_with("tctl", &install, &trusted).await.good();
    assert!(said.contains("it is installed already"), "{said}");
}

/// A host that runs auth and a node, with the desk's plugin directory; `load` says whose word counts.
fn host_yaml(desk: &Desk, ports: &[Port; 2], load: &str) -> String {
    let plugins = std::fs::read_to_string(desk.path("teleport.yaml")).unwrap();
    let plugins = plugins.replace("{publishers: acme}", load).replacen("teleport:\n", "", 1);
    format!(
        "version: v3\nteleport:\n  nodename: host-1\n  data_dir: {}\n{plugins}\
         auth_service:\n  enabled: yes\n  listen_addr: {}\nproxy_service:\n  enabled: no\n\
         ssh_service:\n  enabled: yes\n  listen_addr: {}\n",
        desk.path("data").display(),
        ports[0].address(),
        ports[1].address(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_running_daemon_makes_of_a_plugin_is_told_by_install() {
    let (desk, ports) = (Desk::new().await, [Port::free(), Port::free()]);
    let other = format!("{{digest: sha256:{}}}", "0".repeat(64));
    let daemon = Daemon::start(desk.folder.path(), "host", &host_yaml(&desk, &ports, &other)).await;
    // Changed after the daemon has read it.
    std::fs::write(&daemon.config, host_yaml(&desk, &ports, "{publishers: acme}")).unwrap();
    let install = ["plugins", "install", "plugin.wasm", "-c", "host.yaml"];
    let output = desk.run("tctl", &install).await;
    assert_eq!(output.code(), Some(1), "{}", output.text());
    assert!(output.text().contains("installed ") && output.stderr.contains("does not serve it: Refused: "));
    assert!(
        output.stderr.contains("hint: the daemon reads teleport.yaml when it starts"),
        "{}",
        output.stderr
    );
    daemon.stop().await;
    desk.run("tctl", &["plugins", "rm", "hostile", "-c", "host.yaml"]).await.good();
    let said = desk.run("tctl", &install).await.good();
    assert!(
        said.ends_with("teleport.yaml grants what it asks for; a daemon takes it up by itself\n"),
        "{said}"
    );
    desk.run("tctl", &["plugins", "rm", "hostile", "-c", "host.yaml"]).await.good();
    let daemon =
        Daemon::start(desk.folder.path(), "host", &host_yaml(&desk, &ports, "{publishers: acme}")).await;
    let said = desk.run("tctl", &install).await.good();
    assert!(said.ends_with("the running daemon has taken it up\n"), "{said}");
    desk.run("tctl", &["plugins", "rm", "hostile", "-c", "host.yaml"]).await.good();
    desk.run("tctl", &["plugins", "disable", "hostile", "-c", "host.yaml"]).await.good();
    let said = desk.run("tctl", &install).await.good();
    let off = "it is switched off on this host; to use it, run: tctl plugins enable hostile\n";
    assert!(said.ends_with(off), "{said}");
    daemon.stop().await;
}

/// Name and version of every plugin the program carries, by the manifests it is built from.
fn carried() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let folders = std::fs::read_dir(root).unwrap().map(|folder| folder.unwrap().path().join("plugin.toml"));
    let value = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")));
        line.unwrap().trim_end_matches('"').to_owned()
    };
    let manifest = |path: PathBuf| {
        let text = std::fs::read_to_string(path).ok()?;
        Some((value(&text, "name"), value(&text, "version")))
    };
    folders.filter_map(manifest).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_of_a_running_daemon_are_listed_looked_into_and_heard() {
    let (desk, ports) = (Desk::new().await, [Port::free(), Port::free()]);
    desk.install("plugin.wasm").await.good();
    let label = "  commands: [{name: words, command: [log, \"2\"], plugin: hostile, period: 1s}]\n";
    let yaml = host_yaml(&desk, &ports, "{publishers: acme}") + label;
    let daemon = Daemon::start(desk.folder.path(), "host", &yaml).await;
    let tctl = async |words: &str| {
        let words = format!("plugins {words} -c host.yaml");
        desk.run("tctl", &words.split(' ').collect::<Vec<_>>()).await.good()
    };
    // Every plugin that is carried, whether or not anybody uses it.
    let listed: serde_json::Value = serde_json::from_str(&tctl("ls --format=json").await).unwrap();
    let carried = carried();
    assert!(carried.len() >= 3, "{carried:?}");
    for (name, version) in carried {
        let found = listed.as_array().unwrap().iter().find(|plugin| plugin["name"] == name.as_str());
        let found = found.unwrap_or_else(|| panic!("{name} is not in {listed}"));
        assert_eq!((&found["version"], &found["source"]), (&version.into(), &"this program".into()));
        assert!(found["grants"].is_array(), "{found}");
        if name == "label-command" {
            assert_eq!(found["grants"][0], "process with the command configured for each label");
        }
    }
    let shown = eventually("it is served", || async {
        let shown = tctl("inspect hostile").await;
        shown.contains("State        Ready\n").then_some(shown)
    })
    .await;
    for line in ["Version      1.2.3+b4", "Contract     teleport:label-provider@1.0.0", "Publisher    acme"] {
        assert!(shown.contains(line), "{shown} should say {line}");
    }
    let heard = eventually("it has logged", || async {
        let heard = tctl("logs hostile").await;
        (!heard.is_empty()).then_some(heard)
    })
    .await;
    // What is there already, and what comes: more than there was a moment ago.
    let mut command = Command::new(program("tctl"));
    command.args(["plugins", "logs", "-f", "hostile", "-c", "host.yaml"]).current_dir(desk.folder.path());
    let mut child = command.stdout(std::process::Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut followed = BufReader::new(child.stdout.take().unwrap()).lines();
    let following = async {
        for expected in heard.lines() {
            assert_eq!(followed.next_line().await.unwrap().as_deref(), Some(expected));
        }
        followed.next_line().await.unwrap().unwrap()
    };
    let next =
        tokio::time::timeout(Duration::from_secs(30), following).await.expect("a line that came later");
    assert!(!heard.contains(&next), "{next} is new");
    child.kill().await.unwrap();
    daemon.stop().await;
}
