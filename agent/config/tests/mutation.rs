//! Whatever a file holds, it is answered with settings or an error, never with a panic; and a key that
//! does not exist is found wherever it stands.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::prelude::*;
use teleport_config::check;

const EVERYTHING: &str = include_str!("good/everything.yaml");

/// Sections whose keys the operator chooses, and those that are not looked into while they are off.
const SKIPPED: [&str; 5] = ["labels", "pam", "load", "x11", "enhanced_recording"];

/// Before each line that holds a key, at its level: the line's number, its indentation, and its
/// section.
fn places() -> Vec<(usize, String, String)> {
    let mut places = Vec::new();
    let mut sections: Vec<(usize, String)> = Vec::new();
    for (index, line) in EVERYTHING.lines().enumerate() {
        let dashes = line.trim_start().starts_with("- ");
        let indent = line.find(|c: char| c != ' ' && c != '-').unwrap_or(0);
        let Some((key, value)) = line.trim_start_matches([' ', '-']).split_once(':') else { continue };
        if key.contains(['"', ' ']) {
            continue;
        }
        sections.retain(|(depth, _)| *depth < indent);
        let inside = sections.last().map(|(_, key)| key.clone()).unwrap_or_default();
        // The first key of a list item shares its line with the dash: insert after it instead.
        let at = if dashes { index + 1 } else { index };
        places.push((at, " ".repeat(indent), inside));
        if value.is_empty() {
            sections.push((indent, key.to_owned()));
        }
    }
    places
}

#[test]
fn a_key_that_does_not_exist_is_found_at_every_level() {
    let mut checked = 0;
    for (at, indent, inside) in places() {
        if SKIPPED.contains(&inside.as_str()) {
            continue;
        }
        let mut lines: Vec<&str> = EVERYTHING.lines().collect();
        let key = format!("{indent}zzz_key: 1");
        lines.insert(at, &key);
        let (row, column) = (at + 1, indent.len() + 1);
        let error = check(&lines.join("\n"), "t.yaml").unwrap_err().to_string();
        assert!(error.starts_with(&format!("t.yaml:{row}:{column}: ")), "line {row}: {error}");
        assert!(error.contains("zzz_key: unknown key"), "{error}");
        checked += 1;
    }
    assert!(checked > 90, "only {checked} places");
}

#[test]
fn a_key_that_is_given_twice_is_found_at_every_level() {
    let mut checked = 0;
    for (index, line) in EVERYTHING.lines().enumerate() {
        let Some((key, _)) = line.split_once(": ") else { continue };
        if key.contains(['-', '"']) {
            continue;
        }
        let mut lines: Vec<&str> = EVERYTHING.lines().collect();
        lines.insert(index, line);
        let twice = lines.join("\n");
        let error = check(&twice, "t.yaml").unwrap_err().to_string();
        let (row, first) = (index + 2, index + 1);
        assert!(error.starts_with(&format!("t.yaml:{row}:")), "{line}: {error}");
        assert!(
            error.contains(&format!("the key is given twice, first on line {first};")),
            "{line}: {error}"
        );
        checked += 1;
    }
    assert!(checked > 80, "only {checked} keys");
}

#[test]
fn aliases_within_aliases_neither_overflow_nor_take_long() {
    let mut text = String::new();
    for level in 0..200 {
        let inner = if level == 0 { "x".to_owned() } else { format!("*a{}", level - 1) };
        text += &format!("k{level}: &a{level} {}{inner}{}\n", "[".repeat(30), "]".repeat(30));
    }
    let error = check(&text, "t.yaml").unwrap_err().to_string();
    assert!(error.contains("aliases unfolded"), "{error}");
    let deep = format!("k: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(check(&deep, "t.yaml").unwrap_err().to_string().contains("nested deeper"));
}

/// One change to a text.
#[derive(Debug, Clone)]
enum Change {
    Drop,
    Insert(char),
    DropLine,
    DoubleLine,
    Indent,
    Cut,
}

fn change() -> impl Strategy<Value = (Change, prop::sample::Index)> {
    let kinds = prop_oneof![
        Just(Change::Drop),
        prop_oneof![
            prop::sample::select(":-[]{}&*!|>'\"%@`#,?\t\n\0 ~<=".chars().collect::<Vec<_>>()),
            any::<char>()
        ]
        .prop_map(Change::Insert),
        Just(Change::DropLine),
        Just(Change::DoubleLine),
        Just(Change::Indent),
        Just(Change::Cut),
    ];
    (kinds, any::<prop::sample::Index>())
}

fn changed(text: String, (change, at): (Change, prop::sample::Index)) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut chars: Vec<char> = text.chars().collect();
    if chars.is_empty() || lines.is_empty() {
        return text;
    }
    let (line, char) = (at.index(lines.len()), at.index(chars.len()));
    match change {
        Change::Drop => drop(chars.remove(char)),
        Change::Insert(c) => chars.insert(char, c),
        Change::Cut => chars.truncate(char),
        Change::DropLine => drop(lines.remove(line)),
        Change::DoubleLine => lines.insert(line, lines[line].clone()),
        Change::Indent => lines[line].insert(0, ' '),
    }
    match change {
        Change::Drop | Change::Insert(_) | Change::Cut => chars.into_iter().collect(),
        _ => lines.join("\n"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_broken_file_never_panics(changes in prop::collection::vec(change(), 1..6)) {
        let text = changes.into_iter().fold(EVERYTHING.to_owned(), changed);
        if let Err(error) = check(&text, "t.yaml") {
            let error = error.to_string();
            prop_assert!(error.contains("t.yaml:"), "{}", error);
        }
    }

    #[test]
    fn any_text_never_panics(text in "[a-z_:\\-\\[\\]{}&*!|>'\"%#,? \n\t~<0-9]{0,200}") {
        let _ = check(&text, "t.yaml");
    }
}
