//! Files: scp by both of its protocols, and sftp.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use teleport_tests_interop::{Output, run_with};

use crate::bed::{Bed, NODE};

/// Large enough for many packets, with an end that fills none.
const SIZE: usize = 5_000_017;

/// A folder with a folder in it, files of several sizes and one that is run.
fn tree(root: &Path) {
    std::fs::create_dir_all(root.join("inner/empty")).unwrap();
    std::fs::write(root.join("nothing"), "").unwrap();
    std::fs::write(root.join("with space ä"), "text\n").unwrap();
    let large: Vec<u8> = (0..SIZE).map(|n| (n.wrapping_mul(31) >> 3) as u8).collect();
    std::fs::write(root.join("inner/large"), large).unwrap();
    std::fs::write(root.join("inner/run"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(root.join("inner/run"), PermissionsExt::from_mode(0o750)).unwrap();
}

/// Every path below the folder with its mode and what it holds.
fn listed(root: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let mode = path.metadata().unwrap().permissions().mode();
            let bytes = if path.is_dir() { Vec::new() } else { std::fs::read(&path).unwrap() };
            found.push((path.strip_prefix(root).unwrap().display().to_string(), mode, bytes));
            folders.extend(path.is_dir().then_some(path));
        }
    }
    found.sort();
    found
}

fn good(output: Output, what: &str) {
    assert!(output.status.success(), "{what}: {}{}", output.text(), output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn scp_copies_folders_both_ways_by_both_of_its_protocols() {
    let bed = Bed::start().await;
    let root = bed.world.folder().join("tree");
    tree(&root);
    let before = listed(&root);
    for protocol in ["-s", "-O"] {
        let (there, back) = (bed.file(&format!("there{protocol}")), bed.file(&format!("back{protocol}")));
        let up = ["-q", "-r", "-p", protocol, root.to_str().unwrap(), &format!("{NODE}:{there}")];
        good(bed.through("scp", &up).await, protocol);
        assert!(listed(Path::new(&there)) == before, "{protocol}: what arrived is not what was sent");
        let down = ["-q", "-r", "-p", protocol, &format!("{NODE}:{there}"), &back];
        good(bed.through("scp", &down).await, protocol);
        assert!(listed(Path::new(&back)) == before, "{protocol}: what came back is not what was sent");
        let missing = format!("{NODE}:/no/such/file");
        let output = bed.through("scp", &["-q", protocol, &missing, &back]).await;
        assert!(!output.status.success(), "{protocol}");
        assert!(output.stderr.contains("No such file or directory"), "{protocol}: {}", output.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_file_of_the_old_protocol_is_written_down() {
    let bed = Bed::start().await;
    let (near, far, back) = (bed.file("near"), bed.file("far"), bed.file("back"));
    std::fs::write(&near, [7; 1234]).unwrap();
    good(bed.through("scp", &["-q", "-O", &near, &format!("{NODE}:{far}")]).await, "up");
    good(bed.through("scp", &["-q", "-O", &format!("{NODE}:{far}"), &back]).await, "down");
    let up = bed.event("scp", |event| event["action"] == "upload").await;
    let down = bed.event("scp", |event| event["action"] == "download").await;
    for (event, code) in [(up, "T3005I"), (down, "T3004I")] {
        assert_eq!((&event["code"], &event["len"]), (&code.into(), &1234.into()), "{event}");
        assert_eq!(event["path"], far.as_str(), "{event}");
        assert_eq!((&event["user"], &event["success"]), (&"joe".into(), &true.into()), "{event}");
    }
    let folder = bed.file("folder");
    std::fs::create_dir(&folder).unwrap();
    good(bed.through("scp", &["-q", "-O", &near, &format!("{NODE}:{folder}")]).await, "into a folder");
    let into = format!("{folder}/near");
    bed.event("scp", |event| event["path"] == into.as_str()).await;
    bed.through("scp", &["-q", "-O", &format!("{NODE}:/no/such/file"), &back]).await;
    let failed = bed.event("scp", |event| event["code"] == "T3004E").await;
    assert_eq!(failed["path"], "/no/such/file");
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_does_what_a_batch_says_and_each_step_is_written_down() {
    let bed = Bed::start().await;
    let (root, far) = (bed.world.folder().join("tree"), bed.file("far"));
    tree(&root);
    std::fs::create_dir(&far).unwrap();
    let batch = format!(
        "cd {far}\npwd\nmkdir made\nput {local}/inner/large made/large\nput -r {local}/inner copied\n\
         rename made/large made/renamed\nchmod 600 made/renamed\nsymlink {far}/made/renamed link\nls -l made\n\
         get link {local}/got\nln made/renamed hard\nrm hard\nrm link\nrm made/renamed\nrmdir made\ndf .\n\
         -get absent {local}/absent\n",
        local = root.display()
    );
    let mut sftp = bed.joe.command("sftp");
    sftp.args(["-q", "-o", "ProxyJump=proxy", "-b", "-", NODE]);
    let output = run_with(&mut sftp, batch.as_bytes()).await;
    assert!(output.status.success(), "{}{}", output.text(), output.stderr);
    let text = output.text();
    assert!(text.contains(&format!("Remote working directory: {far}")), "{text}");
    assert!(text.contains("-rw-------") && text.contains(&SIZE.to_string()), "{text}");
    assert!(output.stderr.contains("absent\" not found"), "{}", output.stderr);
    let large = std::fs::read(root.join("inner/large")).unwrap();
    assert!(std::fs::read(root.join("got")).unwrap() == large, "what came back is not what was sent");
    assert!(std::fs::read(Path::new(&far).join("copied/large")).unwrap() == large);
    assert!(!Path::new(&far).join("made").exists());
    let is = |path: &str| {
        let path = format!("{far}/{path}");
        move |event: &Value| event["path"] == path.as_str()
    };
    let steps = [
        ("TS012I", "made"),
        ("TS001I", "made/large"),
        ("TS016I", "made/large"),
        ("TS007I", "made/renamed"),
        // As the client asked for it.
        ("TS009I", "made/"),
        ("TS011I", "link"),
        ("TS013I", "made"),
    ];
    // The last step; what came before it is then there too.
    bed.event("sftp", |event| event["code"] == "TS013I").await;
    for (code, path) in steps {
        let events = bed.world.events();
        let there = events.iter().any(|event| event["code"] == code && is(path)(event));
        assert!(there, "{code} {path} in {events:#?}");
        let event = bed.event("sftp", |event| event["code"] == code && is(path)(event)).await;
        assert_eq!((&event["user"], &event["success"]), (&"joe".into(), &true.into()), "{event}");
    }
    for access in ["read", "write"] {
        bed.event("sftp", |event| event["code"] == "TS001I" && event["access"] == access).await;
    }
    let linked = bed.event("sftp", |event| event["code"] == "TS018I").await;
    assert!(linked.to_string().contains("made/renamed"), "{linked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_copies_no_files_says_so_to_every_client() {
    let bed = Bed::start().await;
    let closed = bed.world.node_with("closed", "  ssh_file_copy: no\n").await;
    bed.world.until_nodes("both are listed", |nodes| nodes.len() == 2).await;
    let near = bed.file("near");
    std::fs::write(&near, "text").unwrap();
    for protocol in ["-s", "-O"] {
        let output = bed.through("scp", &["-q", protocol, &near, &format!("closed.main:{near}.copy")]).await;
        assert!(!output.status.success(), "{protocol}");
        assert!(output.stderr.contains("copying files is not allowed here"), "{protocol}: {}", output.stderr);
    }
    assert!(!Path::new(&format!("{near}.copy")).exists());
    for protocol in ["sftp", "scp"] {
        let refused = |event: &Value| event["event"] == protocol && event["code"] == "T3010E";
        let event = bed.world.event(protocol, refused).await;
        assert_eq!(event["server_hostname"], "closed");
        assert_eq!(event["error"], "copying files is not allowed here");
    }
    assert_eq!(bed.joe.on("closed.main", "echo but commands").await.good(), "but commands\n");
    drop(closed);
}
