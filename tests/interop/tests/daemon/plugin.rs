//! Plugins from a folder: which load, and that the daemon lives on whatever they do.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command as Build;

use sha2::{Digest as _, Sha256};
use teleport_tests_interop::{Daemon, World, eventually, program};
use tokio::process::Command;

use crate::bed::{gives_up, listed};

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

/// A plugin directory with the guest in it, under the name `hostile`.
struct Place {
    directory: PathBuf,
    digest: String,
}

impl Place {
    fn new(world: &World) -> Self {
        let (directory, wasm) = (world.folder().join("plugins"), guest());
        let folder = directory.join("hostile");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("plugin.wasm"), &wasm).unwrap();
        let manifest = "name = \"hostile\"\nversion = \"0.0.1\"\ncontract = \"teleport:label-provider@1.0.0\"\n\
                        description = \"for tests\"\n[[needs]]\ncapability = \"process\"\nreason = \"runs things\"\n";
        std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
        let digest = Sha256::digest(&wasm).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Self { directory, digest: format!("sha256:{digest}") }
    }

    /// A node with one label per deed; the lines say what the operator says of the plugin.
    fn spawn(&self, world: &World, says: &str, deeds: &[(&str, &str)]) -> Daemon {
        let labels: String = deeds
            .iter()
            .map(|(name, deed)| {
                format!("  - name: {name}\n    plugin: hostile\n    command: [{deed}]\n    period: 1s\n")
            })
            .collect();
        let more =
            format!("  commands:\n  - name: plain\n    command: [echo, fine]\n    period: 1s\n{labels}");
        let says: String = says.lines().map(|line| format!("        {line}\n")).collect();
        let head = format!("teleport:\n  plugins:\n    load:\n      hostile:\n{says}");
        let yaml = world.node_yaml("web-1", &more).replacen("teleport:\n", &head, 1);
        let config = world.folder().join("web-1.yaml");
        std::fs::write(&config, yaml).unwrap();
        let mut command = Command::new(program("teleport"));
        command.args(["start", "-c"]).arg(config).arg("--plugin-dir").arg(&self.directory);
        Daemon::spawn_command(world.folder(), "web-1", command)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_refused_without_its_pin_and_the_log_has_the_line_to_add() {
    let world = World::start().await;
    let place = Place::new(&world);
    let deed = [("word", "echo, hello")];
    let grants = "grants:\n  process: [[echo, hello]]\n";
    let mut node = place.spawn(&world, grants, &deed);
    node.ready().await;
    let line = node.logged("a plugin that labels need does not load").await;
    assert!(line.contains("plugin=hostile"), "{line}");
    let add = format!("add under teleport.plugins.load.hostile: digest: {}", place.digest);
    assert!(line.contains(&add), "{line}");
    let spec = listed(&world, "web-1").await["spec"].clone();
    assert!(spec["cmd_labels"]["word"].is_null() && spec["cmd_labels"]["plain"] == "fine", "{spec}");
    let error = spec["cmd_label_errors"]["word"].as_str().unwrap().to_owned();
    assert!(error.contains(&add), "{error}");
    node.stop().await;
    // The line as it was told, and all is well.
    let line = add.split_once("hostile: ").unwrap().1;
    let mut node = place.spawn(&world, &format!("{line}\n{grants}"), &deed);
    node.ready().await;
    let spec = listed(&world, "web-1").await["spec"].clone();
    assert_eq!(spec["cmd_labels"]["word"], "hello", "{spec}");
    assert!(world.tctl(&["nodes", "ls"]).await.contains("plain=fine,word=hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_directory_that_is_not_in_order_keeps_the_daemon_from_starting() {
    let world = World::start().await;
    let place = Place::new(&world);
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(&place.directory, open).unwrap();
    gives_up(place.spawn(&world, &format!("digest: {}", place.digest), &[]), &["--plugin-dir", "chmod go-w"])
        .await;
    let missing = Place { directory: world.folder().join("nowhere"), ..place };
    let daemon = missing.spawn(&world, &format!("digest: {}", missing.digest), &[]);
    gives_up(daemon, &["--plugin-dir", "nowhere"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_runs_what_was_granted_and_nothing_else() {
    let world = World::start().await;
    let place = Place::new(&world);
    let says = format!("digest: {}\ngrants:\n  process: [[echo, granted]]\n", place.digest);
    let deeds = [("yes", "run, echo, granted"), ("no", "run, id"), ("almost", "run, echo, granted, more")];
    let mut node = place.spawn(&world, &says, &deeds);
    node.ready().await;
    let nodes = world
        .until_nodes("all have been tried", |nodes| {
            nodes.len() == 1
                && nodes[0]["spec"]["cmd_labels"]["yes"] == "granted"
                && nodes[0]["spec"]["cmd_label_errors"]["no"].is_string()
                && nodes[0]["spec"]["cmd_label_errors"]["almost"].is_string()
        })
        .await;
    let errors = &nodes[0]["spec"]["cmd_label_errors"];
    let text = errors["no"].as_str().unwrap();
    assert!(
        text.contains(r#"is not granted to run ["id"]"#)
            && text.contains(r#"add under teleport.plugins.load.hostile.grants: process: [["id"]]"#),
        "{text}"
    );
    assert!(nodes[0]["spec"]["cmd_labels"]["no"].is_null(), "{errors}");
    // What the manifest wants and nobody granted keeps it from loading at all.
    node.stop().await;
    let mut node = place.spawn(&world, &format!("digest: {}\n", place.digest), &deeds[..1]);
    node.ready().await;
    let line = node.logged("a plugin that labels need does not load").await;
    assert!(line.contains("asks for process") && line.contains("is not granted it"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_lives_on_whatever_a_plugin_does() {
    let world = World::start().await;
    let place = Place::new(&world);
    let says =
        format!("digest: {}\ngrants:\n  process: [[echo, granted]]\nlimits:\n  wall: 1s\n", place.digest);
    let deeds = [
        ("loops", "loop", "processor time"),
        ("eats", "allocate", "more memory than"),
        ("traps", "panic", "on purpose"),
        ("dives", "recurse", "crashed: "),
        ("leaves", "exit", "exit"),
        ("sleeps", "sleep", "within 1s"),
        ("chatters", "log-for-ever", "hostile"),
        ("lies", "answer-no-text", "hostile"),
        ("swells", "answer-much, \"10000000\"", "hostile"),
        ("grabs", "run, id", "not granted"),
    ];
    let labels: Vec<_> =
        deeds.iter().map(|(name, deed, _)| (*name, *deed)).chain([("good", "echo, well")]).collect();
    let mut node = place.spawn(&world, &says, &labels);
    node.ready().await;
    let home = world.user("joe", "root").await;
    let nodes = world
        .until_nodes("every deed was done", |nodes| {
            let spec = nodes.first().map(|node| node["spec"].clone()).unwrap_or_default();
            deeds.iter().all(|(name, _, _)| spec["cmd_label_errors"][*name].is_string())
                && spec["cmd_labels"]["good"] == "well"
                && spec["cmd_labels"]["plain"] == "fine"
        })
        .await;
    for (name, deed, says) in deeds {
        let error = nodes[0]["spec"]["cmd_label_errors"][name].as_str().unwrap().to_owned();
        assert!(error.contains(says), "{deed} should say {says:?}: {error}");
        assert!(nodes[0]["spec"]["cmd_labels"][name].is_null(), "{name}");
    }
    // All the while the host serves its users.
    let rounds = node.metric("node_failed_labels_total").await.unwrap();
    eventually("each deed was done again", || async {
        home.on("web-1.main", "true").await.good();
        let now = node.metric("node_failed_labels_total").await?;
        (now >= rounds + 2.0 * deeds.len() as f64).then_some(())
    })
    .await;
    assert!(node.is_running());
    assert_eq!(node.state().await.unwrap().0, 200);
    let memory = node.memory();
    assert!(memory < 400 << 20, "{memory} bytes");
    assert!(!node.log().contains("line 1000"), "a plugin's lines are few");
    assert!(node.log().len() < 1 << 20, "the log is not flooded: {} bytes", node.log().len());
    assert_eq!(node.stop().await.code(), Some(0));
}
