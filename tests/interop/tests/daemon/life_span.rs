//! Lifetimes that would be none: refused before anything is made.

use teleport_tests_interop::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_lifetime_of_nothing_is_refused_before_anything_is_made() {
    let world = World::start().await;
    let out = world.folder().join("never").display().to_string();
    let before = world.tctl(&["tokens", "ls"]).await;
    for line in [
        &["users", "add", "joe", "root"][..],
        &["tokens", "add", "--type=node", "--value=never-made"],
        &["nodes", "add", "--token=never-made"],
        &["lock", "--user=joe"],
        &["auth", "sign", "--user=joe", "--out", &out],
    ] {
        let refused = world.try_tctl(&[line, &["--ttl=0"]].concat(), b"").await;
        assert_eq!(refused.code(), Some(2), "{line:?} {refused:?}");
        assert!(refused.stderr.contains("--ttl") && refused.text().is_empty(), "{line:?} {refused:?}");
    }
    let users = world.tctl(&["users", "ls"]).await;
    assert!(!users.contains("joe"), "{users}");
    assert_eq!(world.tctl(&["tokens", "ls"]).await, before);
    let locks = world.tctl(&["get", "locks"]).await;
    assert!(!locks.contains("joe"), "{locks}");
    assert!(!std::path::Path::new(&out).exists());
}
