//! What `tctl` advises when it is asked for what cannot be done: one next step, and none that does not help.

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
        (
            &["users", "add", "joe", "root"],
            format!("ERROR: user \"joe\" already exists; replace it with: tctl create -f\n{users}"),
        ),
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
