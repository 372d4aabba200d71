//! Where things are: the top of the repository, names of files, the inner shape of services, files that
//! nothing compiles.

use std::collections::BTreeSet;

use teleport_tests_tidy::{File, crates, files, root};

use crate::none;

/// What may stand at the top. Anything new belongs into one of the rooms.
const TOP: [&str; 19] = [
    ".cargo",
    ".ci",
    ".config",
    ".git",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "agent",
    "clippy.toml",
    "host-api",
    "installer",
    "plugins",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "target",
    "tests",
];

/// Names that say where something was put because nobody knew where it belongs.
const DRAWERS: [&str; 7] = ["common", "helpers", "manager", "misc", "mod", "util", "utils"];

/// The same files in every service, and the services that do without one, each with a reason.
const SHAPE: [&str; 4] = ["lib.rs", "service.rs", "settings.rs", "metrics.rs"];
const OTHER_SHAPE: [(&str, &str, &str); 1] =
    [("agent/service/tunnel", "service.rs", "has two ends: agent.rs dials, server.rs takes the call")];

#[test]
fn the_top_of_the_repository_stays_as_it_is() {
    let entries = std::fs::read_dir(root()).unwrap().filter_map(Result::ok);
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let strange = names.filter(|name| name != "wit" && !TOP.contains(&name.as_str()));
    none(
        &strange
            .map(|name| format!("{name} does not belong at the top of the repository"))
            .collect::<Vec<_>>(),
    );
}

fn drawers(path: &str) -> Option<String> {
    let parts = path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
    let drawer = parts.into_iter().find(|part| DRAWERS.contains(part));
    drawer.map(|drawer| format!("{path}: {drawer:?} says nothing; name it after what it holds"))
}

#[test]
fn files_are_named_after_what_they_hold() {
    none(
        &files()
            .iter()
            .filter(|file| file.is_rust())
            .filter_map(|file| drawers(&file.path))
            .collect::<Vec<_>>(),
    );
    assert!(drawers("agent/net/src/utils.rs").is_some() && drawers("agent/net/src/tls/mod.rs").is_some());
    assert!(drawers("agent/sys/src/launch/helper.rs").is_none());
}

#[test]
fn every_service_has_the_same_inner_shape() {
    let files: BTreeSet<_> = files().into_iter().map(|file| file.path).collect();
    let mut problems = Vec::new();
    for of in crates().unwrap().iter().filter(|of| of.folder.starts_with("agent/service/")) {
        for name in SHAPE {
            let there = files.contains(&format!("{}/src/{name}", of.folder));
            let excused = OTHER_SHAPE.iter().any(|(folder, file, _)| (*folder, *file) == (&*of.folder, name));
            match (there, excused) {
                (false, false) => problems.push(format!("{} has no src/{name}", of.folder)),
                (true, true) => problems.push(format!("{} has src/{name}: it needs no excuse", of.folder)),
                _ => {}
            }
        }
    }
    none(&problems);
}

/// The paths from which a file could be declared as a module.
fn parents(path: &str) -> Vec<String> {
    let Some((folder, _)) = path.rsplit_once('/') else { return Vec::new() };
    vec![format!("{folder}.rs"), format!("{folder}/lib.rs"), format!("{folder}/main.rs")]
}

fn declares(text: &str, module: &str) -> bool {
    let line = format!("mod {module};");
    text.lines().any(|text| text.trim_start().ends_with(&line))
}

/// Rust files that no crate compiles: a forgotten test passes for ever.
fn forgotten(files: &[File], targets: &BTreeSet<String>) -> Vec<String> {
    let text = |path: &str| files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && !targets.contains(&file.path)) {
        let module = file.name().strip_suffix(".rs").unwrap_or_default();
        let (folder, _) = file.path.rsplit_once('/').unwrap_or_default();
        let beside =
            targets.iter().filter(|target| target.rsplit_once('/').is_some_and(|(of, _)| of == folder));
        let mut parents = parents(&file.path).into_iter().chain(beside.cloned());
        if !parents.any(|parent| text(&parent).is_some_and(|text| declares(text, module))) {
            problems
                .push(format!("{} is compiled by nothing: declare `mod {module};` or remove it", file.path));
        }
    }
    problems
}

#[test]
fn every_file_is_compiled() {
    let targets: BTreeSet<_> = crates().unwrap().into_iter().flat_map(|of| of.targets).collect();
    assert!(targets.contains("agent/domain/src/lib.rs"), "no targets were found");
    none(&forgotten(&files(), &targets));
}

#[test]
fn a_forgotten_file_is_found() {
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
    let targets: BTreeSet<_> = ["a/src/lib.rs".to_owned(), "a/tests/all/main.rs".to_owned()].into();
    let files = [
        file("a/src/lib.rs", "mod known;\n"),
        file("a/src/known.rs", "#[cfg(test)]\nmod tests;\n"),
        file("a/src/known/tests.rs", ""),
        file("a/tests/all/main.rs", "mod first;\n"),
        file("a/tests/all/first.rs", ""),
        file("a/tests/all/second.rs", ""),
    ];
    let problems = forgotten(&files, &targets);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("a/tests/all/second.rs"));
}

/// Who may do what is a table that is committed, and a test compares the code with it.
#[test]
fn the_table_of_who_may_do_what_is_there_and_compared() {
    let files = files();
    let golden = files.iter().find(|file| file.path == "agent/domain/src/access/matrix.golden");
    assert!(golden.is_some_and(|file| file.text.lines().count() > 10), "matrix.golden is missing or empty");
    let compared = files.iter().any(|file| {
        file.path.starts_with("agent/domain/src/access")
            && file.is_rust()
            && file.text.contains("matrix.golden")
    });
    assert!(compared, "no test reads matrix.golden");
}
