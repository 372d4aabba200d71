//! What no text of the repository says: where somebody's machine keeps things, and where packages come
//! from. Both are settings of a machine, not of the project.

use teleport_tests_tidy::{File, files};

use crate::none;

/// Parted, so that this file may say what it looks for.
const FORBIDDEN: [(&str, &str); 14] = [
    (concat!("/wo", "rk/"), MACHINE),
    (concat!("/roo", "t/."), MACHINE),
    (concat!("/hom", "e/ubuntu"), MACHINE),
    (concat!("/User", "s/"), MACHINE),
    (concat!("crates", ".io"), REGISTRY),
    (concat!("pypi", ".org"), REGISTRY),
    (concat!("pythonhosted", ".org"), REGISTRY),
    (concat!("deb.debian", ".org"), REGISTRY),
    (concat!("registry.npmjs", ".org"), REGISTRY),
    (concat!("proxy.golang", ".org"), REGISTRY),
    (concat!("static.rust-lang", ".org"), REGISTRY),
    (concat!("TO", "DO"), UNFINISHED),
    (concat!("FIX", "ME"), UNFINISHED),
    (concat!("<<<<<<", "< "), "is a merge that was not finished"),
];

const MACHINE: &str = "is a path of somebody's machine";
const REGISTRY: &str = "names a registry: each machine has its own setting for that";
const UNFINISHED: &str = "marks something unfinished: finish it, or say in prose what is absent";

/// Lock files are written by cargo and name the registry by its identity.
fn is_ours(file: &File) -> bool {
    file.name() != "Cargo.lock"
}

fn found(file: &File) -> Vec<String> {
    let lines = file.text.lines().enumerate();
    let hits = lines.flat_map(|(number, line)| {
        let words = FORBIDDEN.iter().filter(move |(word, _)| line.contains(word));
        words.map(move |(word, why)| format!("{}:{}: {word:?} {why}", file.path, number + 1))
    });
    hits.collect()
}

#[test]
fn no_text_depends_on_a_machine_or_is_unfinished() {
    none(&files().iter().filter(|file| is_ours(file)).flat_map(found).collect::<Vec<_>>());
    let bad = File { path: "a.md".into(), text: format!("fine\nsee {}x\n", concat!("/wo", "rk/")) };
    assert_eq!(found(&bad).len(), 1);
}
