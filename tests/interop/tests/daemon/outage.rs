//! Parts of a cluster that die and come back, and changes that take effect without a restart.

use std::collections::BTreeMap;

use serde_json::Value;
use teleport_tests_interop::{Daemon, Home, Signal, World, eventually};

use crate::bed::{joining, listed};

/// Runs a command until it goes well: a link that was lost comes back in its own time.
async fn until_works(home: &Home, node: &str) {
    eventually(&format!("{node} is reached again"), || async {
        let output = home.on(node, "echo in").await;
        (output.text() == "in\n").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_come_back_after_the_proxy_was_killed() {
    let mut world = World::start_apart().await;
    let mut node = world.node("web-1").await;
    let home = world.user("joe", "root").await;
    home.on("web-1.main", "true").await.good();
    let mut proxy = world.proxy.take().unwrap();
    proxy.signal(Signal::KILL);
    proxy.ended().await;
    let refused = home.on("web-1.main", "true").await;
    assert_eq!(refused.code(), Some(255), "nobody is there");
    let state = node.until_state(503).await;
    let component = |name: &str| {
        let list = state["components"].as_array().unwrap().iter();
        list.clone().find(|component| component["component"] == name).cloned().unwrap_or_default()
    };
    assert_eq!(component("tunnel")["state"], "degraded", "{state}");
    assert!(component("tunnel")["reason"].as_str().unwrap().contains("the proxy at 127.0.0.1:"), "{state}");
    proxy.respawn();
    proxy.ready().await;
    until_works(&home, "web-1.main").await;
    assert!(node.is_running(), "{}", node.log());
    // It is the same tunnel for all who come after, not one per try.
    assert_eq!(proxy.metric("tunnel_links").await, Some(1.0));
    node.until_state(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_starts_before_its_proxy_is_reached_once_that_is_there() {
    let mut world = World::start_apart().await;
    // Told where to go by the command line, which does not say that this is a proxy.
    let mut node = joining(&world, "web-1", "a-token-that-tests-know");
    node.ready().await;
    let home = world.user("joe", "root").await;
    home.on("web-1.main", "true").await.good();
    node.signal(Signal::TERM);
    node.ended().await;
    let mut proxy = world.proxy.take().unwrap();
    proxy.signal(Signal::TERM);
    proxy.ended().await;
    node = joining(&world, "web-1", "a-token-that-tests-know");
    node.logged("cannot tell yet whether this is a proxy or an auth server").await;
    proxy.respawn();
    proxy.ready().await;
    node.ready().await;
    until_works(&home, "web-1.main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_node_was_killed_is_said_to_have_ended_once() {
    let world = World::start_apart().await;
    let mut node = world.node("web-1").await;
    let home = world.user("joe", "root").await;
    home.on("web-1.main", "echo before").await.good();
    let begun = world.folder().join("begun");
    let cut = tokio::spawn({
        let (home, script) = (home.clone(), format!("echo $$ > {}; exec sleep 100", begun.display()));
        async move { home.on("web-1.main", &script).await }
    });
    eventually("the session runs", || async { begun.exists().then_some(()) }).await;
    let named = |event: &Value, name: &str| event["event"] == name;
    let is_cut = |event: &Value| event["initial_command"].to_string().contains("sleep 100");
    let start = world.event("its start", |event| named(event, "session.start") && is_cut(event)).await;
    for _ in 0..2 {
        node.signal(Signal::KILL);
        node.ended().await;
        node.respawn();
        node.ready().await;
        until_works(&home, "web-1.main").await;
    }
    assert_eq!(cut.await.unwrap().code(), Some(255), "its connection is gone");
    let is_its_end = |event: &Value| named(event, "session.end") && event["sid"] == start["sid"];
    let end = world.event("its end", is_its_end).await;
    assert!(end["reason"].as_str().unwrap().contains("when that was found out"), "{end}");
    for field in ["user", "login", "server_id", "server_hostname", "addr.remote", "cluster_name"] {
        assert!(end[field] == start[field] && end[field].is_string(), "{field}: {end}");
    }
    let (began, time) = (end["session_start"].as_str().unwrap(), start["time"].as_str().unwrap());
    assert_eq!(began.split('.').next(), time.split('.').next(), "{end}");
    // Its program goes on, as under OpenSSH. What is told of its end is behind all that was told before.
    let last = format!("kill $(cat {})", begun.display());
    home.on("web-1.main", &last).await.good();
    world.event("the last one", |event| named(event, "exec") && event["command"] == *last).await;
    assert_eq!(world.events().iter().filter(|event| is_its_end(event)).count(), 1, "its node has died again");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_go_on_without_the_auth_server_and_nothing_of_them_is_lost() {
    let mut world = World::start_apart().await;
    let node = world.node("web-1").await;
    let home = world.user("joe", "root").await;
    home.on("web-1.main", "echo before").await.good();
    let (begun, finish) = (world.folder().join("begun"), world.folder().join("finish"));
    let across = tokio::spawn({
        let home = home.clone();
        let script = format!(
            "touch {}; while [ ! -e {} ]; do sleep 0.05; done; echo across",
            begun.display(),
            finish.display()
        );
        async move { home.on("web-1.main", &script).await }
    });
    eventually("the session runs", || async { begun.exists().then_some(()) }).await;
    world.main.signal(Signal::KILL);
    world.main.ended().await;
    for number in 0..3 {
        let command = format!("echo outage-{number}");
        assert_eq!(home.on("web-1.main", &command).await.good(), format!("outage-{number}\n"));
    }
    std::fs::write(&finish, "").unwrap();
    assert_eq!(across.await.unwrap().good(), "across\n");
    // Who is degraded says which part, and why.
    for daemon in [&node, world.proxy.as_ref().unwrap()] {
        let state = daemon.until_state(503).await;
        let reasons = state.to_string();
        assert!(reasons.contains("cannot reach the auth server"), "{state}");
        assert_eq!(daemon.metric("process_state").await, Some(2.0), "{state}");
    }
    world.main.respawn();
    world.main.ready().await;
    let recovering = node.until_state(400).await;
    assert_eq!(recovering["status"], "recovering", "{recovering}");
    for number in 0..3 {
        let command = format!("echo outage-{number}");
        world.event(&command, |event| event["command"] == command.as_str()).await;
    }
    world.event("the session across", |event| event["code"] == "T2004I" && starts_before(event)).await;
    node.until_state(200).await;
    // Exactly once: everything was delivered, and no event is there twice.
    eventually("the spool is delivered", || async {
        let recorded = node.metric("teleport_audit_spool_recorded_total").await?;
        let forwarded = node.metric("teleport_audit_spool_forwarded_total").await?;
        (recorded > 0.0 && recorded == forwarded).then_some(())
    })
    .await;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for event in world.events() {
        *seen.entry(event["uid"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let commands = world.events().into_iter().filter(|event| event["event"] == "exec");
    let mut commands: Vec<_> = commands.map(|event| event["command"].as_str().unwrap().to_owned()).collect();
    commands.retain(|command| command.starts_with("echo"));
    commands.sort();
    assert_eq!(commands, ["echo before", "echo outage-0", "echo outage-1", "echo outage-2"]);
}

/// A session that has a beginning.
fn starts_before(event: &Value) -> bool {
    event["session_start"].is_string() || event["session_stop"].is_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_node_had_not_delivered_is_delivered_once_by_the_next() {
    let mut world = World::start_apart().await;
    let mut node = world.node("web-1").await;
    let home = world.user("joe", "root").await;
    home.on("web-1.main", "true").await.good();
    world.main.signal(Signal::KILL);
    world.main.ended().await;
    for number in 0..5 {
        home.on("web-1.main", &format!("echo kept-{number}")).await.good();
    }
    node.signal(Signal::KILL);
    node.ended().await;
    world.main.respawn();
    world.main.ready().await;
    node.respawn();
    node.ready().await;
    for number in 0..5 {
        let command = format!("echo kept-{number}");
        let event = world.event(&command, |event| event["command"] == command.as_str()).await;
        assert_eq!((&event["user"], &event["server_hostname"]), (&"joe".into(), &"web-1".into()), "{event}");
    }
    // The last of them may still be under way once more; a later event is behind all of them.
    until_works(&home, "web-1.main").await;
    world.event("a later session", |event| event["command"] == "echo in").await;
    let kept = |event: &Value| event["command"].as_str().is_some_and(|command| command.contains("kept-"));
    assert_eq!(world.events().into_iter().filter(kept).count(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_user_is_cut_off_at_once() {
    let world = World::start().await;
    let node = world.node("web-1").await;
    let (joe, ann) = (world.user("joe", "root").await, world.user("ann", "root").await);
    joe.on("web-1.main", "true").await.good();
    world.tctl(&["users", "rm", "joe"]).await;
    let refused = eventually("joe is refused", || async {
        Some(joe.on("web-1.main", "echo in").await).filter(|output| output.code() == Some(255))
    })
    .await;
    assert!(refused.stderr.contains("removed"), "the reason reaches the user: {}", refused.stderr);
    assert_eq!(refused.text(), "");
    ann.on("web-1.main", "true").await.good();
    // A namesake who comes later is another person: the old certificate stays shut out.
    world.tctl(&["users", "add", "joe", "root"]).await;
    assert_eq!(joe.on("web-1.main", "true").await.code(), Some(255));
    drop(node);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_change_without_a_restart() {
    let world = World::start().await;
    let _node = world.node_with("web-1", "  labels:\n    env: prod\n").await;
    let role = |labels: &str| {
        format!(
            "kind: role\nversion: v7\nmetadata:\n  name: by-label\nspec:\n  allow:\n    logins: [root]\n    node_labels:\n      env: {labels}\n"
        )
    };
    world.try_tctl(&["create", "-f"], role("prod").as_bytes()).await.good();
    let user = "kind: user\nversion: v2\nmetadata:\n  name: joe\nspec:\n  roles: [by-label]\n";
    world.try_tctl(&["create"], user.as_bytes()).await.good();
    let home = world.sign("joe").await;
    home.on("web-1.main", "true").await.good();
    for (labels, code) in [("dev", 255), ("prod", 0)] {
        world.try_tctl(&["create", "-f"], role(labels).as_bytes()).await.good();
        eventually(&format!("the role with {labels} counts"), || async {
            (home.on("web-1.main", "true").await.code() == Some(code)).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_none_gives_way_to_the_uuid() {
    let world = World::start().await;
    let mut node: Daemon = joining(&world, "bad_name!", "a-token-that-tests-know");
    node.ready().await;
    let nodes = world.until_nodes("it is listed", |nodes| nodes.len() == 1).await;
    let uuid = nodes[0]["metadata"]["name"].as_str().unwrap();
    assert_eq!(nodes[0]["spec"]["hostname"], uuid, "{}", nodes[0]);
    let labels = nodes[0].to_string();
    assert!(labels.contains(r#""teleport.internal/invalid-hostname":"bad_name!""#), "{labels}");
    assert!(
        world
            .tctl(&["nodes", "ls", "--verbose"])
            .await
            .contains("teleport.internal/invalid-hostname=bad_name!")
    );
    assert!(!world.tctl(&["nodes", "ls"]).await.contains("bad_name"));
    let home = world.user("joe", "root").await;
    assert_eq!(home.on(&format!("{uuid}.main"), "echo found").await.good(), "found\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_starts_before_its_cluster_joins_when_it_can() {
    let mut world = World::start().await;
    world.main.signal(Signal::KILL);
    world.main.ended().await;
    let mut early = joining(&world, "early", "a-token-that-tests-know");
    let line = early.logged("cannot join yet").await;
    assert!(line.contains("retry_in="), "{line}");
    world.main.respawn();
    world.main.ready().await;
    early.ready().await;
    listed(&world, "early").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_comes_back_as_the_same_host_without_a_token() {
    let world = World::start().await;
    let mut node = world.node("web-1").await;
    let before = listed(&world, "web-1").await["metadata"]["name"].clone();
    node.signal(Signal::KILL);
    node.ended().await;
    // Silent, it stays listed for a while, and whoever calls it is told.
    let home = world.user("joe", "root").await;
    let offline = home.on("web-1.main", "true").await;
    assert!(offline.code() == Some(255) && offline.stderr.contains("offline"), "{}", offline.stderr);
    let yaml = std::fs::read_to_string(&node.config).unwrap();
    std::fs::write(&node.config, yaml.replace("a-token-that-tests-know", "a-token-long-forgotten")).unwrap();
    node.respawn();
    node.ready().await;
    until_works(&home, "web-1.main").await;
    assert_eq!(world.nodes().await.len(), 1);
    assert_eq!(listed(&world, "web-1").await["metadata"]["name"], before);
}
