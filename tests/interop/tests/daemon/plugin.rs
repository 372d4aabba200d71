//! Plugins from a folder: which load, and that the daemon lives on whatever they do.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command as Build;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use teleport_tests_interop::{Daemon, World, eventually, program, run};
use tokio::process::Command;

use crate::bed::{gives_up, until};

mod crooked;
mod name;
mod storm;

/// A guest, built by its own workspace.
pub(crate) fn guest(name: &str) -> Vec<u8> {
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
    std::fs::read(guests.join("target/wasm32-wasip2/release").join(format!("guest_{name}.wasm"))).unwrap()
}

/// As a configuration pins it.
fn digest(wasm: &[u8]) -> String {
    let hex: String = Sha256::digest(wasm).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A plugin directory with the guest in it, under the name `hostile`.
struct Place {
    directory: PathBuf,
    digest: String,
    wasm: Vec<u8>,
}

impl Place {
    fn new(world: &World) -> Self {
        let (directory, wasm) = (world.folder().join("plugins"), guest("hostile"));
        let place = Self { directory, digest: digest(&wasm), wasm };
        place.install("hostile");
        place
    }

    /// Puts the guest there under a name.
    fn install(&self, name: &str) {
        let folder = self.directory.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("plugin.wasm"), &self.wasm).unwrap();
        let manifest = format!(
            "name = \"{name}\"\nversion = \"0.0.1\"\ncontract = \"teleport:label-provider@1.0.0\"\n\
             description = \"for tests\"\n[[needs]]\ncapability = \"process\"\nreason = \"runs things\"\n"
        );
        std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
    }

    /// A node with one label per deed, all by the plugin `hostile`; the lines say what the operator says
    /// of it.
    fn spawn(&self, world: &World, says: &str, deeds: &[(&str, &str)]) -> Daemon {
        let deeds: Vec<_> = deeds.iter().map(|(name, deed)| (*name, *deed, "hostile")).collect();
        self.spawn_each(world, says, &deeds)
    }

    /// The same with a plugin for each label; the operator says the same of all.
    fn spawn_each(&self, world: &World, says: &str, deeds: &[(&str, &str, &str)]) -> Daemon {
        let mut command = Command::new(program("teleport"));
        command.args(["start", "-c"]).arg(self.write_each(world, says, deeds));
        command.arg("--plugin-dir").arg(&self.directory);
        Daemon::spawn_command(world.folder(), "web-1", command)
    }

    /// Writes the configuration of such a node.
    fn write_each(&self, world: &World, says: &str, deeds: &[(&str, &str, &str)]) -> PathBuf {
        let labels: String = deeds
            .iter()
            .map(|(name, deed, plugin)| {
                format!("  - name: {name}\n    plugin: {plugin}\n    command: [{deed}]\n    period: 1s\n")
            })
            .collect();
        let more =
            format!("  commands:\n  - name: plain\n    command: [echo, fine]\n    period: 1s\n{labels}");
        let says: String = says.lines().map(|line| format!("        {line}\n")).collect();
        let plugins: BTreeSet<_> = deeds.iter().map(|(_, _, plugin)| *plugin).chain(["hostile"]).collect();
        let said: String = plugins.iter().map(|plugin| format!("      {plugin}:\n{says}")).collect();
        let head = format!("teleport:\n  plugins:\n    load:\n{said}");
        let yaml = world.node_yaml("web-1", &more).replacen("teleport:\n", &head, 1);
        let config = world.folder().join("web-1.yaml");
        std::fs::write(&config, yaml).unwrap();
        config
    }
}

/// Waits until the only node is listed in such a way and each of these labels has an error that says this, and gives
/// what is listed. On a busy machine a call may first fail of something else, such as of its time.
async fn until_failing(world: &World, says: &[(&str, &str)], wanted: impl Fn(&Value) -> bool) -> Value {
    let fails = |spec: &Value, (name, text): &(&str, &str)| {
        spec["cmd_label_errors"][*name].as_str().is_some_and(|error| error.contains(text))
    };
    let all = |spec: &Value| says.iter().all(|told| fails(spec, told)) && wanted(spec);
    until(world, &format!("errors say {says:?}"), all).await
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
    let spec = until_failing(&world, &[("word", &add)], |spec| spec["cmd_labels"]["plain"] == "fine").await;
    assert!(spec["cmd_labels"]["word"].is_null(), "{spec}");
    node.stop().await;
    // The line as it was told, and all is well.
    let line = add.split_once("hostile: ").unwrap().1;
    let mut node = place.spawn(&world, &format!("{line}\n{grants}"), &deed);
    node.ready().await;
    until(&world, "its labels are computed", |spec| {
        spec["cmd_labels"]["word"] == "hello" && spec["cmd_labels"]["plain"] == "fine"
    })
    .await;
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
    let told = [
        ("no", r#"is not granted to run ["id"]"#),
        ("no", r#"add under teleport.plugins.load.hostile.grants: process: [["id"]]"#),
        ("almost", "is not granted to run"),
    ];
    let spec = until_failing(&world, &told, |spec| spec["cmd_labels"]["yes"] == "granted").await;
    for name in ["no", "almost"] {
        assert!(spec["cmd_labels"][name].is_null(), "{spec}");
    }
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
    // So little memory that it is eaten before the processor time is, however slow the machine.
    let says = format!(
        "digest: {}\ngrants:\n  process: [[echo, granted]]\nlimits:\n  wall: 5s\n  memory: 4MiB\n",
        place.digest
    );
    let deeds = [
        ("loops", "loop", "processor time"),
        ("eats", "allocate", "more memory than"),
        ("traps", "panic", "on purpose"),
        ("dives", "recurse", "crashed: "),
        ("leaves", "exit", "exit"),
        ("sleeps", "sleep", "within 5s"),
        ("chatters", "log-for-ever", "chatters"),
        ("lies", "answer-no-text", "lies"),
        ("swells", "answer-much, \"10000000\"", "swells"),
        ("grabs", "run, id", "not granted"),
    ];
    // Each under a name of its own, since all of what one does counts against it: what keeps failing is
    // not called for a while, and its error then quotes the last failure.
    let labels: Vec<_> = deeds
        .iter()
        .map(|(name, deed, _)| (*name, *deed, *name))
        .chain([("good", "echo, well", "good")])
        .collect();
    labels.iter().for_each(|(_, _, plugin)| place.install(plugin));
    let mut node = place.spawn_each(&world, &says, &labels);
    node.ready().await;
    let home = world.user("joe", "root").await;
    let told = deeds.map(|(name, _, says)| (name, says));
    let spec = until_failing(&world, &told, |spec| {
        spec["cmd_labels"]["good"] == "well" && spec["cmd_labels"]["plain"] == "fine"
    })
    .await;
    for (name, _, _) in deeds {
        assert!(spec["cmd_labels"][name].is_null(), "{name}: {spec}");
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

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_failing_is_quarantined_and_the_audit_log_tells_of_it() {
    let world = World::start().await;
    let place = Place::new(&world);
    let says = format!("digest: {}\ngrants:\n  process: [[echo, granted]]\n", place.digest);
    let mut node = place.spawn(&world, &says, &[("one", "panic"), ("two", "panic"), ("three", "panic")]);
    node.ready().await;
    let found =
        |event: &'static str| move |seen: &Value| seen["event"] == event && seen["plugin"] == "hostile";
    let quarantined = world.event("it is quarantined", found("plugin.quarantine")).await;
    assert_eq!(quarantined["server_hostname"], "web-1");
    assert!(quarantined["reason"].as_str().unwrap().contains("on purpose"), "{quarantined}");
    until(&world, "its labels say so", |spec| {
        let error = spec["cmd_label_errors"]["one"].as_str().unwrap_or_default();
        error.contains("is quarantined until") && error.contains("tctl plugins enable hostile")
    })
    .await;
    let mut release = Command::new(program("tctl"));
    release.args(["plugins", "enable", "hostile", "-c"]).arg(&node.config);
    run(&mut release).await.good();
    assert_eq!(node.stop().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_replaced_while_the_daemon_runs_and_the_audit_log_tells_of_it() {
    let world = World::start().await;
    let place = Place::new(&world);
    // The same with a section that nobody reads (WebAssembly core specification 5.5.3): other bytes.
    let next = [&place.wasm[..], &[0, 2, 1, b'x']].concat();
    let says =
        format!("digest: [{}, '{}']\ngrants:\n  process: [[echo, granted]]\n", place.digest, digest(&next));
    let mut node = place.spawn(&world, &says, &[("word", "echo, hello")]);
    node.ready().await;
    let found =
        |code: &'static str| move |event: &Value| event["code"] == code && event["plugin"] == "hostile";
    let loaded = world.event("it was loaded", found("TPL00I")).await;
    assert_eq!((&loaded["event"], &loaded["digest"]), (&"plugin.load".into(), &place.digest.clone().into()));
    assert_eq!((&loaded["server_hostname"], &loaded["version"]), (&"web-1".into(), &"0.0.1".into()));
    let wasm = place.directory.join("hostile/plugin.wasm");
    let put = |bytes: &[u8]| {
        std::fs::write(wasm.with_extension("new"), bytes).unwrap();
        std::fs::rename(wasm.with_extension("new"), &wasm).unwrap();
    };
    put(b"nonsense");
    let refused = world.event("nonsense was refused", found("TPL02W")).await;
    assert!(refused["reason"].as_str().unwrap().contains("is not the file that is pinned"), "{refused}");
    put(&next);
    let replaced = world.event("it was replaced", found("TPL01I")).await;
    assert_eq!(replaced["digest"], digest(&next));
    assert_eq!(replaced["previous_digest"], place.digest);
    for counter in ["loads", "rejects", "reloads"] {
        let name = format!("plugin_{counter}_total{{plugin=\"hostile\"}}");
        assert_eq!(node.metric(&name).await, Some(1.0), "{name}");
    }
    until(&world, "its labels are computed", |spec| {
        spec["cmd_labels"]["word"] == "hello" && spec["cmd_label_errors"]["word"].is_null()
    })
    .await;
    assert_eq!(node.stop().await.code(), Some(0));
}
