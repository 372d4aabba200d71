//! Dynamic labels as `tctl` shows them: their value, and what went wrong apart from it.

use std::path::Path;

use teleport_tests_interop::{Daemon, World, eventually};

use crate::bed::until;

fn write(script: &Path, text: &str) {
    // A shell reads while it runs, so the new text takes the place of the old in one step.
    let new = script.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, script).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_goes_wrong_keeps_its_last_good_value() {
    let world = World::start().await;
    let (script, pid) = (world.folder().join("mood.sh"), world.folder().join("pid"));
    write(&script, "echo good\n");
    let more = format!(
        "  labels:\n    env: dev\n  commands:\n  - name: mood\n    command: [/bin/sh, {}]\n    period: 1s\n",
        script.display()
    );
    // Less patience than the ten seconds a call has otherwise.
    let limits =
        "teleport:\n  plugins:\n    load:\n      label-command:\n        limits:\n          wall: 1s\n";
    let yaml = world.node_yaml("web-1", &more).replacen("teleport:\n", limits, 1);
    let node = Daemon::start(world.folder(), "web-1", &yaml).await;
    let first = until(&world, "the first value", |spec| spec["cmd_labels"]["mood"] == "good").await;
    assert!(first["cmd_label_errors"]["mood"].is_null(), "{first}");
    let flood = "yes 0123456789";
    let hang = format!("echo $$ > {}; sleep 600", pid.display());
    for (deed, says) in [
        ("echo broken on purpose >&2; exit 3", "exited with code 3: broken on purpose"),
        (flood, "wrote more than"),
        (&hang, "within 1s"),
        ("kill -9 $$", "signal 9"),
    ] {
        write(&script, &format!("{deed}\n"));
        let bad = until(&world, deed, |spec| {
            spec["cmd_label_errors"]["mood"].as_str().is_some_and(|error| error.contains(says))
        })
        .await;
        assert_eq!(bad["cmd_labels"]["mood"], "good", "{bad}");
        let (short, long) =
            (world.tctl(&["nodes", "ls"]).await, world.tctl(&["nodes", "ls", "--verbose"]).await);
        assert!(short.contains("env=dev,mood=good") && !short.contains(says), "{short}");
        assert!(long.contains("mood=good") && long.contains(says), "{long}");
    }
    let hung = std::fs::read_to_string(&pid).unwrap();
    eventually("the hung command is killed", || async {
        let line = std::fs::read(format!("/proc/{}/cmdline", hung.trim())).unwrap_or_default();
        line.is_empty().then_some(())
    })
    .await;
    write(&script, "echo '  better '; echo no noise >&2\n");
    let again = until(&world, "a new value", |spec| spec["cmd_labels"]["mood"] == "better").await;
    assert!(again["cmd_label_errors"]["mood"].is_null(), "{again}");
    assert!(node.metric("node_failed_labels_total").await.unwrap() >= 4.0);
    assert_eq!(node.state().await.unwrap().0, 200, "labels are no part of health");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_listed_that_answer_a_query() {
    let world = World::start().await;
    let _node = world.node_with("web-1", "  labels:\n    stage: prod\n").await;
    until(&world, "it is listed", |spec| spec["hostname"] == "web-1").await;
    let list = async |query: &str| world.tctl(&["nodes", "ls", "--query", query]).await;
    assert!(list(r#"labels.stage == "prod" && name != "web-2""#).await.contains("web-1"));
    assert!(!list(r#"labels["stage"] == "dev" || search("web-3")"#).await.contains("web-1"));
    let wrong = world.try_tctl(&["nodes", "ls", "--query", "labels.stage ="], &[]).await;
    assert!(wrong.code() != Some(0) && wrong.stderr.contains("--query cannot be read"), "{}", wrong.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_decide_about_access_with_the_value_they_have() {
    let world = World::start().await;
    let file = world.folder().join("stage");
    std::fs::write(&file, "dev\n").unwrap();
    let more =
        format!("  commands:\n  - name: stage\n    command: [cat, {}]\n    period: 1s\n", file.display());
    let _node = world.node_with("web-1", &more).await;
    let role = "kind: role\nversion: v7\nmetadata:\n  name: prod-only\nspec:\n  allow:\n    logins: [root]\n    node_labels:\n      stage: prod\n";
    world.try_tctl(&["create"], role.as_bytes()).await.good();
    let user = "kind: user\nversion: v2\nmetadata:\n  name: joe\nspec:\n  roles: [prod-only]\n";
    world.try_tctl(&["create"], user.as_bytes()).await.good();
    let home = world.sign("joe").await;
    until(&world, "the first stage", |spec| spec["cmd_labels"]["stage"] == "dev").await;
    assert_eq!(home.on("web-1.main", "true").await.code(), Some(255));
    std::fs::write(&file, "prod\n").unwrap();
    until(&world, "the new stage", |spec| spec["cmd_labels"]["stage"] == "prod").await;
    eventually("the proxy knows", || async {
        (home.on("web-1.main", "true").await.code() == Some(0)).then_some(())
    })
    .await;
}
