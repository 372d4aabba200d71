//! Files that change while a plugin is served: real files, the kernel's own events, the real compiler.
//!
//! Nothing here depends on how long things take. Where a test means events, looking now and then is
//! put off for an hour, so that nothing else can have done it.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use domain::plugin::{Digest, Grant, PluginName};
use parking_lot::Mutex;
use plugin_host::{Change, ChangeKind, PluginHost, PluginListing, PluginState, Watching};
use port::label::{Edition, LabelProvider as _};

use crate::bed::{
    Bed, LONG, Running, call, guest, label, manifest, manifest_with_process, refusal, released,
};

const HOUR: Duration = Duration::from_secs(3600);

/// The hostile guest as it is released under a version.
pub(crate) fn version(number: u32) -> Vec<u8> {
    released(&guest("hostile"), &manifest_of(number))
}

fn manifest_of(number: u32) -> String {
    manifest("hostile").replace("0.0.1", &format!("0.0.{number}"))
}

/// Puts a file in place as careful people do: whole, under its name at once.
pub(crate) fn put(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// Puts a folder in place, whole at once: a folder without a component yet would be refused, which is
/// right and not what is tested.
pub(crate) fn put_folder(bed: &Bed, name: &str, wasm: &[u8]) {
    // No plugin's name begins with a dot, so nobody looks at it before it is whole.
    bed.install(".coming", wasm, "");
    std::fs::rename(bed.folder(".coming"), bed.folder(name)).unwrap();
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) type Changes = Arc<Mutex<Vec<Change>>>;

/// Versions 1 and 2 are pinned, version 1 is there; only events make the host look.
pub(crate) fn bed() -> (Bed, Changes) {
    let mut bed = Bed::new();
    bed.install("hostile", &version(1), "");
    bed.plugin("hostile").digests = vec![Digest::of(&version(1)), Digest::of(&version(2))];
    bed.settings.watching =
        Watching { quiet: Duration::from_millis(50), poll: HOUR, sweep: HOUR, ..Watching::default() };
    let changes = Changes::default();
    let noting = Arc::clone(&changes);
    bed.settings.on_change = Some(Arc::new(move |change| {
        noting.lock().push(change.clone());
        true
    }));
    (bed, changes)
}

pub(crate) async fn started(bed: &Bed) -> Running {
    let host = bed.host();
    assert_eq!(serving(&host).await, "0.0.1");
    host
}

/// The version that answers, which it must.
pub(crate) async fn serving(host: &PluginHost) -> String {
    let report = call(host, "echo well").await;
    assert_eq!(report.result.unwrap(), "well");
    report.version
}

/// Waits for a version, and sees that one answers all the while.
async fn served(host: &PluginHost, version: &str) {
    let all = async {
        while serving(host).await != version {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, all).await.unwrap_or_else(|_| panic!("{version}: {:?}", state(host)));
}

/// What is listed of a plugin.
pub(crate) fn listed(host: &PluginHost, name: &str) -> Option<PluginListing> {
    host.list().into_iter().find(|listing| listing.name.as_str() == name)
}

fn state(host: &PluginHost) -> PluginState {
    listed(host, "hostile").unwrap().state
}

/// Waits until a plugin is listed like that.
pub(crate) async fn until_listed(host: &PluginHost, name: &str, is: impl Fn(Option<PluginListing>) -> bool) {
    let all = async {
        while !is(listed(host, name)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, all).await.unwrap_or_else(|_| panic!("{name}: {:?}", listed(host, name)));
}

/// Waits until the plugin is in a state like that.
pub(crate) async fn until(host: &PluginHost, is: impl Fn(&PluginState) -> bool) {
    until_listed(host, "hostile", |listing| is(&listing.unwrap().state)).await;
}

async fn behind(host: &PluginHost, why: &str) {
    until(host, |state| matches!(state, PluginState::Behind(reason) if reason.contains(why))).await;
}

async fn ready(host: &PluginHost) {
    until(host, |state| *state == PluginState::Ready).await;
}

pub(crate) fn kinds(changes: &Changes) -> Vec<&'static str> {
    changes.lock().iter().map(|change| change.kind.key()).collect()
}

#[tokio::test]
async fn a_new_version_takes_over_and_calls_under_way_end_on_the_old_one() {
    let (mut bed, changes) = bed();
    let manifest = |number| manifest_with_process("hostile").replace("0.0.1", &format!("0.0.{number}"));
    let versions = [1, 2].map(|number| released(&guest("hostile"), &manifest(number)));
    put(&bed.folder("hostile").join("plugin.wasm"), &versions[0]);
    bed.plugin("hostile").digests = versions.iter().map(|wasm| Digest::of(wasm)).collect();
    let folder = tempfile::tempdir().unwrap();
    let (begun, end) = (folder.path().join("begun"), folder.path().join("end"));
    let script = format!(
        "echo > {}; until test -e {}; do sleep 0.01; done; echo ended",
        begun.display(),
        end.display()
    );
    let command = ["sh", "-c", &script].map(str::to_owned).to_vec();
    bed.plugin("hostile").grants.push(Grant::process(command.clone()));
    for limit in ["wall", "process_time"] {
        bed.limit("hostile", limit, "2m");
    }
    let host = started(&bed).await;
    let (caller, mut long) = (Arc::clone(&host), label("hostile", "run"));
    long.command.extend(command);
    let under_way = tokio::spawn(async move { caller.call(&long).await });
    while !begun.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    put(&bed.folder("hostile").join("plugin.wasm"), &versions[1]);
    served(&host, "0.0.2").await;
    std::fs::write(end, "").unwrap();
    let report = under_way.await.unwrap().unwrap();
    assert_eq!((report.result.unwrap().as_str(), report.version.as_str()), ("ended", "0.0.1"));
    assert_eq!(kinds(&changes), ["load", "reload"]);
    let change = changes.lock()[1].clone();
    let facts = change.facts;
    assert_eq!((facts.version.as_deref(), facts.digest), (Some("0.0.2"), Some(Digest::of(&versions[1]))));
    assert_eq!(facts.contract.unwrap().to_string(), "teleport:label-provider@1.0.0");
    assert!(facts.source.unwrap().ends_with("hostile/plugin.wasm"));
    let ChangeKind::Reloaded(before) = change.kind else { panic!("{:?}", change.kind) };
    assert_eq!(before.digest, Some(Digest::of(&versions[0])));
}

#[tokio::test]
async fn what_nobody_vouches_for_changes_nothing_and_is_told_once() {
    let (bed, changes) = bed();
    let host = started(&bed).await;
    let wasm = bed.folder("hostile").join("plugin.wasm");
    put(&wasm, &version(3));
    behind(&host, &Digest::of(&version(3)).to_string()).await;
    let listed = host.list().into_iter().find(|listing| listing.name.as_str() == "hostile").unwrap();
    assert_eq!(listed.known.unwrap().version, "0.0.1", "the list says what is served");
    assert_eq!(serving(&host).await, "0.0.1");
    // Again the same, and it is not news.
    put(&wasm, &version(3));
    put(&wasm, b"nonsense");
    behind(&host, &Digest::of(b"nonsense").to_string()).await;
    put(&wasm, &version(1));
    ready(&host).await;
    put(&wasm, &version(2));
    served(&host, "0.0.2").await;
    assert_eq!(kinds(&changes), ["load", "reject", "reject", "reload"]);
    assert_eq!(changes.lock()[1].facts.digest, Some(Digest::of(&version(3))));
}

#[tokio::test]
async fn what_is_vouched_for_and_does_not_load_changes_nothing_either() {
    let (mut bed, changes) = bed();
    let cut = version(1)[..1000].to_vec();
    let stranger = released(&guest("stranger"), &manifest_of(2));
    bed.plugin("hostile").digests.extend([Digest::of(&cut), Digest::of(&stranger)]);
    let host = started(&bed).await;
    let wasm = bed.folder("hostile").join("plugin.wasm");
    put(&wasm, &cut);
    behind(&host, "cut off in the middle").await;
    put(&wasm, &stranger);
    behind(&host, "imports example:unknown/thing").await;
    assert_eq!(serving(&host).await, "0.0.1");
    assert_eq!(kinds(&changes), ["load", "reject", "reject"]);
}

#[tokio::test]
async fn the_account_is_of_what_is_in_the_folder_now() {
    let (mut bed, _) = bed();
    let asking = released(&guest("hostile"), &manifest_with_process("hostile").replacen("0.0.1", "0.0.2", 1));
    bed.plugin("hostile").digests.push(Digest::of(&asking));
    let host = started(&bed).await;
    let wasm = bed.folder("hostile").join("plugin.wasm");
    let account = async || {
        let account = host.account(&PluginName::new("hostile").unwrap()).await.unwrap();
        (account.version.unwrap(), account.is_other, account.items.len())
    };
    let before = account().await;
    assert_eq!((before.0.as_str(), before.1), ("0.0.1", false));
    put(&wasm, &asking);
    behind(&host, "is not granted it").await;
    assert_eq!(account().await, ("0.0.2".to_owned(), true, before.2 + 1));
    put(&wasm, &version(1));
    ready(&host).await;
    assert_eq!(account().await, before, "nobody is asked to grant what nobody asks for");
}

#[tokio::test]
async fn a_half_written_file_is_refused_and_taken_when_it_is_whole() {
    let (bed, _) = bed();
    let host = started(&bed).await;
    let wasm = bed.folder("hostile").join("plugin.wasm");
    let whole = version(2);
    std::fs::write(&wasm, &whole[..whole.len() / 2]).unwrap();
    behind(&host, "is not the file that is pinned").await;
    assert_eq!(serving(&host).await, "0.0.1");
    std::fs::write(&wasm, &whole).unwrap();
    served(&host, "0.0.2").await;
    ready(&host).await;
}

#[tokio::test]
async fn a_link_may_be_swapped() {
    let (bed, _) = bed();
    let plugins = bed.folder("");
    for number in [1, 2] {
        let folder = plugins.join(format!("v{number}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("plugin.wasm"), version(number)).unwrap();
    }
    let relink = |target: &str, link: &Path| {
        symlink(target, plugins.join("new")).unwrap();
        std::fs::rename(plugins.join("new"), link).unwrap();
    };
    // The file is a link, and then the folder is one.
    let wasm = bed.folder("hostile").join("plugin.wasm");
    relink("../v1/plugin.wasm", &wasm);
    let host = started(&bed).await;
    relink("../v2/plugin.wasm", &wasm);
    served(&host, "0.0.2").await;
    std::fs::rename(bed.folder("hostile"), plugins.join("old")).unwrap();
    relink("v1", &bed.folder("hostile"));
    // It was gone for a moment, which may have been seen.
    let back = async {
        loop {
            if host.call(&label("hostile", "echo")).await.is_ok_and(|report| report.version == "0.0.1") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, back).await.expect("it is back");
    relink("v2", &bed.folder("hostile"));
    served(&host, "0.0.2").await;
}

#[tokio::test]
async fn a_removed_file_leaves_the_loaded_plugin_alone() {
    let (bed, changes) = bed();
    let host = started(&bed).await;
    let wasm = bed.folder("hostile").join("plugin.wasm");
    std::fs::remove_file(&wasm).unwrap();
    behind(&host, "plugin.wasm of plugin hostile was removed; put it back").await;
    assert_eq!(serving(&host).await, "0.0.1");
    put(&wasm, &version(1));
    ready(&host).await;
    assert_eq!(kinds(&changes), ["load"]);
}

#[tokio::test]
async fn what_others_may_write_is_not_taken_up_and_what_nobody_may_read_is_missed_by_nobody() {
    let (bed, _) = bed();
    let host = started(&bed).await;
    let folder = bed.folder("hostile");
    mode(&folder, 0o777);
    put(&folder.join("plugin.wasm"), &version(2));
    behind(&host, "may be written by others").await;
    assert_eq!(serving(&host).await, "0.0.1");
    mode(&folder, 0o755);
    served(&host, "0.0.2").await;
    // A link to itself is closed to everybody, also to root, which the tests may run as.
    let wasm = folder.join("plugin.wasm");
    symlink("plugin.wasm", wasm.with_extension("new")).unwrap();
    std::fs::rename(wasm.with_extension("new"), &wasm).unwrap();
    behind(&host, "symbolic links").await;
    assert_eq!(serving(&host).await, "0.0.2");
    put(&wasm, &version(2));
    ready(&host).await;
    put(&folder.join("plugin.wasm"), &version(1));
    served(&host, "0.0.1").await;
}

#[tokio::test]
async fn a_flood_of_events_hides_nothing() {
    let (mut bed, _) = bed();
    bed.settings.watching.longest = Duration::from_millis(200);
    let host = started(&bed).await;
    let folder = bed.folder("hostile");
    // More than the kernel keeps for anybody who does not read in time, which it may come to or not.
    for number in 0..6000 {
        let litter = folder.join(format!("litter-{}", number % 50));
        std::fs::write(&litter, b"x").unwrap();
        std::fs::remove_file(&litter).unwrap();
    }
    put(&folder.join("plugin.wasm"), &version(2));
    served(&host, "0.0.2").await;
}

#[tokio::test]
async fn the_plugin_directory_itself_may_be_replaced() {
    let (mut bed, changes) = bed();
    // It is looked for often while it is not there.
    bed.settings.watching.poll = Duration::from_millis(50);
    let host = started(&bed).await;
    let (plugins, away) = (bed.folder(""), bed.folder("").with_file_name("away"));
    std::fs::rename(&plugins, &away).unwrap();
    // However long that takes: with nothing there, nothing is decided.
    for _ in 0..20 {
        assert_eq!(serving(&host).await, "0.0.1");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    std::fs::create_dir_all(away.with_file_name("next/hostile")).unwrap();
    std::fs::write(away.with_file_name("next/hostile/plugin.wasm"), version(2)).unwrap();
    std::fs::rename(away.with_file_name("next"), &plugins).unwrap();
    served(&host, "0.0.2").await;
    // And the new one is watched.
    put(&bed.folder("hostile").join("plugin.wasm"), &version(1));
    served(&host, "0.0.1").await;
    assert_eq!(kinds(&changes), ["load", "reload", "reload"]);
}

#[tokio::test]
async fn a_link_to_the_plugin_directory_may_be_swapped() {
    let (mut bed, _) = bed();
    let (plugins, next) = (bed.folder(""), bed.folder("").with_file_name("next"));
    std::fs::create_dir_all(next.join("hostile")).unwrap();
    std::fs::write(next.join("hostile/plugin.wasm"), version(2)).unwrap();
    let link = plugins.with_file_name("link");
    symlink(&plugins, &link).unwrap();
    bed.settings.directory = Some(link.clone());
    // No folder that is watched tells of this; it is found by looking now and then.
    bed.settings.watching.sweep = Duration::from_millis(50);
    let host = started(&bed).await;
    symlink(&next, link.with_extension("new")).unwrap();
    std::fs::rename(link.with_extension("new"), &link).unwrap();
    served(&host, "0.0.2").await;
}

#[tokio::test]
async fn without_events_changes_are_found_by_looking() {
    let (mut bed, _) = bed();
    bed.settings.watching.events = false;
    bed.settings.watching.poll = Duration::from_millis(50);
    let host = started(&bed).await;
    put(&bed.folder("hostile").join("plugin.wasm"), &version(2));
    served(&host, "0.0.2").await;
}

#[tokio::test]
async fn what_did_not_load_is_tried_as_soon_as_its_files_are_others() {
    let (bed, changes) = bed();
    let wasm = bed.folder("hostile").join("plugin.wasm");
    put(&wasm, &version(3));
    let host = bed.host();
    assert!(refusal(&host, "hostile").await.contains("is not the file that is pinned"));
    put(&wasm, &version(1));
    ready(&host).await;
    assert_eq!(serving(&host).await, "0.0.1");
    assert_eq!(kinds(&changes), ["reject", "load"]);
}

#[tokio::test]
async fn whoever_keeps_a_value_hears_that_its_plugin_was_put_in_place_anew() {
    let (bed, _) = bed();
    let (wasm, asked) = (bed.folder("hostile").join("plugin.wasm"), label("hostile", "echo well"));
    std::fs::remove_file(&wasm).unwrap();
    let host = bed.host();
    let error = refusal(&host, "hostile").await;
    assert!(error.contains("holds no plugin") && error.contains("tctl plugins install"), "{error}");
    let edition = |versions| Edition { versions, releases: 0 };
    assert_eq!(host.edition(&asked), edition(0));
    let next = async |versions: u64| {
        let renewed = host.renewed(&asked, edition(versions), false);
        tokio::time::timeout(LONG, renewed).await.expect("it is told");
        assert_eq!(host.edition(&asked), edition(versions + 1));
    };
    put(&wasm, &version(1));
    next(0).await;
    put(&wasm, &version(2));
    next(1).await;
    let name = PluginName::new("hostile").unwrap();
    host.disable(&name, "a test").await.unwrap();
    assert_eq!(host.edition(&asked), edition(2), "nothing is to be had of it now");
    host.enable(&name, "a test").await.unwrap();
    // Once: that it is on is not told before it is loaded.
    next(2).await;
}

#[tokio::test]
async fn a_manifest_beside_the_component_counts_where_there_is_none_in_it() {
    let (mut bed, changes) = bed();
    bed.install("hostile", &guest("hostile"), &manifest_of(1));
    bed.pin("hostile");
    let host = started(&bed).await;
    put(&bed.folder("hostile").join("plugin.toml"), manifest_of(2).as_bytes());
    served(&host, "0.0.2").await;
    put(&bed.folder("hostile").join("plugin.toml"), b"nonsense");
    behind(&host, "the manifest of plugin hostile cannot be used").await;
    assert_eq!(kinds(&changes), ["load", "reload", "reject"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_versions_come_and_go() {
    let (bed, changes) = bed();
    let host = started(&bed).await;
    let (done, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let (host, done, calls) = (Arc::clone(&host), Arc::clone(&done), Arc::clone(&calls));
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    assert!(serving(&host).await.starts_with("0.0."));
                    calls.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        })
        .collect();
    let wasm = bed.folder("hostile").join("plugin.wasm");
    for round in 0..20 {
        let number = 2 - round % 2;
        let before = calls.load(Ordering::Relaxed);
        put(&wasm, &version(number));
        served(&host, &format!("0.0.{number}")).await;
        while calls.load(Ordering::Relaxed) == before {
            tokio::task::yield_now().await;
        }
    }
    done.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("every call is answered");
    }
    assert_eq!(kinds(&changes)[1..], ["reload"; 20]);
}
