//! What can be wrong with files and the disk they are on: cut off, twice the same, not to be read, no
//! room.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use plugin_host::{LoadError, PluginHost};
use port::label::LabelProvider as _;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use crate::alone::{alone_with_mounts, run};
use crate::bed::{Bed, guest, label, manifest, no_call, refusal};

#[tokio::test]
async fn a_file_that_is_cut_off_anywhere_is_refused() {
    let whole = guest("hostile");
    for part in 0..16 {
        let mut bed = Bed::new();
        bed.install("hostile", &whole[..whole.len() * part / 16], &manifest("hostile"));
        bed.pin("hostile");
        let text = refusal(&bed.host(), "hostile").await;
        assert!(text.starts_with("plugin hostile cannot be compiled: it is "), "{part}/16: {text}");
        assert!(!bed.cache().exists() || std::fs::read_dir(bed.cache()).unwrap().next().is_none());
    }
}

#[tokio::test]
async fn of_two_plugins_of_one_name_the_one_in_its_folder_is_served() {
    let mut bed = Bed::hostile();
    bed.install("double", &guest("later"), &manifest("hostile"));
    bed.pin("double");
    let host = bed.host();
    let text = refusal(&host, "double").await;
    assert!(text.contains("names it hostile; the folder and the manifest must agree"), "{text}");
    assert_eq!(host.evaluate(&label("hostile", "echo mine")).await.as_deref(), Ok("mine"));
}

#[tokio::test]
async fn a_manifest_cannot_lead_elsewhere_by_its_name() {
    for name in ["../hostile", "/hostile", "hostile/..", "..", "hostile\\u0000", "Hostile"] {
        let bed = Bed::hostile();
        bed.install("hostile", &guest("hostile"), &manifest(name));
        let text = refusal(&bed.host(), "hostile").await;
        assert!(text.starts_with("the manifest of plugin hostile cannot be used: "), "{name}: {text}");
    }
}

#[tokio::test]
async fn a_manifest_that_lies_about_its_contract_is_refused_with_both_named() {
    let cases = [
        ("hostile", "teleport:storage-backend@1.0.0", "teleport:label-provider@1.0.0"),
        ("backend", "teleport:label-provider@1.0.0", "teleport:storage-backend@1.0.0"),
    ];
    for (file, says, is) in cases {
        let mut bed = Bed::new();
        let manifest = manifest("liar").replace("teleport:label-provider@1.0.0", says);
        bed.install("liar", &guest(file), &manifest);
        bed.pin("liar");
        let text = refusal(&bed.host(), "liar").await;
        assert!(text.contains(&format!("says {says}, the component is built for {is}")), "{text}");
    }
}

/// Takes from this thread, and from those it starts, what lets root read everything.
fn read_like_others() {
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
    set_capabilities(None, sets).unwrap();
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn what_may_not_be_read_is_named_and_serving_goes_on() {
    read_like_others();
    let mut bed = Bed::hostile();
    bed.install("other", &guest("hostile"), &manifest("other"));
    bed.pin("other");
    let host = bed.host();
    assert!(host.check(["hostile"]).await.is_empty());
    for (what, closed, open) in
        [("", 0o000, 0o755), ("plugin.wasm", 0o000, 0o644), ("plugin.toml", 0o200, 0o644)]
    {
        mode(&bed.folder("other").join(what), closed);
        let text = refusal(&bed.host(), "other").await;
        assert!(text.contains("Permission denied") && text.contains("/other"), "{what}: {text}");
        mode(&bed.folder("other").join(what), open);
    }
    mode(&bed.folder(""), 0o000);
    assert_eq!(host.evaluate(&label("hostile", "echo still")).await.as_deref(), Ok("still"));
    let error = no_call(&host, "third").await;
    assert!(!matches!(error, LoadError::Stopped(_)), "{error}");
    mode(&bed.folder(""), 0o755);
    assert!(bed.host().check(["other"]).await.is_empty());
}

/// Makes a disk of this size of the folder.
fn mount(folder: &Path, size: &str) {
    std::fs::create_dir_all(folder).unwrap();
    mode(folder, 0o700);
    let options = format!("size={size},mode=0700");
    let status = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(folder).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_disk_without_room_for_compiled_code_is_named_and_left_empty() {
    if !alone_with_mounts("place::a_disk_without_room_for_compiled_code_is_named_and_left_empty") {
        return;
    }
    run(async {
        let bed = Bed::hostile();
        let data = &bed.settings.data_dir;
        mount(data, "64k");
        let text = refusal(&bed.host(), "hostile").await;
        assert!(
            text.starts_with("plugin hostile cannot be compiled: ")
                && text.contains("No space left on device"),
            "{text}"
        );
        let left = |bed: &Bed| std::fs::read_dir(bed.cache()).map_or(0, Iterator::count);
        assert_eq!(left(&bed), 0, "what was begun is taken away");
        let grown = Command::new("mount").args(["-o", "remount,size=64m"]).arg(data).status();
        assert!(grown.unwrap().success());
        let host: &PluginHost = &bed.host();
        assert_eq!(host.evaluate(&label("hostile", "echo room")).await.as_deref(), Ok("room"));
        assert!(left(&bed) > 0);
    });
}
