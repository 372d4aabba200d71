//! The commands of `teleport` besides `start`.

use std::path::Path;

use teleport_tests_interop::{Output, World, program, run};
use tokio::process::Command;

async fn teleport(arguments: &[&str]) -> Output {
    run(Command::new(program("teleport")).args(arguments).env_remove("SSH_SESSION_ID")).await
}

async fn check(folder: &Path, yaml: &str) -> Output {
    let file = folder.join("checked.yaml");
    std::fs::write(&file, yaml).unwrap();
    teleport(&["configure", "--test", file.to_str().unwrap()]).await
}

#[tokio::test]
async fn configure_makes_a_file_that_its_test_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let sample = teleport(&["configure", "--cluster-name=example.com"]).await.good();
    assert!(sample.contains("\nversion: v3\n") && sample.contains("example.com"), "{sample}");
    assert!(check(folder.path(), &sample).await.good().ends_with("checked.yaml: OK\n"));
    let out = folder.path().join("made.yaml");
    let arguments =
        ["configure", "--roles=node", "--proxy=example.com:3080", "--output", out.to_str().unwrap()];
    assert!(teleport(&arguments).await.good().contains("teleport configure --test"));
    teleport(&["configure", "--test", out.to_str().unwrap()]).await.good();
    let again = teleport(&arguments).await;
    assert_eq!(again.code(), Some(1), "what is there is not overwritten");
    assert!(again.stderr.contains("cannot write") && again.stderr.contains("made.yaml"), "{}", again.stderr);
}

#[tokio::test]
async fn configure_test_names_place_key_and_intended_name() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, &[&str]); 6] = [
        ("version: v3\nteleport:\n  nodenme: a\n", &["checked.yaml:3:3", "nodenme", "nodename"]),
        ("version: v3\nssh_service:\n  enabled: perhaps\n", &["checked.yaml:3:12", "enabled"]),
        (
            "version: v3\nssh_service:\n  commands:\n  - name: a\n    command: [ls]\n    period: soon\n",
            &["checked.yaml:6:13", "soon"],
        ),
        ("version: v3\nteleport:\n  nodename: a\n  nodename: b\n", &["checked.yaml:4:3", "nodename"]),
        ("version: v9\n", &["v9", "v3"]),
        ("version: [\n", &["checked.yaml:"]),
    ];
    for (yaml, says) in cases {
        let refused = check(folder.path(), yaml).await;
        assert_eq!(refused.code(), Some(1), "{yaml}{}", refused.text());
        for text in says {
            assert!(refused.stderr.contains(text), "{yaml} should say {text:?}:\n{}", refused.stderr);
        }
    }
    let missing = teleport(&["configure", "--test", "/nonexistent/teleport.yaml"]).await;
    assert!(missing.code() == Some(1) && missing.stderr.contains("/nonexistent/teleport.yaml"));
}

#[tokio::test]
async fn a_bad_configuration_starts_nothing_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("bad.yaml"), folder.path().join("data"));
    std::fs::write(
        &file,
        format!("version: v3\nteleport:\n  data_dir: {}\n  log:\n    serverity: INFO\n", data.display()),
    )
    .unwrap();
    let refused = teleport(&["start", "-c", file.to_str().unwrap()]).await;
    assert_eq!(refused.code(), Some(1));
    assert!(
        refused.stderr.contains("bad.yaml:5:5") && refused.stderr.contains("severity"),
        "{}",
        refused.stderr
    );
    assert!(!data.exists());
}

#[tokio::test]
async fn version_help_and_usage() {
    let version = teleport(&["version"]).await.good();
    assert!(version.starts_with("Teleport v0.1.0"), "{version}");
    assert_eq!(teleport(&["version", "--raw"]).await.good(), "0.1.0\n");
    for arguments in [&["help"][..], &["--help"]] {
        let help = teleport(arguments).await.good();
        for command in ["start", "configure", "version", "status"] {
            assert!(help.contains(command), "{help}");
        }
    }
    let help = teleport(&["help", "start"]).await.good();
    for flag in [
        "--debug",
        "--roles",
        "--token",
        "--auth-server",
        "--nodename",
        "--config",
        "--labels",
        "--listen-ip",
        "--advertise-ip",
        "--pid-file",
        "--insecure",
        "--insecure-no-tls",
        "--permit-user-env",
        "--ca-pin",
        "--diag-addr",
        "--data-dir",
        "--plugin-dir",
    ] {
        assert!(help.contains(flag), "{flag}:\n{help}");
    }
    for wrong in [&["strat"][..], &["start", "--rolse=node"], &[]] {
        let usage = teleport(wrong).await;
        assert!(usage.code() == Some(2) && !usage.stderr.is_empty(), "{wrong:?} {:?}", usage);
    }
    assert!(teleport(&["strat"]).await.stderr.contains("start"), "the word that was meant");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_the_session_it_runs_in() {
    let outside = teleport(&["status"]).await;
    assert_eq!(outside.code(), Some(1));
    assert!(outside.stderr.contains("not inside a Teleport SSH session"), "{}", outside.stderr);
    let world = World::start().await;
    let _node = world.node("web-1").await;
    let home = world.user("joe", "root").await;
    let command = format!("{} status", program("teleport").display());
    let shown = home.on("web-1.main", &command).await.good();
    assert!(shown.contains("User ID     : joe, logged in as root from "), "{shown}");
    assert!(shown.contains("Cluster Name: main\n"), "{shown}");
    let uuid = world.nodes().await[0]["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(shown.contains(&format!("Host UUID   : {uuid} (web-1)\n")), "{shown}");
    assert!(shown.contains(&format!("Web URL     : https://{}\n", world.ports.web.address())), "{shown}");
    assert!(!shown.contains("unknown"), "{shown}");
}
