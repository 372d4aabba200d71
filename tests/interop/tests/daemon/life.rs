//! How the daemon ends, drains, and what it says of itself meanwhile.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::Value;
use teleport_tests_interop::{Daemon, Port, Signal, World, eventually, get};
use tokio::time::Instant;

use crate::bed::{auth_yaml, gives_up, listed};

/// What "promptly" means on a machine that is busy with other things.
const PROMPT: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn term_and_int_stop_promptly_and_leave_nothing_behind() {
    let world = World::start().await;
    for (name, signal) in [("term-1", Signal::TERM), ("int-1", Signal::INT)] {
        let pid_file = world.folder().join(format!("{name}.pid"));
        let more = format!("  pid_file: {}\n", pid_file.display());
        let yaml = world.node_yaml(name, "").replacen("teleport:\n", &format!("teleport:\n{more}"), 1);
        let mut node = Daemon::start(world.folder(), name, &yaml).await;
        listed(&world, name).await;
        assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), format!("{}\n", node.pid()));
        // A second one is kept out by the file, and leaves it alone.
        let second = Daemon::spawn(world.folder(), &format!("{name}-second"), &yaml);
        gives_up(second, &["another teleport runs as process", &node.pid().to_string(), "--pid-file"]).await;
        assert!(pid_file.exists());
        let asked = Instant::now();
        node.signal(signal);
        assert_eq!(node.ended().await.code(), Some(0), "{}", node.log());
        assert!(asked.elapsed() < PROMPT, "{:?}", asked.elapsed());
        assert!(!pid_file.exists());
        assert!(node.log().contains("stopped"));
        assert!(world.nodes().await.is_empty(), "it said goodbye");
    }
    let asked = Instant::now();
    assert_eq!(world.main.stop().await.code(), Some(0));
    assert!(asked.elapsed() < PROMPT, "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pid_file_of_a_daemon_that_was_killed_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let (port, pid_file) = (Port::free(), folder.path().join("pid"));
    let yaml = auth_yaml(&folder.path().join("data"), &port, "").replacen(
        "teleport:\n",
        &format!("teleport:\n  pid_file: {}\n", pid_file.display()),
        1,
    );
    let mut daemon = Daemon::start(folder.path(), "auth", &yaml).await;
    daemon.signal(Signal::KILL);
    daemon.ended().await;
    assert!(pid_file.exists());
    daemon.respawn();
    daemon.ready().await;
    assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), format!("{}\n", daemon.pid()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_while_it_waits_to_join_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = Port::free();
    let mut command = crate::bed::node_command(folder.path(), "waits", &nobody.address().to_string());
    command.args(["--token=some-token", "--ca-pin", &format!("sha256:{}", "0".repeat(64))]);
    let mut daemon = Daemon::spawn_command(folder.path(), "waits", command);
    daemon.logged("cannot join yet").await;
    assert_eq!(get(daemon.diagnostics(), "/healthz").await.unwrap().0, 200, "alive, though not ready");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn usr1_writes_diagnostics_to_the_log() {
    let world = World::start().await;
    let node = world.node("web-1").await;
    node.signal(Signal::USR1);
    let last = node.logged("metric node_sessions_started_total").await;
    assert!(last.contains("[DIAGNOSTICS"), "{last}");
    let log = node.log();
    for fact in [
        "program version=0.1.0 revision=",
        format!("pid={} uptime=", node.pid()).as_str(),
        "process resident_bytes=",
        "runtime workers=",
        "health ok",
        "component heartbeat state=ok",
        "component tunnel state=ok",
        "metric process_state 0",
    ] {
        assert!(log.contains(fact), "{fact}:\n{log}");
    }
    assert!(!log.contains("a-token-that-tests-know"), "no secrets");
}

#[tokio::test(flavor = "multi_thread")]
async fn quit_drains() {
    let world = World::start().await;
    let mut node = world.node("web-1").await;
    let home = world.user("joe", "root").await;
    let (begun, finish) = (world.folder().join("begun"), world.folder().join("finish"));
    let script = format!(
        "touch {}; while [ ! -e {} ]; do sleep 0.05; done; echo finished",
        begun.display(),
        finish.display()
    );
    let session = tokio::spawn({
        let home = home.clone();
        async move { home.on("web-1.main", &script).await }
    });
    eventually("the session runs", || async { begun.exists().then_some(()) }).await;
    node.signal(Signal::QUIT);
    node.logged("draining: no new connections").await;
    world.until_nodes("the node takes no more", <[_]>::is_empty).await;
    let refused = home.on("web-1.main", "echo no").await;
    assert_eq!((refused.code(), refused.text().as_str()), (Some(255), ""), "{}", refused.stderr);
    assert!(node.is_running() && !session.is_finished());
    std::fs::write(&finish, "").unwrap();
    assert_eq!(session.await.unwrap().good(), "finished\n");
    assert_eq!(node.ended().await.code(), Some(0), "{}", node.log());
    // Its end is on record, though the daemon's followed at once.
    world.event("the end of the session", |event| event["code"] == "T3002I" && event["user"] == "joe").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_wait_of_a_drain() {
    let world = World::start().await;
    let mut node = world.node("web-1").await;
    let home = world.user("joe", "root").await;
    let begun = world.folder().join("begun");
    let script = format!("touch {}; exec sleep 600", begun.display());
    let session = tokio::spawn(async move { home.on("web-1.main", &script).await });
    eventually("the session runs", || async { begun.exists().then_some(()) }).await;
    node.signal(Signal::QUIT);
    node.logged("draining: no new connections").await;
    let asked = Instant::now();
    node.signal(Signal::TERM);
    assert_eq!(node.ended().await.code(), Some(0), "{}", node.log());
    assert!(asked.elapsed() < PROMPT, "{:?}", asked.elapsed());
    assert_ne!(session.await.unwrap().code(), Some(0));
    // What was cut short is on record all the same.
    world
        .event("the session that was cut short", |event| {
            event["event"] == "exec"
                && event["command"].as_str().is_some_and(|command| command.contains("sleep 600"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_drains_as_well() {
    let mut world = World::start_apart().await;
    let node = world.node("web-1").await;
    let home = world.user("joe", "root").await;
    let (begun, finish) = (world.folder().join("begun"), world.folder().join("finish"));
    let script = format!(
        "touch {}; while [ ! -e {} ]; do sleep 0.05; done; echo finished",
        begun.display(),
        finish.display()
    );
    let session = tokio::spawn({
        let home = home.clone();
        async move { home.on("web-1.main", &script).await }
    });
    eventually("the session runs", || async { begun.exists().then_some(()) }).await;
    let mut proxy = world.proxy.take().unwrap();
    proxy.signal(Signal::QUIT);
    proxy.logged("draining: no new connections").await;
    let refused = home.on("web-1.main", "echo no").await;
    assert_eq!((refused.code(), refused.text().as_str()), (Some(255), ""), "{}", refused.stderr);
    assert!(proxy.is_running() && !session.is_finished());
    std::fs::write(&finish, "").unwrap();
    assert_eq!(session.await.unwrap().good(), "finished\n");
    assert_eq!(proxy.ended().await.code(), Some(0), "{}", proxy.log());
    drop(node);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_daemon_from_starting_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = |name: &str| folder.path().join(name);
    let yaml = |name: &str, general: &str| {
        auth_yaml(&data(name), &Port::free(), "").replacen("teleport:\n", &format!("teleport:\n{general}"), 1)
    };
    let log = yaml("log", "  log:\n    output: /nonexistent/folder/teleport.log\n");
    gives_up(Daemon::spawn(folder.path(), "log", &log), &["/nonexistent/folder/teleport.log"]).await;
    let pid = yaml("pid", "  pid_file: /nonexistent/folder/pid\n");
    gives_up(Daemon::spawn(folder.path(), "pid", &pid), &["/nonexistent/folder/pid"]).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = tokio::process::Command::new(teleport_tests_interop::program("teleport"));
    let file = folder.path().join("taken.yaml");
    let listen = format!("  listen_addr: {address}\n");
    let own = yaml("taken", "");
    let line = own.lines().find(|line| line.contains("listen_addr")).unwrap().to_owned() + "\n";
    std::fs::write(&file, own.replace(&line, &listen)).unwrap();
    command.args(["start", "-c"]).arg(file);
    let says = [&format!("cannot listen on {address}"), "another program listens there"];
    gives_up(Daemon::spawn_command(folder.path(), "taken", command), &says).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_goes_to_a_file_as_json_and_survives_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("teleport.log");
    let section = format!(
        "teleport:\n  log:\n    output: {}\n    severity: INFO\n    format:\n      output: json\n      \
         extra_fields: [timestamp, level, component, caller]\n",
        log.display()
    );
    let yaml = auth_yaml(&folder.path().join("data"), &Port::free(), "").replacen("teleport:\n", &section, 1);
    let daemon = Daemon::start(folder.path(), "auth", &yaml).await;
    let lines = |path: &std::path::Path| -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line is one object")).collect()
    };
    let ready = eventually("it says that it is ready", || async {
        lines(&log).into_iter().find(|line| line["message"] == "ready")
    })
    .await;
    assert_eq!((&ready["level"], &ready["component"]), (&"info".into(), &"teleport".into()), "{ready}");
    assert!(ready["timestamp"].is_string() && ready["caller"].as_str().unwrap().contains(".rs:"), "{ready}");
    assert_eq!(daemon.log(), "", "nothing goes anywhere else");
    assert_eq!(std::fs::metadata(&log).unwrap().permissions().mode() & 0o022, 0);
    let rotated = folder.path().join("teleport.log.1");
    std::fs::rename(&log, &rotated).unwrap();
    daemon.signal(Signal::HUP);
    eventually("a new file", || async { log.exists().then_some(()) }).await;
    daemon.stop().await;
    assert!(lines(&log).iter().any(|line| line["message"] == "stopped"));
    assert!(!lines(&rotated).iter().any(|line| line["message"] == "stopped"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_log_says_the_same_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = auth_yaml(&folder.path().join("data"), &Port::free(), "");
    let daemon = Daemon::start(folder.path(), "auth", &yaml).await;
    let line = daemon.logged("listening service=auth").await;
    assert!(line.contains(" INFO [TELEPORT") && line.starts_with("20"), "{line}");
    // -d: everything, to standard error.
    let mut command = tokio::process::Command::new(teleport_tests_interop::program("teleport"));
    let other = folder.path().join("other.yaml");
    std::fs::write(&other, auth_yaml(&folder.path().join("data-2"), &Port::free(), "")).unwrap();
    command.args(["start", "-d", "-c"]).arg(other);
    let loud = Daemon::spawn_command(folder.path(), "loud", command);
    loud.logged(" DEBU").await;
}
