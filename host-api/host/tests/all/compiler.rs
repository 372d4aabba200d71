//! The child that compiles: its limits, and what the host makes of a child that fails.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use domain::plugin::{Grant, PluginName};
use plugin_host::{Compiler, PluginState};
use port::backend::Backend as _;

use crate::backend;
use crate::bed::{Bed, LONG, call, gone, guest, manifest, no_call, refusal, released};
use crate::reload::until;

const CHILD: &str = env!("CARGO_BIN_EXE_teleport-plugin-compiler");

/// A child in the place of the compiler, as a script.
fn bed_with(script: &str) -> Bed {
    let mut bed = Bed::new();
    bed.settings.compiler =
        Compiler::Child { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] };
    bed
}

#[tokio::test]
async fn a_compiler_that_is_not_there_is_named() {
    let mut bed = Bed::new();
    bed.settings.compiler = Compiler::Child { program: "/nonexistent/compiler".into(), arguments: vec![] };
    let text = refusal(&bed.host(), "label-command").await;
    assert!(text.contains("the compiler /nonexistent/compiler could not be started"), "{text}");
}

#[tokio::test]
async fn a_compiler_that_hangs_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script =
        format!("cat > /dev/null; sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
    let mut bed = bed_with(&script);
    bed.settings.compile_time = Duration::from_millis(500);
    let text = refusal(&bed.host(), "label-command").await;
    assert!(text.contains("compiling took longer than 500ms and was stopped"), "{text}");
    // On a machine so slow that the script did not get that far, there is nothing to have been left.
    if file.exists() {
        gone(&file).await;
    }
}

#[tokio::test]
async fn a_compiler_that_dies_is_quoted() {
    let text = refusal(&bed_with("echo out of luck >&2; exit 9").host(), "label-command").await;
    assert!(text.contains("the compiler ended with exit status: 9 and said: out of luck"), "{text}");
    let text = refusal(&bed_with("kill -KILL $$").host(), "label-command").await;
    assert!(text.contains("signal: 9"), "{text}");
}

#[tokio::test]
async fn a_compiler_that_floods_is_cut_off() {
    let text = refusal(&bed_with("cat > /dev/null; head -c 3000000 /dev/zero").host(), "label-command").await;
    assert!(text.contains("the compiler wrote more than 1048576 bytes"), "{text}");
}

#[tokio::test]
async fn a_compiler_that_answers_nonsense_is_not_believed() {
    let text = refusal(&bed_with("cat > /dev/null; echo nonsense").host(), "label-command").await;
    assert!(text.contains("the compiler's account of the component cannot be read"), "{text}");
}

#[tokio::test]
async fn what_was_refused_is_tried_again_at_once_when_somebody_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let script = format!("test -e {} || exit 9; exec {CHILD} \"$@\"", go.display());
    let mut bed = bed_with(&script);
    if let Compiler::Child { arguments, .. } = &mut bed.settings.compiler {
        arguments.push("compiler".into());
    }
    let versions = ["0.0.1", "0.0.2"].map(|version| manifest("hostile").replace("0.0.1", version));
    let install = |bed: &Bed, text: &str| bed.install("hostile", &released(&guest("hostile"), text), text);
    for text in versions.iter().rev() {
        install(&bed, text);
        bed.pin("hostile");
    }
    let host = bed.host();
    let name = PluginName::new("hostile").unwrap();
    let text = refusal(&host, "hostile").await;
    assert!(text.contains("exit status: 9"), "{text}");
    assert!(!host.enable(&name, "a test").await.unwrap(), "it is refused again");
    std::fs::write(&go, "").unwrap();
    assert!(no_call(&host, "hostile").await.to_string().contains("not tried again for"));
    assert!(host.enable(&name, "a test").await.unwrap());
    assert_eq!(call(&host, "echo served").await.version, "0.0.1");
    std::fs::remove_file(&go).unwrap();
    install(&bed, &versions[1]);
    until(&host, |state| matches!(state, PluginState::Behind(_))).await;
    assert!(!host.enable(&name, "a test").await.unwrap(), "the one before it goes on");
    std::fs::write(&go, "").unwrap();
    assert!(host.enable(&name, "a test").await.unwrap());
    assert_eq!(call(&host, "echo served").await.version, "0.0.2");
}

/// A host whose compiler does not end where the component says so, unless it is let go, with such a one and another
/// in its directory.
pub(crate) fn with_one_that_takes_for_ever(mut bed: Bed, name: &str) -> (Bed, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let begun = format!("{}-$$", folder.path().join("begun").display());
    let script = format!(
        "f=$(mktemp -p {folder}); cat > $f; if grep -q takes-for-ever $f; then touch {begun}; until test -e {go}; do sleep 0.02; done; fi; exec {CHILD} \"$@\" < $f",
        folder = folder.path().display(),
        go = folder.path().join("go").display()
    );
    let arguments = vec!["-c".into(), script.into(), "compiler".into()];
    bed.settings.compiler = Compiler::Child { program: "/bin/sh".into(), arguments };
    slow(&mut bed, name);
    (bed, folder)
}

pub(crate) fn slow(bed: &mut Bed, name: &str) {
    let manifest = manifest(name) + "# takes-for-ever\n";
    bed.install(name, &released(&guest("hostile"), &manifest), &manifest);
    bed.pin(name);
}

pub(crate) async fn begun(folder: &tempfile::TempDir, wanted: usize) {
    let begun = |entry: &std::io::Result<std::fs::DirEntry>| {
        entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("begun"))
    };
    let all = async {
        while std::fs::read_dir(folder.path()).unwrap().filter(begun).count() < wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, all).await.expect("they are compiled");
}

#[tokio::test]
async fn others_are_loaded_while_one_is_compiled() {
    let (bed, folder) = with_one_that_takes_for_ever(Bed::hostile(), "slow");
    let host = bed.host();
    begun(&folder, 1).await;
    assert_eq!(call(&host, "echo served").await.result.unwrap(), "served");
    // What changes is taken up as well.
    bed.install("hostile", &guest("hostile"), &manifest("hostile").replace("0.0.1", "0.0.2"));
    let taken_up = async {
        while call(&host, "echo").await.version != "0.0.2" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, taken_up).await.expect("it is taken up");
    tokio::time::timeout(LONG, host.stop()).await.expect("stopping ends what is compiled");
}

#[tokio::test]
async fn one_that_is_switched_off_while_it_is_compiled_is_off_at_once() {
    let (bed, folder) = with_one_that_takes_for_ever(Bed::hostile(), "slow");
    let host = bed.host();
    begun(&folder, 1).await;
    let name = PluginName::new("slow").unwrap();
    assert!(tokio::time::timeout(LONG, host.disable(&name, "a test")).await.expect("at once").unwrap());
    let listed = host.list().into_iter().find(|plugin| plugin.name == name).unwrap();
    assert_eq!(listed.state, PluginState::SwitchedOff);
}

#[tokio::test]
async fn what_one_keeps_is_there_again_after_it_was_off_while_another_version_was_looked_at() {
    let needs = "[[needs]]\ncapability = \"kv\"\nreason = \"keeps things\"\n";
    let good = format!("{}{needs}", manifest("hostile"));
    // Refused, once it has been looked into.
    let other = good.replace("0.0.1", "0.0.2")
        + "# takes-for-ever\n[[needs]]\ncapability = \"process\"\nreason = \"x\"\n";
    let (mut bed, folder) = with_one_that_takes_for_ever(Bed::new(), "slow");
    let install = |bed: &Bed, text: &str| bed.install("hostile", &released(&guest("hostile"), text), text);
    for text in [&other, &good] {
        install(&bed, text);
        bed.pin("hostile");
    }
    bed.plugin("hostile").grants.push(Grant::kv());
    let host = bed.host();
    assert_eq!(call(&host, "keep-much 10").await.result.unwrap(), "kept");
    begun(&folder, 1).await;
    install(&bed, &other);
    begun(&folder, 2).await;
    let name = PluginName::new("hostile").unwrap();
    assert!(host.disable(&name, "a test").await.unwrap());
    install(&bed, &good);
    let enabling = host.enable(&name, "a test");
    let going_on = async {
        std::fs::write(folder.path().join("go"), "").unwrap();
    };
    let (enabled, ()) = tokio::join!(enabling, going_on);
    assert!(enabled.unwrap());
    assert_eq!(call(&host, "keep-much 10").await.result.unwrap(), "kept");
}

#[tokio::test]
async fn the_one_that_keeps_the_records_and_those_that_are_carried_wait_for_no_other() {
    // As many as are loaded at one time take for ever.
    let (mut bed, folder) = with_one_that_takes_for_ever(backend::bed(""), "slow");
    slow(&mut bed, "slower");
    let host = bed.host();
    begun(&folder, 1).await;
    let storage = backend::backend(&host);
    tokio::time::timeout(LONG, storage.open()).await.expect("it is opened").unwrap();
    let refusals = tokio::time::timeout(LONG, host.check(["label-command"])).await.expect("it is loaded");
    assert!(refusals.is_empty(), "{refusals:?}");
}

/// The result of the real child for these bytes: exit code, and what it said.
fn child(task: &str, wasm: &[u8]) -> (Option<i32>, Vec<u8>, String) {
    let mut child = Command::new(CHILD)
        .arg(task)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A child that refuses at once does not read on.
    let _fed = stdin.write_all(wasm);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    (output.status.code(), output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_child_says_what_it_was_given() {
    let (code, out, said) = child("inspect", b"\0asm\x0d\0\x01\0");
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert_eq!(String::from_utf8(out).unwrap(), r#"{"imports":[],"exports":[],"manifest":null}"#);
    let (code, out, said) = child("compile", b"no component");
    assert_eq!((code, out.len()), (Some(3), 0));
    assert!(!said.is_empty());
    let (code, _, said) = child("dance", b"");
    assert_eq!((code, said.as_str()), (Some(1), "started without a task it knows"));
}

#[test]
fn the_child_confines_itself_before_it_reads() {
    let mut child =
        Command::new(CHILD).arg("inspect").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let limits = format!("/proc/{}/limits", child.id());
    // It waits for its input with its limits set; until they are, the file shows the parent's.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let confined = loop {
        let text = std::fs::read_to_string(Path::new(&limits)).unwrap();
        let of = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line[name.len()..].split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        // Set last, so the others are there with it.
        if of("Max cpu time") == ["1200", "1200"] {
            break (of("Max open files"), of("Max core file size"), of("Max address space"));
        }
        assert!(tokio::time::Instant::now() < deadline, "the limits are never set:\n{text}");
        std::thread::yield_now();
    };
    drop(child.stdin.take());
    child.wait().unwrap();
    let (files, core, space) = confined;
    assert_eq!(files, ["3", "3"]);
    assert_eq!(core, ["0", "0"]);
    assert_eq!(space, [(8u64 << 30).to_string(), (8u64 << 30).to_string()]);
}
