//! What every Rust file keeps to.

use teleport_tests_tidy::{File, code_of, files, words};

use crate::none;

/// Lines of a file without its tests. Good files have 100 to 250; from here on it is two files.
const LINES_MAX: usize = 400;
/// Lines of a file of tests.
const TEST_LINES_MAX: usize = 600;

/// Longer files: the path, how long it may be, since when, and why it is not parted yet.
const LONGER: [(&str, usize, &str, &str); 1] = [(
    "agent/port/src/store.rs",
    430,
    "2026-11-21",
    "one trait, its requests and answers; half of it is documentation",
)];

/// The files with unsafe code outside of `agent/sys`, where it belongs, each with why.
const UNSAFE: [(&str, &str); 4] = [
    (
        "host-api/host/src/engine/trusted.rs",
        "mapping compiled plugins; takes only what the cache has checked",
    ),
    ("host-api/sdk/src/heap.rs", "the allocator of plugins, inside their sandbox"),
    ("host-api/sdk/src/bindings.rs", "generated: arguments are addresses in the plugin's own memory"),
    ("tests/guests/hostile/src/harm.rs", "a plugin that lies about its texts on purpose"),
];

fn rust() -> Vec<File> {
    let files: Vec<_> = files().into_iter().filter(File::is_rust).collect();
    assert!(files.len() > 300, "{} files are too few: were they not found?", files.len());
    files
}

fn each(problem: impl Fn(&File) -> Option<String>) {
    none(&rust().iter().filter_map(problem).collect::<Vec<_>>());
}

fn is_tests(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("tests/")
}

/// `tests.rs` beside a module has that module's purpose.
fn says_what_it_is_for(file: &File) -> bool {
    let first = file.text.lines().next().unwrap_or_default();
    file.name() == "tests.rs" || first.starts_with("//! ") || first.starts_with("#![doc = include_str!")
}

#[test]
fn every_module_says_what_it_is_for() {
    each(|file| {
        let silent =
            format!("{}: begin with `//!`: what it is for, what it refuses, who calls it", file.path);
        (!says_what_it_is_for(file)).then_some(silent)
    });
    let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
    assert!(!says_what_it_is_for(&file("a/src/b.rs", "use std::io;\n//! Late.\n")));
    assert!(!says_what_it_is_for(&file("a/src/b.rs", "")));
}

/// Lines before the tests inside a file.
fn production_lines(text: &str) -> usize {
    let lines: Vec<_> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| pair == ["#[cfg(test)]", "mod tests {"]);
    tests.unwrap_or(lines.len())
}

fn too_long(file: &File) -> Option<String> {
    let (lines, most) = if is_tests(&file.path) {
        (file.text.lines().count(), TEST_LINES_MAX)
    } else {
        (production_lines(&file.text), LINES_MAX)
    };
    let longer = LONGER.iter().find(|(path, ..)| *path == file.path);
    match longer {
        Some(_) if lines <= most => Some(format!("{} is short again: remove it from LONGER", file.path)),
        Some((_, allowed, ..)) if lines <= *allowed => None,
        _ if lines <= most => None,
        _ => Some(format!("{} has {lines} lines, at most {most} are readable: part it by topic", file.path)),
    }
}

#[test]
fn files_are_short() {
    each(too_long);
    let file = |path: &str, lines: usize, tests: usize| File {
        path: path.into(),
        text: "x\n".repeat(lines) + "#[cfg(test)]\nmod tests {\n" + &"y\n".repeat(tests),
    };
    assert!(too_long(&file("a/src/b.rs", LINES_MAX + 1, 0)).is_some());
    assert!(too_long(&file("a/src/b.rs", LINES_MAX, 200)).is_none());
    assert!(too_long(&file("a/src/b/tests.rs", TEST_LINES_MAX, 0)).is_some());
}

#[test]
fn unsafe_code_is_where_it_is_expected() {
    let uses = |file: &File| {
        // Looking at the whole text first is quick and lets most files pass.
        let code = if file.text.contains("unsafe") { code_of(&file.text) } else { String::new() };
        words(&code).any(|(_, word)| word == "unsafe" || word == "unsafe_code")
    };
    let files = rust();
    let expected =
        |path: &str| path.starts_with("agent/sys/") || UNSAFE.iter().any(|(known, _)| *known == path);
    let surprising = files.iter().filter(|file| uses(file) && !expected(&file.path));
    let mut problems: Vec<_> =
        surprising.map(|file| format!("{}: unsafe code belongs into agent/sys", file.path)).collect();
    let still = |path: &str| files.iter().any(|file| file.path == path && uses(file));
    let stale = UNSAFE.iter().filter(|(path, _)| !still(path));
    problems
        .extend(stale.map(|(path, _)| format!("{path} has no unsafe code any more: remove it from UNSAFE")));
    none(&problems);
}

/// Macros that mean "not yet" or "only while I look".
fn unfinished(code: &str) -> Vec<(usize, String)> {
    let lines = code.lines().enumerate();
    let found = lines.flat_map(|(number, line)| {
        let macros = ["todo!", "unimplemented!", "dbg!"].into_iter().filter(move |name| line.contains(name));
        macros.map(move |name| (number + 1, name.to_owned()))
    });
    found.collect()
}

#[test]
fn nothing_is_left_to_be_done() {
    let files = rust();
    let suspects = files.iter().filter(|file| !unfinished(&file.text).is_empty());
    let found = suspects.flat_map(|file| {
        let found = unfinished(&code_of(&file.text)).into_iter();
        found.map(move |(line, name)| format!("{}:{line}: {name}", file.path))
    });
    none(&found.collect::<Vec<_>>());
    assert_eq!(unfinished("fn f() {\n    todo!()\n}").len(), 1);
    assert!(unfinished(&code_of("/// never `todo!`\nfn f() {}")).is_empty());
}

/// Lines with a test that is left out without a word about it.
fn ignored_without_reason(text: &str) -> Vec<usize> {
    let code = code_of(text);
    let lines = text.lines().zip(code.lines()).enumerate();
    let silent = |(line, code): (&str, &str)| {
        let reason = line.split("#[ignore").nth(1).and_then(|rest| rest.split('"').nth(1));
        code.contains("#[ignore") && reason.is_none_or(|reason| reason.trim().is_empty())
    };
    lines.filter(|(_, pair)| silent(*pair)).map(|(number, _)| number + 1).collect()
}

#[test]
fn a_test_that_is_left_out_says_why() {
    let files = rust();
    let suspects = files.iter().filter(|file| file.text.contains("#[ignore"));
    let silent = suspects.flat_map(|file| {
        let lines = ignored_without_reason(&file.text).into_iter();
        lines.map(move |line| format!("{}:{line}: write #[ignore = \"why\"]", file.path))
    });
    none(&silent.collect::<Vec<_>>());
    assert_eq!(
        ignored_without_reason("#[ignore]\n#[ignore = \"\"]\n#[ignore = \"is slow\"]\n// #[ignore]"),
        [1, 2]
    );
}
