use domain::role::presets;
use domain::user::{User, UserSpec};
use proptest::prelude::*;

use super::*;

const JOE: &str = "kind: user\nversion: v2\nmetadata:\n  name: joe\nspec:\n  roles: [access]\n";

fn joe() -> Record {
    Record::User(Box::new(User::new("joe", UserSpec { roles: vec!["access".into()], ..UserSpec::default() })))
}

fn names(text: &str) -> Vec<(String, String)> {
    let written = read("f.yaml", text).unwrap();
    written.into_iter().map(|one| (one.record.name().to_owned(), one.place)).collect()
}

/// What is wrong with a text, the cause included.
fn wrong(text: &str) -> String {
    let error = read("f.yaml", text).unwrap_err();
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

#[test]
fn documents_are_told_apart_and_counted() {
    let role = "kind: role\nversion: v7\nmetadata: {name: dev}\nspec: {}\n";
    for text in [
        format!("{JOE}---\n{role}"),
        format!("---\n{JOE}---\n# a comment\n{role}---\n"),
        format!("# first\n---\n{JOE}...\n---\n---\n{role}...\n"),
        format!("{JOE}--- # the second\r\n{role}"),
    ] {
        let names = names(&text);
        let names: Vec<_> = names.iter().map(|(name, place)| (name.as_str(), place.as_str())).collect();
        let [("joe", first), ("dev", second)] = names[..] else { panic!("{text:?}: {names:?}") };
        assert!(first.contains("document 1 ") && second.contains("document 2 "), "{first} {second}");
    }
    assert_eq!(names(&format!("\n---\n# c\n{JOE}"))[0].1, "f.yaml: document 1 (line 4)");
}

#[test]
fn a_rule_inside_a_text_ends_no_document() {
    let text =
        format!("{JOE}  status:\n    is_locked: yes\n    locked_message: |\n      a\n      ---\n      b\n");
    let written = read("f.yaml", &text).unwrap();
    let Record::User(user) = &written[0].record else { panic!("no user") };
    assert_eq!(user.spec.status.locked_message, "a\n---\nb\n");
    assert!(user.spec.status.is_locked, "yes means true");
}

#[test]
fn json_is_read_as_one_record_and_as_a_list() {
    let json = String::from_utf8(joe().to_json()).unwrap();
    assert_eq!(read("f", &json).unwrap()[0].record, joe());
    let list = read("f", &format!("[{json},{json}]")).unwrap();
    assert_eq!(list.len(), 2);
    assert_eq!(list[1].place, "f: document 1 (line 1), entry 2");
    assert!(wrong(&format!("[{json},{{\"kind\":\"role\"}}]")).contains("entry 2: missing field"));
}

#[test]
fn errors_name_line_and_column_of_the_file() {
    let second = |text: &str| wrong(&format!("{JOE}---\n{text}"));
    for (text, expected) in [
        (
            "kind: user\nversion: v2\nmetadata: {name: a}\nspec:\n  rolez: [a]\n",
            "f.yaml:12:3: unknown field `rolez`",
        ),
        ("kind: user\nmetadata: {name: [a]}\nversion: v2\n", "f.yaml:9:18: expected string"),
        ("kind: user\nkind: user\n", "f.yaml:9:1: the key kind is there twice"),
        ("kind: user\n\tversion: v2\n", "f.yaml:8:7: "),
        ("kind: user\nversion: v2\nmetadata: {name: a, expires: soon}\n", "f.yaml:10:30: "),
        ("kind: user\nversion: v2\nmetadata: {name: a}\n", "missing field `spec`"),
    ] {
        let error = second(text);
        assert!(error.contains(expected) && !error.contains(" at line "), "{text:?}: {error}");
    }
}

#[test]
fn rules_of_the_kinds_name_the_document() {
    let error = wrong(&format!("{JOE}---\n{}", JOE.replace("[access]", "[]")));
    let expected = "f.yaml: document 2 (line 8): user \"joe\": spec.roles: a user needs at least one role";
    assert_eq!(error, expected);
    assert!(wrong("kind: spoon\n").starts_with("f.yaml: document 1 (line 1): \"spoon\" is not a kind"));
    assert!(wrong("version: v2\n").contains("there is no kind"));
    assert!(wrong("hello\n").contains("a resource with kind"));
    assert!(wrong(&JOE.replace("v2", "v9")).contains("version \"v9\" is not supported"));
}

#[test]
fn a_file_without_a_resource_is_an_error() {
    for text in ["", "\n", "# nothing\n", "---\n---\n", "...\n"] {
        assert!(wrong(text).contains("no resource"), "{text:?}");
    }
}

#[test]
fn what_get_prints_is_read_back() {
    let records: Vec<_> =
        presets().into_iter().map(|role| Record::Role(Box::new(role))).chain([joe()]).collect();
    let mut yaml = Vec::new();
    terminal::Printer::new(&mut yaml, terminal::Screen::pipe()).yaml(&records).unwrap();
    let written = read("f", std::str::from_utf8(&yaml).unwrap()).unwrap();
    assert_eq!(written.into_iter().map(|one| one.record).collect::<Vec<_>>(), records);
}

#[test]
fn a_bomb_of_aliases_is_refused_at_once() {
    let mut text = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
    for (one, next) in ('a'..='i').zip('b'..='j') {
        text += &format!("{next}: &{next} [{}]\n", vec![format!("*{one}"); 9].join(","));
    }
    assert!(read("f", &format!("{text}kind: user\n")).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in "[-a-z: \n\t\\[\\]{}&*#|\"'.]{0,80}") {
        let _ = read("f", &text);
    }

    #[test]
    fn cutting_loses_no_line(text in "(-{0,4}[a-z# .]{0,3}\n){0,12}") {
        for part in parts("f", &text) {
            let line = text.lines().nth(part.first_line - 1).unwrap();
            prop_assert_eq!(part.text.lines().next(), Some(line));
            prop_assert!(!part.text.lines().skip(1).any(begins_document));
        }
    }
}
