//! Every file in `tests/bad` is refused, with exactly the error in the file beside it.
//!
//! After a change of wording, the new errors are found in the directory the failure names; read them
//! before copying them over.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    cases.sort();
    cases
}

/// The error of a case, under its bare file name.
fn error(case: &Path) -> String {
    let name = case.file_name().unwrap().to_str().unwrap();
    match teleport_config::check(&fs::read_to_string(case).unwrap(), name) {
        Ok(_) => format!("{name} was accepted\n"),
        Err(error) => format!("{error}\n"),
    }
}

#[test]
fn every_bad_file_has_exactly_its_error() {
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bad");
    fs::create_dir_all(&fresh).unwrap();
    let mut changed = Vec::new();
    for case in cases() {
        let golden = case.with_extension("txt");
        let (expected, found) = (fs::read_to_string(&golden).unwrap_or_default(), error(&case));
        if expected != found {
            fs::write(fresh.join(golden.file_name().unwrap()), &found).unwrap();
            changed.push(format!("--- expected\n{expected}--- found\n{found}"));
        }
    }
    assert!(changed.is_empty(), "{} (new errors are in {})", changed.join("\n"), fresh.display());
}

#[test]
fn every_golden_error_has_its_file_and_there_are_enough_of_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let goldens = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let goldens: Vec<_> = goldens.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    for golden in &goldens {
        assert!(golden.with_extension("yaml").exists(), "{} has no file", golden.display());
    }
    assert_eq!(goldens.len(), cases().len());
    assert!(goldens.len() >= 40, "only {} cases", goldens.len());
}

#[test]
fn every_error_says_where_it_is() {
    for case in cases() {
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        let error = error(&case);
        assert!(error.contains(&format!("{name}:")), "{error}");
    }
}

#[test]
fn no_error_shows_a_secret() {
    let mut secrets = 0;
    for case in cases() {
        let text = fs::read_to_string(&case).unwrap();
        secrets += usize::from(text.contains("hunter2"));
        assert!(!error(&case).contains("hunter2"), "{}", error(&case));
    }
    assert!(secrets >= 5, "only {secrets} cases hold a secret");
}
