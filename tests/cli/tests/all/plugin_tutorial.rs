//! `plugins/README.md`, followed by somebody who has nothing but that page: every line of its shell blocks, in its
//! order, each with the exit code 0. The daemon of the page runs meanwhile.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use crate::desk::Desk;

/// The lines of the page that are meant for a shell.
fn lines(page: &str) -> Vec<&str> {
    let blocks = page.split("```sh\n").skip(1);
    blocks.flat_map(|rest| rest.split("```").next().unwrap_or_default().lines()).collect()
}

/// What must have been said by the end of the page, in this order.
const SAID: [&str; 24] = [
    "made ./label-release, a label-provider in Rust",
    "3 cases, 3 passed, 0 failed",
    "fuel",
    "3 cases, 3 passed, 0 failed",
    "value    Linux",
    "publishers",
    "acme",
    "uname",
    "label-release",
    "process [\"uname\", \"-s\"]",
    "label-command",
    "storage-etcd",
    "State        Ready",
    "plugin label-release has been disabled",
    "plugin label-release has been enabled",
    "in place of version 0.1.0",
    "the running daemon has taken it up",
    "0.2.0",
    "plugin label-release has been removed from",
    "made ./storage-kept, a storage-backend in Rust",
    " passed, 0 failed\nplugin   storage-kept",
    "records kept by the host",
    "at its highest",
    " executed",
];

/// The daemon of the page, by the number it wrote down; ended also where the test ends early.
struct Started(PathBuf);

impl Drop for Started {
    fn drop(&mut self) {
        // The page ends it itself, and its file goes with it.
        if let Ok(number) = std::fs::read_to_string(&self.0) {
            let _ = Command::new("kill").arg(number.trim()).status();
        }
    }
}

#[test]
fn the_page_holds_line_by_line() {
    let desk = Desk::new();
    let lines = lines(include_str!("../../../../plugins/README.md"));
    assert!(lines.len() > 20, "{lines:?}");
    let _started = Started(desk.path("label-release/teleport.pid"));
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
    assert!(!desk.path("label-release/directory/label-release").exists(), "it is removed");
}
