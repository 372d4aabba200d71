//! What `tctl` advises: where to go, and when it is asked for what cannot be done, one next step and none that does not
//! help.

use serde_json::Value;
use teleport_tests_interop::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_has_the_next_step_and_no_other() {
    let world = World::start().await;
    world.tctl(&["users", "add", "joe", "root"]).await;
    let users = "hint: list the users with: tctl users ls\n";
    let cases: [(&[&str], String); 3] = [
        (
            &["auth", "sign", "--user=nobody", "--out=nobody"],
            format!("ERROR: user \"nobody\" does not exist\n{users}"),
        ),
        (&["users", "add", "joe", "root"], format!("ERROR: user \"joe\" already exists\n{users}")),
        (
            &["users", "add", "ann", "--roles=nope"],
            "ERROR: user \"ann\": role \"nope\" does not exist; list roles with: tctl get roles\n".to_owned(),
        ),
    ];
    for (words, says) in cases {
        let output = world.try_tctl(words, b"").await;
        assert_eq!((output.code(), output.stderr), (Some(1), says), "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_hosts_are_sent_to_a_proxy_that_is_a_process_of_its_own() {
    let world = World::start_apart().await;
    let (web, ssh) = (world.ports.web.address().to_string(), world.ports.ssh.address().to_string());
    let proxies: Value =
        serde_json::from_str(&world.tctl(&["get", "proxies", "--format=json"]).await).unwrap();
    let spec = &proxies[0]["spec"];
    assert_eq!((&spec["hostname"], &spec["public_addrs"][0]), (&"proxy-1".into(), &web.as_str().into()));
    let invitation = world.tctl(&["nodes", "add"]).await;
    assert!(invitation.contains(&format!("--auth-server={web}")), "{invitation}");
    world.tctl(&["users", "add", "joe", "root"]).await;
    let signed = world.tctl(&["auth", "sign", "--user=joe", "--out=joe"]).await;
    assert!(signed.contains(&format!("ssh -J root@{ssh} ")), "{signed}");
    // With what was exported and nothing else the client knows proxy and node.
    let _node = world.node("web-1").await;
    world.until_nodes("the node is listed", |nodes| nodes.len() == 1).await;
    let home = world.user("ann", "root").await;
    assert_eq!(home.on("web-1.main", "echo in").await.good(), "in\n");
}
