//! `plugins/README.md`, followed by somebody who has nothing but that page: every line of its shell blocks, in its
//! order, each with the exit code 0.

use std::os::unix::fs::symlink;

use crate::desk::Desk;

/// The lines of the page that are meant for a shell.
fn lines(page: &str) -> Vec<&str> {
    let blocks = page.split("```sh\n").skip(1);
    blocks.flat_map(|rest| rest.split("```").next().unwrap_or_default().lines()).collect()
}

/// What must have been said by the end of the page, in this order.
const SAID: [&str; 12] = [
    "made ./label-release, a label-provider in Rust",
    "3 cases, 3 passed, 0 failed",
    "fuel",
    "3 cases, 3 passed, 0 failed",
    "value    Linux",
    "publishers",
    "acme",
    "uname",
    "label-release",
    "made ./storage-kept, a storage-backend in Rust",
    " passed, 0 failed\nplugin   storage-kept",
    "records kept by the host",
];

#[test]
fn the_page_holds_line_by_line() {
    let desk = Desk::new();
    let lines = lines(include_str!("../../../../plugins/README.md"));
    assert!(lines.len() > 20, "{lines:?}");
    let (mut folder, mut said) = (desk.path("."), String::new());
    for line in lines {
        if let Some(other) = line.strip_prefix("cd ") {
            folder = folder.join(other).canonicalize().unwrap();
            // What cargo builds is kept from run to run; here it is where the page says.
            if folder.join("Cargo.toml").exists() {
                symlink(desk.kept("cargo"), folder.join("target")).unwrap();
            }
            continue;
        }
        let shown = folder.display();
        let ended = desk.shell(&shown.to_string(), line);
        assert_eq!(ended.code, Some(0), "{line}\n{}\n{}", ended.out, ended.err);
        said.push_str(&ended.out);
    }
    let mut rest = said.as_str();
    for expected in SAID {
        let Some((_, after)) = rest.split_once(expected) else { panic!("{rest}\nshould say {expected}") };
        rest = after;
    }
    let installed = desk.path("label-release/directory/label-release/plugin.wasm");
    assert!(installed.exists(), "it is installed");
}
