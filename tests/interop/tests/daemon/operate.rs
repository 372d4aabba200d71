//! `tctl plugins` on the host of a node, which has no auth server and no identity of an administrator; and on that of
//! an auth server, which has no node.

use serde_json::Value;
use teleport_tests_interop::{Daemon, Port, World, eventually, program, run};
use tokio::process::Command;

use crate::bed::until;

const LABELS: &str = "  commands:\n  - name: word\n    command: [echo, hello]\n    period: 1s\n";

/// What a command says, or why it fails.
async fn plugins(node: &Daemon, words: &str) -> Result<String, String> {
    tctl(node, &format!("plugins {words}")).await
}

async fn tctl(node: &Daemon, words: &str) -> Result<String, String> {
    let mut command = Command::new(program("tctl"));
    command.args(words.split(' ')).arg("-c").arg(&node.config);
    let output = run(&mut command).await;
    if output.code() == Some(0) { Ok(output.text()) } else { Err(output.stderr) }
}

async fn json(node: &Daemon, words: &str) -> Value {
    let text = plugins(node, &format!("{words} --format=json")).await.unwrap();
    serde_json::from_str(&text).unwrap()
}

/// How a plugin is listed.
async fn state(node: &Daemon, name: &str) -> Value {
    let list = json(node, "ls").await;
    let listed = list.as_array().unwrap().iter().find(|plugin| plugin["name"] == name);
    listed.cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugins_of_a_node_are_listed_explained_and_switched() {
    let world = World::start().await;
    let mut node = world.node_with("web-1", LABELS).await;
    eventually("the label's plugin runs", || async {
        (state(&node, "label-command").await["state"] == "Ready").then_some(())
    })
    .await;
    let table = plugins(&node, "ls").await.unwrap();
    assert!(table.starts_with("Name") && table.contains("storage-etcd"), "{table}");
    eventually("the command is counted", || async {
        let explained = json(&node, "explain label-command").await;
        assert_eq!(explained["items"][0]["meeting"], "granted");
        (explained["items"][0]["used"][0]["what"] == "process [\"echo\", \"hello\"]").then_some(())
    })
    .await;

    plugins(&node, "disable label-command").await.unwrap();
    assert_eq!(state(&node, "label-command").await["state"], "Disabled");
    node.logged("plugin label-command is switched off on this host").await;
    // It stays so when the daemon starts anew.
    node.signal(teleport_tests_interop::Signal::TERM);
    node.ended().await;
    assert!(plugins(&node, "ls").await.unwrap_err().contains("no daemon that runs plugins answers"));
    node.respawn();
    node.ready().await;
    assert_eq!(state(&node, "label-command").await["state"], "Disabled");
    let said = plugins(&node, "enable label-command").await.unwrap();
    assert_eq!(said, "plugin label-command has been enabled: Ready\n");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_is_computed_when_its_plugin_is_switched_on_however_long_its_period() {
    let world = World::start().await;
    let mut node = world.node_with("web-1", &LABELS.replace("1s", "1h")).await;
    let value = |spec: &Value| (spec["cmd_labels"]["word"].clone(), spec["cmd_label_errors"]["word"].clone());
    until(&world, "it has a value", |spec| value(spec) == ("hello".into(), Value::Null)).await;
    plugins(&node, "disable label-command").await.unwrap();
    node.signal(teleport_tests_interop::Signal::TERM);
    node.ended().await;
    node.respawn();
    node.ready().await;
    let off = |spec: &Value| value(spec).1.as_str().is_some_and(|error| error.contains("is switched off"));
    until(&world, "it is switched off", off).await;
    plugins(&node, "enable label-command").await.unwrap();
    until(&world, "it has a value again", |spec| value(spec) == ("hello".into(), Value::Null)).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_cannot_start_leaves_the_socket_to_the_one_that_runs() {
    // An auth server alone: its port is opened after its plugins are there.
    let world = World::start_apart().await;
    let mut again = Command::new(program("teleport"));
    again.args(["start", "-c"]).arg(&world.main.config);
    let output = run(&mut again).await;
    assert_eq!(output.code(), Some(1), "{}", output.stderr);
    assert!(output.stderr.contains("another program listens there"), "{}", output.stderr);
    assert!(plugins(&world.main, "ls").await.unwrap().contains("label-command"));
    // One that can takes its place, and says so.
    let (here, there) = (world.ports.auth.address().to_string(), Port::free());
    let yaml = std::fs::read_to_string(&world.main.config).unwrap();
    let yaml = yaml.replace(&here, &there.address().to_string());
    let other = Daemon::start(world.folder(), "other", &yaml).await;
    other.logged("another teleport works in this data folder too").await;
    plugins(&other, "disable label-command").await.unwrap();
    other.logged("plugin switched off").await;
    other.stop().await;
    // Its place is taken again by the one that has been there all the time.
    let answered = || async { plugins(&world.main, "ls").await.ok() };
    eventually("the first one answers again", answered).await;
    // It does what the other one was told.
    let line = world.main.logged("plugin switched off").await;
    assert!(line.contains("another teleport in this data folder"), "{line}");
    let asked = || async { tctl(&world.main, "status").await.ok() };
    eventually("tctl finds the auth server that is left", asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_configuration_switches_off_no_command_switches_on() {
    let world = World::start().await;
    let off = "teleport:\n  plugins: {load: {label-command: {enabled: no}}}\n";
    let yaml = world.node_yaml("web-1", LABELS).replacen("teleport:\n", off, 1);
    let node = Daemon::start(world.folder(), "web-1", &yaml).await;
    let listed = state(&node, "label-command").await;
    assert_eq!(listed["state"], "Disabled");
    let error = plugins(&node, "enable label-command").await.unwrap_err();
    assert!(error.contains("teleport.plugins.load.label-command.enabled"), "{error}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_server_lists_its_plugins_and_starts_without_their_directory() {
    let mut world = World::start().await;
    let all = async |world: &World| {
        let list = json(&world.main, "ls").await;
        let listed = list.as_array().unwrap().iter();
        listed.map(|plugin| plugin["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let carried = ["label-command", "storage-dynamodb", "storage-etcd"];
    assert_eq!(all(&world).await, carried);
    // One file for all hosts, of which the nodes alone have that folder.
    let yaml = std::fs::read_to_string(&world.main.config).unwrap();
    let with = yaml.replacen("teleport:\n", "teleport:\n  plugins: {directory: /nonexistent/plugins}\n", 1);
    std::fs::write(&world.main.config, with).unwrap();
    world.main.signal(teleport_tests_interop::Signal::TERM);
    world.main.ended().await;
    world.main.respawn();
    world.main.ready().await;
    world.main.logged("the plugin directory is not used").await;
    assert_eq!(all(&world).await, carried);
}
