//! The data folder: what is wrong with it is said at once, and what a crash leaves behind is mended
//! or named.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use teleport_tests_interop::{Daemon, Port, Signal, World, eventually};

use crate::bed::{auth_yaml, gives_up, listed, tctl};

fn start(folder: &Path, name: &str, data: &Path, more: &str) -> Daemon {
    Daemon::spawn(folder, name, &auth_yaml(data, &Port::free(), more))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_is_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("file"), "").unwrap();
    std::fs::create_dir(path("open")).unwrap();
    std::fs::set_permissions(path("open"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut cases = vec![
        (path("file"), "is not a folder"),
        (path("file").join("below"), "cannot make the folder"),
        (path("open"), "chmod go-w"),
        // Nobody may make folders here, not even root.
        ("/proc/teleport".into(), "cannot make the folder"),
    ];
    if rustix::process::geteuid().is_root() {
        std::fs::create_dir(path("foreign")).unwrap();
        std::os::unix::fs::chown(path("foreign"), Some(65_534), None).unwrap();
        cases.push((path("foreign"), "belongs to user id 65534"));
    }
    for (number, (data, says)) in cases.into_iter().enumerate() {
        let daemon = start(folder.path(), &format!("case-{number}"), &data, "");
        gives_up(daemon, &["cannot use the data folder", data.to_str().unwrap(), "--data-dir", says]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_another_cluster_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut first = start(folder.path(), "first", &data, "  cluster_name: one\n");
    first.ready().await;
    first.stop().await;
    let second = start(folder.path(), "second", &data, "  cluster_name: two\n");
    let store = format!("the store in {}/backend belongs to the cluster \"one\"", data.display());
    gives_up(second, &[&store, "\"two\"", "data_dir of its own"]).await;
    let mut again = start(folder.path(), "again", &data, "  cluster_name: one\n");
    again.ready().await;
    assert!(tctl(&data, &["status"]).await.contains("one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_cluster_says_so() {
    let (one, two) = (World::start().await, World::start().await);
    let node = one.node("web-1").await;
    let yaml = std::fs::read_to_string(&node.config).unwrap();
    node.stop().await;
    // The same folder, told to join the other cluster.
    let other = yaml
        .replace(&one.ports.web.address().to_string(), &two.ports.web.address().to_string())
        .replace(one.pin(), two.pin());
    let mut astray = Daemon::spawn(one.folder(), "astray", &other);
    let line = astray.logged("of another cluster than this host's identity").await;
    assert!(line.contains("to join that one, use an empty data_dir"), "{line}");
    assert!(astray.is_running() && astray.state().await.unwrap().0 != 200);
    astray.stop().await;
    assert!(two.nodes().await.is_empty());
    // Back home it is who it was.
    let mut home = Daemon::spawn(one.folder(), "web-1", &yaml);
    home.ready().await;
    listed(&one, "web-1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_gone_is_noticed_by_the_identities_that_are_left() {
    let mut world = World::start().await;
    let data = world.folder().join("data-main");
    world.main.signal(Signal::TERM);
    world.main.ended().await;
    std::fs::rename(data.join("backend"), data.join("elsewhere")).unwrap();
    world.main.respawn();
    assert_eq!(world.main.ended().await.code(), Some(1));
    let log = world.main.log();
    assert!(log.contains("backend is empty, but this data_dir belongs to the cluster \"main\""), "{log}");
    // With its store it is what it was.
    std::fs::remove_dir_all(data.join("backend")).unwrap();
    std::fs::rename(data.join("elsewhere"), data.join("backend")).unwrap();
    world.main.respawn();
    world.main.ready().await;
    assert!(world.tctl(&["status"]).await.contains(world.pin()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_another_cluster_of_the_same_name_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let data = ["ours", "theirs"].map(|name| folder.path().join(name));
    for (number, data) in data.iter().enumerate() {
        let mut first = start(folder.path(), &format!("first-{number}"), data, "  cluster_name: one\n");
        first.ready().await;
        first.stop().await;
    }
    let [ours, theirs] = &data;
    std::fs::remove_dir_all(ours.join("backend")).unwrap();
    std::fs::rename(theirs.join("backend"), ours.join("backend")).unwrap();
    let swapped = start(folder.path(), "swapped", ours, "  cluster_name: one\n");
    let says = ["identity/admin.json is an identity of the cluster \"one\"", "another one of that name"];
    gives_up(swapped, &says).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_in_memory_leaves_nothing_that_binds() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let in_memory = auth_yaml(&data, &Port::free(), "").replacen(
        "nodename: auth-1\n",
        "nodename: auth-1\n  storage:\n    type: memory\n",
        1,
    );
    let mut pins = Vec::new();
    // From memory to a disk, there again by way of memory, and to the same disk again.
    for (number, kept) in [false, true, false, false, true].into_iter().enumerate() {
        let name = format!("start-{number}");
        let mut daemon = match kept {
            true => start(folder.path(), &name, &data, ""),
            false => Daemon::spawn(folder.path(), &name, &in_memory),
        };
        daemon.ready().await;
        if kept {
            pins.push(
                tctl(&data, &["status"])
                    .await
                    .lines()
                    .find(|line| line.contains("sha256:"))
                    .map(str::to_owned),
            );
        }
        daemon.stop().await;
    }
    assert!(pins[0].is_some() && pins[0] == pins[1], "{pins:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_identity_is_named_with_the_way_out() {
    let world = World::start().await;
    let mut node = world.node("web-1").await;
    let uuid = listed(&world, "web-1").await["metadata"]["name"].clone();
    let data = world.folder().join("data-web-1");
    let identity = data.join("identity/node.json");
    node.signal(Signal::TERM);
    node.ended().await;
    let whole = std::fs::read(&identity).unwrap();
    for half in [&whole[..whole.len() / 2], b"", b"\0\0\0\0"] {
        std::fs::write(&identity, half).unwrap();
        node.respawn();
        assert_eq!(node.ended().await.code(), Some(1));
        let log = node.log();
        assert!(
            log.contains("identity/node.json is damaged") && log.contains("join again with a token"),
            "{log}"
        );
    }
    // What a write that was cut short leaves behind is no identity and disturbs nobody.
    std::fs::write(data.join("identity/.node.json.1-0"), &whole[..10]).unwrap();
    std::fs::remove_file(&identity).unwrap();
    node.respawn();
    assert_eq!(node.ended().await.code(), Some(1), "a token alone does not give it its place back");
    assert!(node.log().contains("tctl rm node/"), "{}", node.log());
    world.tctl(&["rm", &format!("node/{}", uuid.as_str().unwrap())]).await;
    node.respawn();
    node.ready().await;
    assert_eq!(listed(&world, "web-1").await["metadata"]["name"], uuid, "the same host as before");
    node.signal(Signal::TERM);
    node.ended().await;
    std::fs::write(data.join("host_uuid"), "not-a-uu").unwrap();
    node.respawn();
    assert_eq!(node.ended().await.code(), Some(1));
    assert!(node.log().contains("host_uuid is damaged: it holds no UUID; delete it"), "{}", node.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_while_it_founds_a_cluster_leaves_one_that_starts() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut pin = None;
    for round in 0..12_u64 {
        let mut daemon = start(folder.path(), "auth", &data, "");
        tokio::time::sleep(std::time::Duration::from_millis(round * 15)).await;
        assert!(daemon.is_running(), "{}", daemon.log());
        daemon.kill().await;
    }
    for _ in 0..2 {
        let mut daemon = start(folder.path(), "auth", &data, "");
        daemon.ready().await;
        let status = tctl(&data, &["status", "--format=json"]).await;
        let shown = serde_json::from_str::<serde_json::Value>(&status).unwrap()["ca_pins"].clone();
        assert_eq!(shown.as_array().unwrap().len(), 1);
        assert_eq!(*pin.get_or_insert_with(|| shown.clone()), shown);
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_at_the_same_ports_is_told_who_is_there() {
    let world = World::start().await;
    let yaml = std::fs::read_to_string(&world.main.config).unwrap();
    let second = Daemon::spawn(world.folder(), "second", &yaml);
    gives_up(second, &["cannot listen on 127.0.0.1:", "another program listens there"]).await;
    world.tctl(&["status"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_auth_servers_on_one_folder_are_one_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut first = start(folder.path(), "first", &data, "");
    first.ready().await;
    tctl(&data, &["users", "add", "joe", "root"]).await;
    let mut second = start(folder.path(), "second", &data, "");
    second.ready().await;
    // tctl now goes to the second; both write one log.
    assert!(tctl(&data, &["users", "ls"]).await.contains("joe"));
    tctl(&data, &["users", "add", "ann", "root"]).await;
    second.kill().await;
    first.kill().await;
    let mut third = start(folder.path(), "third", &data, "");
    third.ready().await;
    let users = eventually("all users", || async { Some(tctl(&data, &["users", "ls"]).await) }).await;
    assert!(users.contains("joe") && users.contains("ann"), "{users}");
    let log = std::fs::read_to_string(data.join("log/events.log")).unwrap();
    let made = log.lines().filter(|line| line.contains("\"user.create\""));
    assert_eq!(made.count(), 2, "{log}");
}
