//! Sessions go on while what is no plugin lies among the plugins, their directory is closed, or the disk for
//! their compiled code is full.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;
use teleport_tests_interop::{Daemon, Home, World, can_mount, eventually, program, run};
use tokio::process::Command;

use super::{Place, digest, until_failing};
use crate::bed::until;

const GRANTS: &str = "grants:\n  process: [[echo, granted]]\n";

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Sessions, one after the other, with all they print.
async fn serves(home: &Home, what: &str) {
    for turn in 0..5 {
        let said = home.on("web-1.main", &format!("echo {what} {turn}")).await.good();
        assert_eq!(said.trim(), format!("{what} {turn}"));
    }
}

/// A node whose daemon is begun by these words, which are before its own.
fn begin(place: &Place, world: &World, says: &str, deeds: &[(&str, &str, &str)], words: &[&str]) -> Daemon {
    let config = place.write_each(world, says, deeds);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(program("teleport")).args(["start", "-c"]).arg(config);
    command.arg("--plugin-dir").arg(&place.directory);
    Daemon::spawn_command(world.folder(), "web-1", command)
}

fn value(spec: &Value, label: &str, wanted: &str) -> bool {
    spec["cmd_labels"][label] == wanted && spec["cmd_label_errors"][label].is_null()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_plugin_is_refused_and_sessions_are_served() {
    if !can_mount().await {
        eprintln!("nothing was tested: only root may give up what lets it read everything");
        return;
    }
    let world = World::start().await;
    let place = Place::new(&world);
    let wasm = |name: &str| place.directory.join(name).join("plugin.wasm");
    let manifest = |name: &str, from: &str, to: &str| {
        let path = place.directory.join(name).join("plugin.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    };
    let told = [
        ("module", "cannot be compiled: it is a core WebAssembly module"),
        ("cut", "cannot be compiled: it is cut off"),
        ("text", "cannot be compiled: it is not a WebAssembly component"),
        ("liar", "the component is built for teleport:label-provider@1.0.0"),
        ("parent", "the manifest of plugin parent cannot be used"),
        ("double", "names it hostile"),
        ("closed", "Permission denied"),
    ];
    told.iter().for_each(|(name, _)| place.install(name));
    let (half, module) = (&place.wasm[..place.wasm.len() / 2], b"\0asm\x01\0\0\0");
    std::fs::write(wasm("module"), module).unwrap();
    std::fs::write(wasm("cut"), half).unwrap();
    std::fs::write(wasm("text"), "nonsense").unwrap();
    manifest("liar", "teleport:label-provider@1.0.0", "teleport:storage-backend@1.0.0");
    manifest("parent", "\"parent\"", "\"../hostile\"");
    manifest("double", "\"double\"", "\"hostile\"");
    mode(&place.directory.join("closed"), 0o000);
    let pins = [&place.wasm[..], half, module, b"nonsense"].map(|bytes| format!("'{}'", digest(bytes)));
    let says = format!("digest: [{}]\n{GRANTS}", pins.join(", "));
    let labels: Vec<_> = [("good", "echo, well", "hostile")]
        .into_iter()
        .chain(told.iter().map(|(name, _)| (*name, "echo, mended", *name)))
        .collect();
    let reads_like_others = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--"];
    let mut node = begin(&place, &world, &says, &labels, &reads_like_others);
    node.ready().await;
    let home = world.user("joe", "root").await;
    world.until_nodes("the node is listed", |nodes| nodes.len() == 1).await;
    serves(&home, "beside").await;
    until_failing(&world, &told, |spec| value(spec, "good", "well") && value(spec, "plain", "fine")).await;
    serves(&home, "refused").await;

    // What runs goes on while nothing can be read of where it came from.
    mode(&place.directory, 0o000);
    let calls = || async { node.metric("plugin_calls_total{plugin=\"hostile\",outcome=\"ok\"}").await };
    let before = calls().await.unwrap();
    eventually("it is called on", || async {
        serves(&home, "closed").await;
        (calls().await? > before + 2.0).then_some(())
    })
    .await;
    // What is mended meanwhile is taken up when the directory is open again.
    mode(&place.directory, 0o755);
    std::fs::write(wasm("cut"), &place.wasm).unwrap();
    mode(&place.directory.join("closed"), 0o755);
    let mended = |spec: &Value| ["cut", "closed"].iter().all(|name| value(spec, name, "mended"));
    until(&world, "what is in order now is computed", mended).await;
    serves(&home, "mended").await;
    assert_eq!(node.stop().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_served_where_compiled_code_finds_no_room() {
    if !can_mount().await {
        eprintln!("nothing was tested: this machine lets nobody mount a small disk");
        return;
    }
    let world = World::start().await;
    let place = Place::new(&world);
    let says = format!("digest: {}\n{GRANTS}", place.digest);
    let deeds = [("good", "echo, well", "hostile")];
    let disk = world.folder().join("data-web-1/plugins");
    std::fs::create_dir_all(&disk).unwrap();
    mode(disk.parent().unwrap(), 0o700);
    let disk = disk.to_str().unwrap();
    let small = format!("mount -t tmpfs -o size=64k,mode=0700 none {disk} && exec \"$0\" \"$@\"");
    let words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &small];
    let mut node = begin(&place, &world, &says, &deeds, &words);
    node.ready().await;
    let home = world.user("joe", "root").await;
    world.until_nodes("the node is listed", |nodes| nodes.len() == 1).await;
    until_failing(&world, &[("good", "No space left on device")], |_| true).await;
    serves(&home, "full").await;
    // As the daemon sees the disk.
    let (pid, tctl) = (node.pid().to_string(), program("tctl"));
    let config = node.config.to_str().unwrap();
    let grow = ["mount", "-o", "remount,size=64m", disk];
    let again = [tctl.to_str().unwrap(), "plugins", "enable", "hostile", "-c", config];
    for words in [&grow[..], &again[..]] {
        run(Command::new("nsenter").args(["--mount", "--target", &pid]).args(words)).await.good();
    }
    until(&world, "it is computed", |spec| value(spec, "good", "well")).await;
    serves(&home, "room").await;
    assert_eq!(node.stop().await.code(), Some(0));
}
