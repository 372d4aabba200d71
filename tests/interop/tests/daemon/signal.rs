//! Signals in the parts of a daemon's life in which it waits: for the cluster to let it in, and for its own end.

use std::path::Path;

use teleport_tests_interop::{Daemon, Port, Signal, eventually};
use tokio::time::Instant;

use crate::bed::auth_yaml;

/// What a node says that has nobody to join.
const WAITS: &str = "cannot join yet";
/// Long before the end of what is waited for here.
const PROMPT: std::time::Duration = std::time::Duration::from_secs(15);

/// A node with a file for its log and nobody to join.
fn alone(folder: &Path, log: &Path) -> Daemon {
    let yaml = format!(
        "version: v3\nteleport:\n  nodename: alone\n  data_dir: {}\n  auth_token: some-token\n  \
         ca_pin: sha256:{}\n  auth_server: {}\n  log:\n    output: {}\n\
         auth_service:\n  enabled: no\nproxy_service:\n  enabled: no\n",
        folder.join("data").display(),
        "0".repeat(64),
        Port::free().address(),
        log.display(),
    );
    Daemon::spawn(folder, "alone", &yaml)
}

async fn says(file: &Path, text: &str) -> String {
    eventually(&format!("{text:?} in {}", file.display()), || async {
        std::fs::read_to_string(file).ok().filter(|log| log.contains(text))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_join_answers_usr1_and_opens_its_log_anew_on_hup() {
    let folder = tempfile::tempdir().unwrap();
    let (log, rotated) = (folder.path().join("teleport.log"), folder.path().join("teleport.log.1"));
    let daemon = alone(folder.path(), &log);
    says(&log, WAITS).await;
    daemon.signal(Signal::USR1);
    let said = says(&log, "still starting").await;
    for fact in ["program version=0.1.0", " uptime=", "health starting", "component process state=starting"] {
        assert!(said.contains(fact), "{fact}:\n{said}");
    }
    assert!(said.contains(&format!("pid={} ", daemon.pid())) && !said.contains("some-token"), "{said}");
    std::fs::rename(&log, &rotated).unwrap();
    daemon.signal(Signal::HUP);
    eventually("a new file", || async { log.exists().then_some(()) }).await;
    daemon.signal(Signal::USR1);
    says(&log, "still starting").await;
    let before = std::fs::read_to_string(&rotated).unwrap();
    assert_eq!(before.matches("still starting").count(), 1, "{before}");
    assert_eq!(daemon.stop().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_delay_before_the_end_answers_signals_and_ends_with_a_second_one() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = auth_yaml(&folder.path().join("data"), &Port::free(), "").replacen(
        "teleport:\n",
        "teleport:\n  shutdown_delay: 1h\n",
        1,
    );
    let mut daemon = Daemon::start(folder.path(), "slow", &yaml).await;
    daemon.signal(Signal::TERM);
    daemon.logged("waiting before it stops").await;
    daemon.signal(Signal::USR1);
    daemon.logged("component auth state=ok").await;
    assert!(daemon.is_running());
    let asked = Instant::now();
    daemon.signal(Signal::INT);
    assert_eq!(daemon.ended().await.code(), Some(0), "{}", daemon.log());
    assert!(asked.elapsed() < PROMPT, "{:?}", asked.elapsed());
    assert!(daemon.log().contains("stopped"), "in order");
}
