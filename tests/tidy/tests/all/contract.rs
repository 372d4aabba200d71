//! Released contracts stay as they are: each is known by the digest of its text, comments apart.
//!
//! `wit/released.toml` lists them. A contract that is not there is a draft, and says so itself.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use teleport_tests_tidy::root;

use crate::none;

/// What is released: the package and its version, and the digest of its folder's text.
fn released() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join("wit/released.toml")).unwrap();
    toml::from_str(&text).unwrap()
}

/// Every package in `wit/`, with the text of its files in the order of their names.
fn packages() -> BTreeMap<String, String> {
    let folders = std::fs::read_dir(root().join("wit")).unwrap().filter_map(Result::ok);
    let folders = folders.map(|folder| folder.path()).filter(|path| path.is_dir());
    folders
        .map(|folder| {
            let files = std::fs::read_dir(&folder).unwrap().filter_map(Result::ok).map(|file| file.path());
            let files: BTreeSet<_> =
                files.filter(|path| path.extension().is_some_and(|end| end == "wit")).collect();
            let text: String = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
            let name = text.lines().find_map(|line| line.strip_prefix("package ")?.strip_suffix(';'));
            (name.expect("a folder of wit/ is a package").to_owned(), text)
        })
        .collect()
}

/// What a contract says to machines: its text without comments and without the way it is laid out.
fn said(text: &str) -> String {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

fn digest(text: &str) -> String {
    Sha256::digest(said(text)).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn released_contracts_are_not_edited() {
    let packages = packages();
    let problem = |(name, frozen): (&String, &String)| match packages.get(name) {
        None => Some(format!(
            "wit/: {name} was released and is gone; plugins that are built for it would not load"
        )),
        Some(text) if digest(text) != *frozen => Some(format!(
            "wit/: {name} was released and is edited (its digest is {}); make a new version beside it, as wit/README.md says",
            digest(text)
        )),
        Some(_) => None,
    };
    none(&released().iter().filter_map(problem).collect::<Vec<_>>());
}

#[test]
fn what_is_not_released_says_that_it_is_a_draft() {
    let released = released();
    let silent = packages()
        .into_iter()
        .filter(|(name, text)| !released.contains_key(name) && !text.contains("A draft:"));
    none(
        &silent
            .map(|(name, _)| format!("wit/: {name} is neither in wit/released.toml nor a draft"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn comments_and_layout_are_not_frozen_and_all_else_is() {
    assert_eq!(said("/// a\nx: func() // b\n    -> u32;\n"), "x: func() -> u32;");
    assert_eq!(digest("a: func();"), digest("/// new words\n  a:\n func();"));
    assert_ne!(digest("a: func();"), digest("a: func() -> u8;"));
}
