//! A plugin that keeps failing is left alone for a while, and tried again.

use std::sync::Arc;
use std::time::Duration;

use domain::plugin::Digest;
use parking_lot::Mutex;
use plugin_host::{ChangeKind, Outcome, PluginState, QuarantineRules};

use crate::bed::{Bed, LONG, call, guest, manifest, released};

/// The hostile guest with five strikes; the quarantine is as long as it is given.
fn bed(first: Duration) -> Bed {
    let mut bed = Bed::hostile();
    bed.settings.quarantine = QuarantineRules { first, within: LONG, ..QuarantineRules::default() };
    bed
}

fn state(host: &plugin_host::PluginHost) -> PluginState {
    host.list().into_iter().find(|listing| listing.name.as_str() == "hostile").unwrap().state
}

#[tokio::test]
async fn after_five_failures_it_is_not_called() {
    let mut bed = bed(LONG);
    // Enough for every deed but the endless one, on any machine.
    bed.limit("hostile", "cpu", "500ms");
    bed.limit("hostile", "wall", "1m");
    bed.limit("hostile", "memory", "4MiB");
    let changes = Arc::new(Mutex::new(Vec::new()));
    let noting = Arc::clone(&changes);
    bed.settings.on_change = Some(Arc::new(move |change| {
        noting.lock().push(change.clone());
        true
    }));
    let host = bed.host();
    let deeds = [
        ("panic", Outcome::Trap),
        ("loop", Outcome::Timeout),
        ("allocate", Outcome::Memory),
        // These say that it works, whatever they say.
        ("fail", Outcome::Guest),
        ("echo", Outcome::Ok),
        ("run id", Outcome::Denied),
        ("recurse", Outcome::Trap),
        ("panic", Outcome::Trap),
        ("echo", Outcome::Quarantined),
        ("panic", Outcome::Quarantined),
    ];
    for (deed, outcome) in deeds {
        assert_eq!(call(&host, deed).await.outcome(), outcome, "{deed}");
    }
    let text = call(&host, "echo").await.result.unwrap_err().to_string();
    assert!(
        text.starts_with("plugin hostile is quarantined until 2")
            && text.contains("Z after 5 failures, the last: plugin hostile 0.0.1 crashed"),
        "{text}"
    );
    assert_eq!(state(&host), PluginState::Quarantined(text));
    let changes = changes.lock();
    assert_eq!(changes.iter().map(|change| change.kind.key()).collect::<Vec<_>>(), ["load", "quarantine"]);
    let ChangeKind::Quarantined { reason, .. } = &changes[1].kind else { panic!("{:?}", changes[1]) };
    assert!(reason.starts_with("5 failures, the last: plugin hostile 0.0.1 crashed"), "{reason}");
    assert_eq!(changes[1].facts.version.as_deref(), Some("0.0.1"));
}

#[tokio::test]
async fn a_plugin_that_behaves_again_is_called_again() {
    let host = bed(Duration::from_millis(100)).host();
    for _ in 0..5 {
        call(&host, "panic").await;
    }
    assert!(matches!(state(&host), PluginState::Quarantined(_)));
    let again = async {
        loop {
            let report = call(&host, "echo well").await;
            match report.outcome() {
                Outcome::Quarantined => tokio::time::sleep(Duration::from_millis(5)).await,
                _ => return report.result.unwrap(),
            }
        }
    };
    assert_eq!(tokio::time::timeout(LONG, again).await.expect("it is tried"), "well");
    assert_eq!(state(&host), PluginState::Ready);
    assert_eq!(call(&host, "panic").await.outcome(), Outcome::Trap, "and has all its strikes again");
    assert_eq!(call(&host, "echo").await.outcome(), Outcome::Ok);
}

#[tokio::test]
async fn an_administrator_ends_it() {
    let host = bed(LONG).host();
    for _ in 0..5 {
        call(&host, "panic").await;
    }
    let PluginState::Quarantined(reason) = state(&host) else { panic!("{:?}", state(&host)) };
    assert!(reason.ends_with("to have it called at once, run: tctl plugins enable hostile"), "{reason}");
    let name = domain::plugin::PluginName::new("hostile").unwrap();
    assert!(host.enable(&name, "a test").await.unwrap());
    assert_eq!(call(&host, "echo well").await.result.unwrap(), "well");
    assert!(!host.enable(&name, "a test").await.unwrap(), "there is nothing to end");
}

#[tokio::test]
async fn others_are_called_all_the_while() {
    let mut bed = bed(LONG);
    bed.install("good", &guest("hostile"), &manifest("good"));
    bed.pin("good");
    let host = bed.host();
    for _ in 0..6 {
        call(&host, "panic").await;
    }
    assert!(matches!(state(&host), PluginState::Quarantined(_)));
    let label = crate::bed::label("good", "echo well");
    assert_eq!(host.call(&label).await.unwrap().result.unwrap(), "well");
}

#[tokio::test]
async fn other_bytes_begin_with_a_clean_record() {
    let mut bed = bed(LONG);
    let better = released(&guest("hostile"), &manifest("hostile").replace("0.0.1", "0.0.2"));
    bed.plugin("hostile").digests.push(Digest::of(&better));
    let host = bed.host();
    for _ in 0..5 {
        call(&host, "panic").await;
    }
    bed.install("hostile", &better, "");
    let served = async {
        while call(&host, "echo").await.outcome() != Outcome::Ok {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, served).await.expect("the new version is called");
    assert_eq!(state(&host), PluginState::Ready);
}
