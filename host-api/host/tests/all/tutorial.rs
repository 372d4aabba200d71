//! The plugin of the SDK's README, built from the README.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use port::label::LabelProvider as _;

use crate::bed::{Bed, cargo, guest, label, refusal};

/// The files of the page: a line with a name in backquotes and a colon, then a block with the content.
fn files(page: &str) -> BTreeMap<&str, String> {
    let mut files = BTreeMap::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix('`').and_then(|line| line.strip_suffix("`:")) else { continue };
        let block = lines.by_ref().skip_while(|line| !line.starts_with("```")).skip(1);
        let content: Vec<&str> = block.take_while(|line| *line != "```").collect();
        files.insert(name, content.join("\n"));
    }
    files
}

#[tokio::test]
async fn the_readme_makes_a_plugin_that_works() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(here.join("../sdk/README.md")).unwrap();
    let files = files(&page);
    let names: Vec<_> = files.keys().copied().collect();
    assert_eq!(names, ["Cargo.toml", "plugin.toml", "src/lib.rs"]);

    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    for (name, content) in &files {
        let sdk = here.join("../sdk").canonicalize().unwrap();
        let content = content.replace("vendor/sdk", sdk.to_str().unwrap());
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    // The guests come first: their lock is taken over, and what was fetched and built for them.
    guest("later");
    let guests = here.join("../../tests/guests");
    std::fs::copy(guests.join("Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    let mut build = cargo(folder.path());
    build.args(["--offline", "--target-dir"]).arg(guests.join("target"));
    let built = build.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let wasm = std::fs::read(guests.join("target/wasm32-wasip2/release/label_kernel.wasm")).unwrap();
    let mut bed = Bed::new();
    bed.install("label-kernel", &wasm, &files["plugin.toml"]);
    bed.pin("label-kernel");
    let text = refusal(&bed.host(), "label-kernel").await;
    let line = page.lines().map(str::trim).find(|line| line.starts_with("process:")).unwrap();
    assert!(text.ends_with(line), "{text} should end with the page's {line}");
    bed.grant("label-kernel", "uname -r");
    let value = bed.host().evaluate(&label("label-kernel", "")).await.unwrap();
    let release = Command::new("uname").arg("-r").output().unwrap();
    assert_eq!(value, String::from_utf8(release.stdout).unwrap().trim());
}
