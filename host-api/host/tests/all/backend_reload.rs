//! A storage backend whose files change while it is served: what does not work stays outside, and what is
//! replaced lets go of its instances at once.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use plugin_host::{Change, ChangeKind, PluginState, Watching};
use port::backend::Backend as _;
use port::store::{Revision, StoreError};
use tokio::time::timeout;

use crate::backend::{NAME, backend, bed, key, put};
use crate::bed::{Bed, LONG, Running};
use crate::reload::{listed, until_listed};

type Changes = Arc<Mutex<Vec<Change>>>;

/// A host that serves the honest version, and looks at its files again and again.
async fn serving() -> (Bed, Running, Changes) {
    let mut bed = bed("");
    // Each version says for itself what it does.
    bed.plugin(NAME).config.clear();
    bed.settings.watching = Watching { quiet: Duration::from_millis(20), ..Watching::default() };
    let changes = Changes::default();
    let noting = Arc::clone(&changes);
    bed.settings.on_change = Some(Arc::new(move |change| {
        noting.lock().push(change.clone());
        true
    }));
    let host = bed.host();
    backend(&host).write(&put()).await.unwrap();
    (bed, host, changes)
}

/// Puts a version in place that does this deed, and waits for what comes of it.
async fn comes(bed: &Bed, (version, deed): (&str, &str), changes: &Changes, kind: &str) -> Change {
    let path = bed.folder(NAME).join("plugin.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| match line.split_once(" = ") {
        Some(("version", _)) => format!("version = \"{version}\"\n"),
        Some(("default", _)) => format!("default = \"{deed}\"\n"),
        _ => format!("{line}\n"),
    });
    let new = path.with_extension("new");
    std::fs::write(&new, lines.collect::<String>()).unwrap();
    std::fs::rename(new, path).unwrap();
    let told = async {
        loop {
            let found = changes.lock().iter().find(|change| change.kind.key() == kind).cloned();
            if let Some(found) = found {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, told).await.unwrap_or_else(|_| panic!("{:?}", changes.lock()))
}

/// Waits until the plugin is so. Others are told of a refusal a moment before it is listed.
async fn until(host: &Running, is_so: impl Fn(&PluginState) -> bool) {
    until_listed(host, NAME, |listing| is_so(&listing.unwrap().state)).await;
}

#[tokio::test]
async fn a_version_that_does_not_find_the_records_is_not_taken() {
    for (deed, says) in [("open trap", "(open: "), ("current trap", "(current: ")] {
        let (bed, host, changes) = serving().await;
        let change = comes(&bed, ("0.0.2", deed), &changes, "reject").await;
        let ChangeKind::Rejected(reason) = &change.kind else { panic!("{:?}", change.kind) };
        assert!(reason.contains("plugin backend 0.0.2 loads, but does not work"), "{reason}");
        assert!(reason.contains(says) && reason.contains("crashed"), "{reason}");
        assert_eq!(change.facts.version.as_deref(), Some("0.0.2"));
        until(&host, |state| matches!(state, PluginState::Behind(_))).await;
        assert_eq!(listed(&host, NAME).unwrap().known.unwrap().version, "0.0.1");
        assert!(backend(&host).get(&key()).await.unwrap().is_some(), "the old one goes on");
        comes(&bed, ("0.0.3", ""), &changes, "reload").await;
        assert!(backend(&host).get(&key()).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_version_that_reaches_nobody_at_the_moment_is_told_from_one_that_does_not_work() {
    let (bed, host, changes) = serving().await;
    let change = comes(&bed, ("0.0.2", "open away"), &changes, "reject").await;
    let ChangeKind::Rejected(reason) = &change.kind else { panic!("{:?}", change.kind) };
    assert!(reason.contains("cannot be reached (open: ") && reason.contains("nobody is there"), "{reason}");
    assert!(reason.ends_with("it is tried again soon"), "{reason}");
    assert!(backend(&host).get(&key()).await.unwrap().is_some(), "the old one goes on");
}

#[tokio::test]
async fn the_one_that_keeps_the_records_goes_on_without_its_folder() {
    let (bed, host, _) = serving().await;
    let (folder, aside) = (bed.folder(NAME), bed.settings.data_dir.join("aside"));
    std::fs::rename(&folder, &aside).unwrap();
    until(&host, |state| matches!(state, PluginState::Behind(_))).await;
    assert!(backend(&host).get(&key()).await.unwrap().is_some());
    std::fs::rename(aside, folder).unwrap();
    until(&host, |state| *state == PluginState::Ready).await;
    assert!(backend(&host).get(&key()).await.unwrap().is_some());
}

#[tokio::test]
async fn tails_of_a_version_that_was_replaced_end_at_once() {
    let (bed, host, changes) = serving().await;
    let mut tail = backend(&host).tail(Revision(1)).await.unwrap();
    // Much longer than anything here takes, were it waited for.
    let following = tokio::spawn(async move { tail.next(10, Duration::from_secs(600)).await });
    // As many as there is room for: those of the new version need it.
    let mut idle = Vec::new();
    for _ in 0..9 {
        let mut tail = backend(&host).tail(Revision(0)).await.unwrap();
        assert!(!tail.next(10, Duration::ZERO).await.unwrap().events.is_empty());
        idle.push(tail);
    }
    comes(&bed, ("0.0.2", ""), &changes, "reload").await;
    let ended = timeout(LONG, following).await.expect("it ends before its question does").unwrap();
    let Err(StoreError::Unavailable(text)) = ended else { panic!("{ended:?}") };
    assert!(text.contains("was replaced"), "{text}");
    let mut anew = Vec::new();
    for _ in 0..10 {
        let mut tail = backend(&host).tail(Revision(0)).await.unwrap();
        assert!(!tail.next(10, Duration::ZERO).await.unwrap().events.is_empty());
        anew.push(tail);
    }
    for mut old in idle {
        assert!(matches!(old.next(10, Duration::ZERO).await, Err(StoreError::Unavailable(_))));
    }
    assert!(backend(&host).get(&key()).await.unwrap().is_some());
}
