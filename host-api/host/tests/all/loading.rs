//! What is not in order does not load, and says what to change.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use domain::plugin::Digest;
use plugin_host::{LoadError, PlaceError, PluginHost, PluginState};
use port::label::LabelProvider as _;

use crate::bed::{Bed, guest, label, manifest, manifest_with_process, no_call, refusal, released};
use crate::reload::listed;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_file_nobody_vouched_for_is_refused_with_the_line_to_add() {
    let bed = Bed::new();
    let wasm = guest("hostile");
    bed.install("hostile", &wasm, &manifest("hostile"));
    let text = refusal(&bed.host(), "hostile").await;
    let digest = Digest::of(&wasm);
    assert!(
        text.ends_with(&format!(
            "if you trust this file, add under teleport.plugins.load.hostile: digest: {digest}"
        )),
        "{text}"
    );
    assert!(!bed.cache().join("x").exists());
}

#[tokio::test]
async fn another_file_than_the_pinned_one_is_refused_with_both_digests() {
    let bed = Bed::hostile();
    let other = guest("later");
    bed.install("hostile", &other, &manifest("hostile"));
    let text = refusal(&bed.host(), "hostile").await;
    assert!(
        text.contains(&Digest::of(&other).to_string())
            && text.contains(&Digest::of(&guest("hostile")).to_string()),
        "{text}"
    );
}

#[tokio::test]
async fn files_others_may_write_are_refused() {
    for (what, bits) in [("", 0o777), ("plugin.wasm", 0o666), ("plugin.toml", 0o664)] {
        let bed = Bed::hostile();
        mode(&bed.folder("hostile").join(what), bits);
        let text = refusal(&bed.host(), "hostile").await;
        assert!(text.contains("may be written by others") && text.contains("chmod go-w"), "{what}: {text}");
    }
}

#[tokio::test]
async fn a_plugin_directory_that_is_missing_or_open_is_refused_at_start() {
    let mut bed = Bed::new();
    mode(&bed.folder(""), 0o775);
    let refused = |bed: &Bed| PluginHost::new(bed.settings.clone()).err().expect("it is refused");
    assert!(matches!(refused(&bed), LoadError::Directory(PlaceError::Writable { .. })));
    bed.settings.directory = Some("/nonexistent/plugins".into());
    let error = refused(&bed);
    assert_eq!(
        error.to_string(),
        "the plugin directory (teleport.plugins.directory, --plugin-dir) cannot be used"
    );
    assert!(matches!(error, LoadError::Directory(PlaceError::Io { .. })));
}

#[tokio::test]
async fn what_is_no_component_is_named() {
    let whole = guest("hostile");
    let cases: [(&[u8], &str); 5] = [
        (&whole[..whole.len() / 2], "cut off in the middle of a section"),
        (&whole[..20], "cut off in the middle of a section"),
        (b"\0asm\x01\0\0\0", "it is a core WebAssembly module and not a component"),
        (b"#!/bin/sh\necho hello\n", "it is not a WebAssembly component"),
        (b"", "it is not a WebAssembly component"),
    ];
    for (bytes, expected) in cases {
        let mut bed = Bed::new();
        bed.install("hostile", bytes, &manifest("hostile"));
        bed.pin("hostile");
        let text = refusal(&bed.host(), "hostile").await;
        assert!(text.starts_with("plugin hostile cannot be compiled: ") && text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn an_import_that_is_not_on_the_list_is_refused_by_name() {
    let mut bed = Bed::new();
    bed.install("stranger", &guest("stranger"), &manifest("stranger"));
    bed.pin("stranger");
    let text = refusal(&bed.host(), "stranger").await;
    assert!(
        text.starts_with(
            "plugin stranger imports example:unknown/thing@1.0.0, which this host does not offer"
        ),
        "{text}"
    );
}

#[tokio::test]
async fn another_major_version_is_refused_with_both_named() {
    let mut bed = Bed::new();
    bed.install("future", &guest("future"), &manifest("future").replace("@1.0.0", "@2.0.0"));
    bed.pin("future");
    let text = refusal(&bed.host(), "future").await;
    assert!(
        text.contains("teleport:label-provider@2.0.0") && text.contains("teleport:label-provider@1.0.0"),
        "{text}"
    );
}

#[tokio::test]
async fn a_later_minor_version_is_served_as_long_as_nothing_new_is_used() {
    let mut bed = Bed::new();
    bed.install("later", &guest("later"), &manifest("later").replace("@1.0.0", "@1.7.0"));
    bed.install("newer", &guest("newer"), &manifest("newer"));
    bed.pin("later");
    bed.pin("newer");
    let host = bed.host();
    assert_eq!(host.evaluate(&label("later", "x")).await.as_deref(), Ok("load"));
    let text = refusal(&host, "newer").await;
    let both = "it is built for teleport:host@1.9.0 and uses something that teleport:host@1.0.0, which this host serves, lacks";
    assert!(text.contains(both) && text.contains("trace"), "{text}");
}

#[tokio::test]
async fn a_manifest_must_be_there_and_tell_the_truth() {
    let cases = [
        (String::new(), "missing field"),
        (manifest("somebody"), "names it somebody; the folder and the manifest must agree"),
        (
            manifest("hostile").replace("@1.0.0", "@1.1.0"),
            "says teleport:label-provider@1.1.0, the component is built for teleport:label-provider@1.0.0",
        ),
        (format!("{}wrld = 1\n", manifest("hostile")), "line 5: unknown field `wrld`"),
        (format!("{}[limits]\nmemory = \"64MiB\"\n", manifest("hostile")), "limits: memory: 64MiB"),
        (
            manifest_with_process("hostile"),
            "asks for process with commands of your choice (runs things) and is not granted it",
        ),
    ];
    for (manifest, expected) in cases {
        let bed = Bed::hostile();
        bed.install("hostile", &guest("hostile"), &manifest);
        let text = refusal(&bed.host(), "hostile").await;
        assert!(text.contains(expected), "{text} should say {expected}");
    }
    let bed = Bed::hostile();
    std::fs::remove_file(bed.folder("hostile").join("plugin.toml")).unwrap();
    let text = refusal(&bed.host(), "hostile").await;
    assert!(text.contains("has no manifest; put plugin.toml beside its plugin.wasm"), "{text}");
}

#[tokio::test]
async fn the_manifest_in_the_component_goes_before_the_one_beside_it() {
    let mut bed = Bed::new();
    let wasm = released(&guest("hostile"), &manifest("hostile"));
    bed.install("hostile", &wasm, &manifest("somebody"));
    bed.pin("hostile");
    assert!(bed.host().check(["hostile"]).await.is_empty());
}

#[tokio::test]
async fn granted_and_not_asked_is_refused() {
    let mut bed = Bed::hostile();
    bed.grant("hostile", "reboot");
    let host = bed.host();
    let text = refusal(&host, "hostile").await;
    assert!(text.contains(r#"is granted process ["reboot"] and does not ask for it"#), "{text}");
    let known = listed(&host, "hostile").unwrap().known.expect("what was read of it is listed");
    let digest = Digest::of(&std::fs::read(bed.folder("hostile").join("plugin.wasm")).unwrap());
    assert_eq!((known.version.as_str(), known.digest), ("0.0.1", digest));
    assert_eq!((known.description.is_empty(), known.grants.len()), (false, 0));
}

#[tokio::test]
async fn a_plugin_that_is_not_there_is_named_with_where_it_was_looked_for() {
    let mut bed = Bed::new();
    let text = refusal(&bed.host(), "label-nothing").await;
    assert!(
        text.starts_with("there is no plugin label-nothing: this program carries label-command, storage-")
            && text.ends_with("label-nothing/plugin.wasm does not exist"),
        "{text}"
    );
    bed.settings.directory = None;
    let text = refusal(&bed.host(), "label-nothing").await;
    assert!(
        text.ends_with("no plugin directory is set (teleport.plugins.directory or --plugin-dir)"),
        "{text}"
    );
    for name in ["../hostile", "/etc", "..", "Label", ""] {
        assert!(matches!(no_call(&bed.host(), name).await, LoadError::Name(_)), "{name}");
    }
}

#[tokio::test]
async fn a_plugin_that_is_switched_off_stays_off() {
    let mut bed = Bed::hostile();
    bed.plugin("hostile").enabled = false;
    let host = bed.host();
    assert!(matches!(no_call(&host, "hostile").await, LoadError::Disabled(_)));
    let listed = listed(&host, "hostile").unwrap();
    assert_eq!(listed.state, PluginState::Disabled);
}

#[tokio::test]
async fn a_folder_goes_before_the_carried_plugin_and_never_falls_back_to_it() {
    let mut bed = Bed::new();
    bed.install("label-command", &guest("hostile"), &manifest("label-command"));
    let text = refusal(&bed.host(), "label-command").await;
    assert!(text.contains("is not pinned"), "{text}");
    bed.pin("label-command");
    let host = bed.host();
    assert_eq!(host.evaluate(&label("label-command", "echo other code")).await.as_deref(), Ok("other code"));
    let listed = listed(&host, "label-command").unwrap();
    assert!(listed.known.unwrap().source.ends_with("label-command/plugin.wasm"));
}

#[tokio::test]
async fn what_did_not_load_is_not_tried_at_every_period() {
    let mut bed = Bed::new();
    let host = bed.host();
    assert!(matches!(no_call(&host, "hostile").await, LoadError::Unknown { .. }));
    bed.install("hostile", &guest("hostile"), &manifest("hostile"));
    bed.pin("hostile");
    assert!(matches!(no_call(&host, "hostile").await, LoadError::Again { .. }));
}

#[tokio::test]
async fn compiled_code_that_was_touched_is_compiled_anew() {
    let bed = Bed::hostile();
    let evaluate = async || bed.host().evaluate(&label("hostile", "echo same")).await.unwrap();
    assert_eq!(evaluate().await, "same");
    let code = std::fs::read_dir(bed.cache()).unwrap().map(|entry| entry.unwrap().path());
    let code = code.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "cwasm")).unwrap();
    let original = std::fs::read(&code).unwrap();
    let mut touched = original.clone();
    let middle = touched.len() / 2;
    touched[middle] ^= 1;
    std::fs::write(&code, touched).unwrap();
    assert_eq!(evaluate().await, "same");
    assert_eq!(std::fs::read(&code).unwrap(), original, "compiling is deterministic and has been done again");
}

#[tokio::test]
async fn a_list_shows_what_is_there_and_how_it_is() {
    let mut bed = Bed::hostile();
    std::fs::create_dir(bed.folder("no-plugin")).unwrap();
    bed.install("unpinned", &guest("later"), &manifest("unpinned"));
    bed.plugin("absent").enabled = true;
    let host = bed.host();
    let listed = |host: &PluginHost| {
        let listings = host.list().into_iter().map(|listing| (listing.name.to_string(), listing.state));
        // The program carries more than the one that is looked at here.
        listings.filter(|(name, _)| !name.starts_with("storage-")).collect::<Vec<_>>()
    };
    let names = ["absent", "hostile", "label-command", "unpinned"];
    let before = listed(&host);
    assert_eq!(before.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
    assert_eq!((&before[0].1, &before[2].1), (&PluginState::NotLoaded, &PluginState::NotLoaded));
    refusal(&host, "unpinned").await;
    assert!(host.check(["hostile"]).await.is_empty());
    let after = listed(&host);
    assert_eq!(after[1].1, PluginState::Ready);
    assert!(matches!(&after[3].1, PluginState::Refused(reason) if reason.contains("is not pinned")));
}
