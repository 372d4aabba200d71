//! How a client names a node and gets there: by jump, by the proxy's subsystem, or at the node's own port.

use teleport_tests_interop::{Home, Output, Port, World, eventually, login};

use crate::bed::{Bed, NODE};

/// The way of those who cannot jump, as the manual gives it.
fn subsystem(world: &World, joe: &Home) -> String {
    let (config, port) = (joe.file("config"), world.ports.ssh.number());
    format!("ProxyCommand=ssh -F {} -p {port} %r@127.0.0.1 -s proxy:%h:%p", config.display())
}

/// What ssh said when it had to fail, on one line.
fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "it went well: {output:?}");
    output.stderr.replace("\r\n", "\n")
}

/// Every node with its UUID.
async fn ids(world: &World) -> Vec<String> {
    let mut ids: Vec<String> = world
        .nodes()
        .await
        .iter()
        .map(|node| node["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_found_by_each_of_its_names_and_both_ways() {
    let bed = Bed::start().await;
    // With the authority trusted for every name, it is the certificate that must hold the name.
    bed.joe.trust("*", bed.world.authority());
    let id = ids(&bed.world).await.remove(0);
    let with_cluster = format!("{id}.main");
    let way = subsystem(&bed.world, &bed.joe);
    for name in ["web-1", "web-1.main", "WEB-1", id.as_str(), with_cluster.as_str()] {
        for (how, value) in [("-J", "proxy"), ("-o", way.as_str())] {
            let output = bed.joe.ssh(&[how, value, name, "echo", "here"]).await;
            assert_eq!(output.clone().good(), "here\n", "{how} {name}");
            assert_eq!(output.stderr, "", "{how} {name}");
        }
        // The ports clients ask for when told nothing, or what an old configuration says.
        let output = bed.joe.ssh(&["-J", "proxy", "-p", "3022", name, "echo", "here"]).await;
        assert_eq!(output.good(), "here\n", "{name} port 3022");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_line_of_the_authority_is_trusted() {
    let bed = Bed::start().await;
    // The line is good for names of the cluster; the short name is none.
    let short = refused(&bed.joe.on("web-1", "true").await);
    assert!(short.contains("Host key verification failed"), "{short}");
    assert_eq!(bed.joe.on(NODE, "echo in").await.good(), "in\n");
    std::fs::write(bed.joe.file("known_hosts"), "").unwrap();
    let stranger = refused(&bed.joe.on(NODE, "true").await);
    assert!(stranger.contains("Host key verification failed"), "{stranger}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_node_is_refused_and_the_text_reaches_the_user() {
    let mut bed = Bed::start().await;
    let way = subsystem(&bed.world, &bed.joe);
    let unknown = "node \"nowhere.main\" is unknown or offline; list nodes with: tctl nodes ls";
    for (how, value) in [("-J", "proxy"), ("-o", way.as_str())] {
        let told = refused(&bed.joe.ssh(&[how, value, "nowhere.main", "true"]).await);
        assert!(told.contains(unknown), "{how}: {told}");
        let told = refused(&bed.joe.ssh(&[how, value, "-p", "80", NODE, "true"]).await);
        assert!(told.contains("serves SSH only; port 80 of it is not reachable"), "{how}: {told}");
    }
    let event = bed.world.event("the refusal", |event| event["code"] == "T1006W").await;
    assert_eq!((&event["user"], &event["event"]), (&"joe".into(), &"session.rejected".into()), "{event}");
    assert!(event["reason"].as_str().unwrap().contains("nowhere.main"), "{event}");
    let shell = refused(&bed.joe.ssh(&["proxy", "id"]).await);
    assert!(shell.contains("this is a proxy and has no shell; connect to a node: ssh -J"), "{shell}");
    // Killed, the node says no goodbye: it is still listed, and has no tunnel.
    bed.node.signal(teleport_tests_interop::Signal::KILL);
    bed.node.ended().await;
    for (how, value) in [("-J", "proxy"), ("-o", way.as_str())] {
        let told = eventually("the proxy knows", || async {
            let told = refused(&bed.joe.ssh(&[how, value, NODE, "true"]).await);
            told.contains("is offline: it has no tunnel to this proxy").then_some(told)
        })
        .await;
        assert!(told.contains("web-1"), "{how}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_name_lists_its_matches_and_a_uuid_decides() {
    let bed = Bed::start().await;
    bed.joe.trust("*", bed.world.authority());
    let yaml = bed.world.node_yaml("twin", "").replace("nodename: twin", "nodename: web-1");
    let _twin = teleport_tests_interop::Daemon::start(bed.world.folder(), "twin", &yaml).await;
    bed.world.until_nodes("both are listed", |nodes| nodes.len() == 2).await;
    let ids = ids(&bed.world).await;
    let matches = format!("it matches web-1 ({}), web-1 ({})", ids[0], ids[1]);
    let way = subsystem(&bed.world, &bed.joe);
    for (how, value) in [("-J", "proxy"), ("-o", way.as_str())] {
        let told = eventually("the proxy knows both", || async {
            let output = bed.joe.ssh(&[how, value, "web-1", "true"]).await;
            (!output.status.success()).then(|| refused(&output))
        })
        .await;
        assert!(told.contains("\"web-1\" is ambiguous") && told.contains(&matches), "{how}: {told}");
        assert!(told.contains("connect by UUID instead"), "{how}: {told}");
    }
    for id in &ids {
        let output = bed.joe.on(id, "echo $SSH_TELEPORT_HOST_UUID").await;
        assert_eq!(output.good().trim(), id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_at_its_own_port_is_reached_directly_and_through_the_proxy() {
    let (world, port) = (World::start().await, Port::free());
    let yaml = world.direct_node_yaml("direct-1", &port);
    let _node = teleport_tests_interop::Daemon::start(world.folder(), "direct-1", &yaml).await;
    let joe = world.user("joe", &login()).await;
    joe.trust("*", world.authority());
    world.until_nodes("the node is listed", |nodes| nodes.len() == 1).await;
    let number = port.number().to_string();
    let direct = joe.ssh(&["-p", &number, "127.0.0.1", "echo $SSH_CONNECTION"]).await.good();
    assert!(direct.trim().ends_with(&format!("127.0.0.1 {number}")), "{direct}");
    let way = subsystem(&world, &joe);
    for (how, value) in [("-J", "proxy"), ("-o", way.as_str())] {
        for (name, port) in [("direct-1.main", "22"), ("direct-1.main", &number), ("127.0.0.1", &number)] {
            let output = joe.ssh(&[how, value, "-p", port, name, "echo", "here"]).await;
            assert_eq!(output.good(), "here\n", "{how} {name}:{port}");
        }
    }
}
