//! What every `Cargo.toml` says.

use std::collections::BTreeMap;

use teleport_tests_tidy::{File, files};
use toml::Table;

use crate::none;

/// The manifests and what they say; one that cannot be read says nothing, which no rule lets pass.
fn manifests() -> Vec<(File, Table)> {
    let manifests = files().into_iter().filter(|file| file.name() == "Cargo.toml");
    manifests.map(|file| (file.clone(), file.text.parse().unwrap_or_default())).collect()
}

fn is_true(table: &Table, path: &[&str]) -> bool {
    let Some((last, front)) = path.split_last() else { return false };
    let mut table = table;
    for key in front {
        let Some(inner) = table.get(*key).and_then(toml::Value::as_table) else { return false };
        table = inner;
    }
    table.get(*last).and_then(toml::Value::as_bool) == Some(true)
}

/// What is wrong with the manifest of a crate.
fn problems(path: &str, manifest: &Table) -> Vec<String> {
    if manifest.contains_key("workspace") {
        return Vec::new();
    }
    let Some(package) = manifest.get("package").and_then(toml::Value::as_table) else {
        return vec![format!("{path} is no manifest of a crate")];
    };
    let mut problems = Vec::new();
    if !is_true(manifest, &["lints", "workspace"]) {
        problems.push(format!("{path} does not inherit the lints: add [lints] workspace = true"));
    }
    // It takes the place of a crate of others, and so has that one's version.
    let replaces = path == "agent/ssh/runtime/Cargo.toml";
    for key in ["version", "edition", "rust-version", "license", "publish"] {
        if !(is_true(package, &[key, "workspace"]) || key == "version" && replaces) {
            problems.push(format!("{path} does not inherit {key}: write {key}.workspace = true"));
        }
    }
    let described =
        package.get("description").and_then(toml::Value::as_str).is_some_and(|text| !text.is_empty());
    if !described {
        problems.push(format!("{path} has no description"));
    }
    problems
}

#[test]
fn every_crate_inherits_what_is_said_once() {
    let manifests = manifests();
    let crates = manifests.iter().filter(|(_, manifest)| manifest.contains_key("package")).count();
    assert!(crates > 20, "{crates} crates are too few: were they not found?");
    // Guests break every rule on purpose.
    let ours = manifests.iter().filter(|(file, _)| !file.path.starts_with("tests/guests/"));
    none(&ours.flat_map(|(file, manifest)| problems(&file.path, manifest)).collect::<Vec<_>>());
}

#[test]
fn a_crate_that_goes_its_own_way_is_found() {
    let manifest: Table = "[package]\nname = \"x\"\nversion = \"1.0.0\"".parse().unwrap();
    let problems = problems("x/Cargo.toml", &manifest);
    assert_eq!(problems.len(), 7, "{problems:?}");
}

/// The crates of others whose version or features a manifest writes itself.
fn written(manifest: &Table) -> impl Iterator<Item = &str> {
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"].into_iter();
    let tables = sections.filter_map(|section| manifest.get(section)?.as_table()).flatten();
    let own = |dependency: &toml::Value| {
        let table = dependency.as_table();
        !table.is_some_and(|table| is_true(table, &["workspace"]) || table.contains_key("path"))
    };
    tables.filter(move |(_, dependency)| own(dependency)).map(|(name, _)| name.as_str())
}

/// What two rooms use has one version and one set of features, in the table of the root: two versions are
/// two runtimes, two providers, two sets of types that do not fit.
#[test]
fn what_rooms_share_is_written_once() {
    let manifests = manifests();
    let host = manifests
        .iter()
        .filter(|(file, _)| file.path.starts_with("agent/") || file.path.starts_with("host-api/"));
    let mut writers = BTreeMap::<&str, Vec<&str>>::new();
    for (file, manifest) in host {
        for name in written(manifest) {
            writers.entry(name).or_default().push(&file.path);
        }
    }
    let shared = writers.into_iter().filter(|(_, paths)| paths.len() > 1);
    let problem = |(name, paths): (&str, Vec<&str>)| {
        format!("{name} is written by {}: move it to the root Cargo.toml", paths.join(" and "))
    };
    none(&shared.map(problem).collect::<Vec<_>>());
    let manifest: Table =
        "[dependencies]\na = \"1\"\nb = { version = \"2\" }\nc.workspace = true\nd.path = \"d\""
            .parse()
            .unwrap();
    assert_eq!(written(&manifest).collect::<Vec<_>>(), ["a", "b"]);
}

/// What a crate is called in its code, and so in the log.
fn code_name(manifest: &Table) -> Option<String> {
    let name = |table: &str| manifest.get(table)?.as_table()?.get("name")?.as_str();
    Some(name("lib").or_else(|| name("package"))?.replace('-', "_"))
}

#[test]
fn the_log_knows_every_crate_of_ours() {
    let filter = files().into_iter().find(|file| file.path == "agent/telemetry/src/log/filter.rs").unwrap();
    let ours = filter.text.lines().find(|line| line.starts_with("const OURS")).unwrap();
    let ours: Vec<_> = ours.split('"').skip(1).step_by(2).collect();
    let is_product =
        |path: &str| ["agent/", "host-api/host", "host-api/oci"].iter().any(|room| path.starts_with(room));
    let manifests = manifests().into_iter().filter(|(file, _)| is_product(&file.path));
    // It is a library of others, but for its inside.
    let manifests = manifests.filter(|(file, _)| file.path != "agent/ssh/runtime/Cargo.toml");
    let names: Vec<_> = manifests.filter_map(|(_, manifest)| code_name(&manifest)).collect();
    assert!(names.len() > 20, "{names:?} are too few: were they not found?");
    let unknown = names.iter().filter(|name| !ours.iter().any(|ours| name.starts_with(ours)));
    let unknown = unknown.map(|name| {
        format!("below WARN nobody hears {name}: add it to OURS in agent/telemetry/src/log/filter.rs")
    });
    none(&unknown.collect::<Vec<_>>());
}
