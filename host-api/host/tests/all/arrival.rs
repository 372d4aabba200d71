//! Folders that come into the plugin directory and go from it, before and while their plugins are called.

use std::time::Duration;

use domain::plugin::Digest;
use plugin_host::{Change, LoadError, PluginListing, PluginState};

use crate::bed::{LONG, guest, label, manifest, no_call, released};
use crate::compiler::{begun, slow, with_one_that_takes_for_ever};
use crate::reload::{bed, kinds, listed, put, put_folder, serving, started, until, until_listed, version};

/// Whether it is refused, for a reason that has this.
fn refused(listing: Option<PluginListing>, says: &str) -> bool {
    matches!(listing.map(|listing| listing.state), Some(PluginState::Refused(reason)) if reason.contains(says))
}

#[tokio::test]
async fn a_removed_folder_unloads_the_plugin_until_it_is_back() {
    let (bed, changes) = bed();
    let host = started(&bed).await;
    std::fs::remove_dir_all(bed.folder("hostile")).unwrap();
    until(&host, |state| matches!(state, PluginState::Refused(_))).await;
    let error = no_call(&host, "hostile").await;
    assert!(matches!(error, LoadError::StillRemoved(_)), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("was unloaded, because its folder") && text.contains("put the folder back"),
        "{text}"
    );
    put_folder(&bed, "hostile", &version(2));
    until(&host, |state| *state == PluginState::Ready).await;
    assert_eq!(serving(&host).await, "0.0.2");
    assert_eq!(kinds(&changes), ["load", "reject", "load"]);
}

#[tokio::test]
async fn a_folder_removed_file_by_file_while_it_is_looked_at_is_no_other_version() {
    let (mut bed, changes) = bed();
    let (with, folder) = with_one_that_takes_for_ever(bed, "slow");
    bed = with;
    slow(&mut bed, "slower");
    for name in ["slow", "slower"] {
        std::fs::rename(bed.folder(name), bed.folder(&format!(".{name}"))).unwrap();
    }
    let host = started(&bed).await;
    for name in ["slow", "slower"] {
        std::fs::rename(bed.folder(&format!(".{name}")), bed.folder(name)).unwrap();
    }
    // From now on whoever wants to read files waits until one of them is compiled.
    begun(&folder, 2).await;
    std::fs::remove_file(bed.folder("hostile").join("plugin.toml")).unwrap();
    // It is looked at long before; if ever it is not, this shows nothing, and fails nothing.
    tokio::time::sleep(Duration::from_secs(1)).await;
    std::fs::remove_dir_all(bed.folder("hostile")).unwrap();
    std::fs::write(folder.path().join("go"), "").unwrap();
    until(&host, |state| matches!(state, PluginState::Refused(_))).await;
    let told = |change: &Change| (change.plugin.as_str() == "hostile").then(|| change.kind.key());
    let told: Vec<_> = changes.lock().iter().filter_map(told).collect();
    assert_eq!(told, ["load", "reject"], "removed, and nothing refused before that");
}

#[tokio::test]
async fn the_carried_plugin_does_not_slip_into_a_removed_ones_place() {
    let (mut bed, _) = bed();
    bed.install("label-command", &guest("hostile"), &manifest("label-command"));
    bed.pin("label-command");
    let host = bed.host();
    let other = label("label-command", "echo other");
    assert_eq!(host.call(&other).await.unwrap().result.unwrap(), "other");
    std::fs::remove_dir_all(bed.folder("label-command")).unwrap();
    let error = tokio::time::timeout(LONG, async {
        loop {
            match host.call(&other).await {
                Ok(report) => assert_eq!(report.version, "0.0.1", "never the carried one"),
                Err(error) => return error,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let text = error.await.expect("it is unloaded").to_string();
    assert!(text.contains("or restart to use the one of that name that this program carries"), "{text}");
}

#[tokio::test]
async fn a_carried_plugin_is_replaced_by_one_from_the_directory_that_is_in_order() {
    let (mut bed, changes) = bed();
    let own = released(&guest("hostile"), &manifest("label-command"));
    bed.plugin("label-command").digests.push(Digest::of(&own));
    let host = bed.host();
    assert!(host.check(["label-command"]).await.is_empty());
    let source = |listing: Option<PluginListing>| listing.unwrap().known.unwrap().source;
    put_folder(&bed, "label-command", b"nonsense");
    let is_behind = |listing: Option<PluginListing>| matches!(listing.unwrap().state, PluginState::Behind(_));
    until_listed(&host, "label-command", is_behind).await;
    assert_eq!(source(listed(&host, "label-command")), "this program");
    put(&bed.folder("label-command").join("plugin.wasm"), &own);
    let is_own = |listing| source(listing).ends_with("label-command/plugin.wasm");
    until_listed(&host, "label-command", is_own).await;
    let changes = changes.lock();
    let of_it = changes.iter().filter(|change| change.plugin.as_str() == "label-command");
    assert_eq!(of_it.map(|change| change.kind.key()).collect::<Vec<_>>(), ["load", "reject", "reload"]);
}

#[tokio::test]
async fn a_plugin_that_is_put_there_is_loaded_or_refused_before_anybody_calls_for_it() {
    let (mut bed, changes) = bed();
    bed.plugin("later").digests.push(Digest::of(&version(1)));
    let host = bed.host();
    until(&host, |state| *state == PluginState::Ready).await;
    assert_eq!(listed(&host, "later").unwrap().state, PluginState::NotLoaded, "it is not there yet");
    put_folder(&bed, "later", &version(1));
    until_listed(&host, "later", |listing| refused(listing, "hostile")).await;
    // As `cp` does it: the folder first, and its file when the folder has been looked at.
    std::fs::create_dir(bed.folder("stranger")).unwrap();
    put_folder(&bed, "others", &version(1));
    until_listed(&host, "others", |listing| refused(listing, "is not pinned")).await;
    std::fs::write(bed.folder("stranger").join("plugin.wasm"), version(1)).unwrap();
    // Nobody expects it, so it is told of while it is there and not after.
    until_listed(&host, "stranger", |listing| refused(listing, "is not pinned")).await;
    std::fs::remove_dir_all(bed.folder("stranger")).unwrap();
    until_listed(&host, "stranger", |listing| listing.is_none()).await;
    assert!(kinds(&changes).contains(&"reject"));
}
