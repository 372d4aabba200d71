//! `label-command`, as the daemon uses it: carried in the program, nothing configured.

use std::sync::Arc;
use std::time::Duration;

use plugin_host::{Outcome, PluginHost, PluginState};
use port::label::LabelProvider as _;

use crate::bed::{Bed, label};

async fn evaluate(host: &PluginHost, command: &str) -> Result<String, String> {
    host.evaluate(&label("label-command", command)).await.map_err(|failure| failure.reason)
}

#[tokio::test]
async fn a_labels_value_is_the_output_of_its_command() {
    let host = Bed::new().host();
    assert_eq!(evaluate(&host, "echo up 3 days").await.as_deref(), Ok("up 3 days"));
    assert_eq!(evaluate(&host, "true").await.as_deref(), Ok(""));
}

#[tokio::test]
async fn what_goes_wrong_is_told_with_its_reason() {
    let host = Bed::new().host();
    let text = |result: Result<String, String>| result.unwrap_err();
    assert_eq!(
        text(evaluate(&host, "ls /no-such-folder").await),
        "ls exited with code 2: ls: cannot access '/no-such-folder': No such file or directory"
    );
    let missing = text(evaluate(&host, "no-such-program").await);
    assert!(missing.starts_with("there is no program \"no-such-program\" on this machine"), "{missing}");
    assert!(text(evaluate(&host, "").await).starts_with("the label has no command"));
}

#[tokio::test]
async fn a_command_that_hangs_or_floods_ends() {
    let mut bed = Bed::new();
    bed.limit("label-command", "process_time", "300ms");
    bed.limit("label-command", "process_output", "1KiB");
    let host = bed.host();
    let hung = evaluate(&host, "sleep 1000").await.unwrap_err();
    assert!(hung.contains("still running after 300ms and was killed"), "{hung}");
    let flooded = evaluate(&host, "yes").await.unwrap_err();
    assert!(
        flooded.starts_with("yes wrote more than 1024 bytes to standard output and was stopped"),
        "{flooded}"
    );
    assert_eq!(evaluate(&host, "echo fine").await.as_deref(), Ok("fine"));
}

#[tokio::test]
async fn the_call_is_stopped_when_its_own_time_is_shorter_than_the_programs() {
    let mut bed = Bed::new();
    bed.limit("label-command", "wall", "300ms");
    let report = bed.host().call(&label("label-command", "sleep 1000")).await.unwrap();
    assert_eq!(report.outcome(), Outcome::Timeout);
    assert!(report.wall >= Duration::from_millis(300), "{:?}", report.wall);
    assert_eq!(
        report.result.unwrap_err().to_string(),
        "plugin label-command did not answer within 300ms and was stopped; to give it more, set teleport.plugins.load.label-command.limits.wall"
    );
}

#[tokio::test]
async fn labels_are_computed_side_by_side_and_more_than_the_host_serves_wait_their_turn() {
    let host = Bed::new().host();
    let calls: Vec<_> = (0..20)
        .map(|n| {
            let (host, command) = (Arc::clone(&host), format!("echo {n}"));
            tokio::spawn(async move { evaluate(&host, &command).await })
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), Ok(n.to_string()));
    }
}

#[tokio::test]
async fn a_second_start_needs_no_compiler() {
    let mut bed = Bed::new();
    assert!(bed.host().check(["label-command"]).await.is_empty());
    bed.settings.compiler =
        plugin_host::Compiler::Child { program: "/nonexistent/compiler".into(), arguments: vec![] };
    assert_eq!(evaluate(&bed.host(), "echo warm").await.as_deref(), Ok("warm"));
}

#[tokio::test]
async fn it_is_listed_with_what_it_may_do() {
    let host = Bed::new().host();
    let find = || host.list().into_iter().find(|listing| listing.name.as_str() == "label-command").unwrap();
    assert_eq!(find().state, PluginState::NotLoaded);
    assert!(host.check(["label-command"]).await.is_empty());
    let listing = find();
    assert_eq!(listing.state, PluginState::Ready);
    let loaded = listing.known.unwrap();
    assert_eq!(loaded.grants, ["process with the command configured for each label"]);
    assert_eq!((loaded.source.as_str(), loaded.version.as_str()), ("this program", "0.1.0"));
    assert_eq!(loaded.contract.to_string(), "teleport:label-provider@1.0.0");
}
