//! What queries mean, what is wrong with those that mean nothing, and that no text breaks the reader.

use proptest::prelude::*;

use super::*;

fn labels() -> Labels {
    [("env", "prod"), ("os", "Debian 12"), ("aws/region", "eu-1"), ("quote", "a\"b")].into_iter().collect()
}

fn asked(query: &str) -> bool {
    let query = Query::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    query.matches(Subject {
        name: "web-1",
        labels: &labels(),
        text: "web-1\n10.0.0.7\nenv=prod,os=Debian 12",
    })
}

fn wrong(query: &str) -> String {
    Query::parse(query).unwrap_err().to_string()
}

#[test]
fn texts_are_compared() {
    for yes in [
        r#"name == "web-1""#,
        r#"labels["env"] == "prod""#,
        r#"labels.env == 'prod'"#,
        r#""prod"==labels.env"#,
        r#"labels["aws/region"] != "us-1""#,
        r#"equals(labels.env, "prod")"#,
        r#"labels["missing"] == """#,
        r#"labels.missing != "prod""#,
        r#"labels.quote == "a\"b""#,
    ] {
        assert!(asked(yes), "{yes}");
    }
    for no in
        [r#"name == "WEB-1""#, r#"labels.env != "prod""#, r#"labels.name == "web-1""#, r#"equals(name, "")"#]
    {
        assert!(!asked(no), "{no}");
    }
}

#[test]
fn words_are_looked_for_in_any_case_and_all_needed() {
    assert!(asked(r#"search("DEBIAN", "10.0.0")"#) && asked(r#"search("")"#));
    assert!(!asked(r#"search("debian", "ubuntu")"#));
}

#[test]
fn not_binds_before_and_and_and_before_or() {
    let (yes, no) = (r#"name == "web-1""#, r#"name == "x""#);
    for (query, holds) in [
        (format!("{yes} || {no} && {no}"), true),
        (format!("({yes} || {no}) && {no}"), false),
        (format!("!{no} && {yes}"), true),
        (format!("!({no} || {yes})"), false),
        (format!("!!{yes}"), true),
        (format!("{no} || {no} || {yes}"), true),
    ] {
        assert_eq!(asked(&query), holds, "{query}");
    }
}

#[test]
fn an_error_says_where_and_what_could_stand_there() {
    assert_eq!(wrong(r#"labels["env"] = "prod""#), "column 15: expected `==`, found `=`");
    assert_eq!(wrong("name ; 'x'"), "column 6: expected a word, a text in quotes or a sign, found `;`");
    assert_eq!(wrong(r#"name "x""#), "column 6: expected `==` or `!=`, found \"x\"");
    assert_eq!(wrong(r#"name == "é" &&"#).split(", found").last(), Some(" the end"));
    assert!(wrong(r#"name == "é" &&"#).starts_with("column 15: expected a condition such as"));
    assert!(wrong(r#"name == hostname"#).starts_with("column 9: expected name, labels"));
    assert_eq!(wrong(r#"(name == "x""#), "column 13: expected `)`, found the end");
    assert_eq!(wrong(r#"name == "x" name"#), "column 13: expected `&&`, `||` or the end, found `name`");
    assert_eq!(wrong(r#"name == "x"#), "column 9: expected a text that ends in a quote, found `\"`");
    assert!(wrong("labels[env] == 'x'").starts_with("column 8: expected the key of a label in quotes"));
    assert!(wrong("labels == 'x'").starts_with("column 8: expected `[` or `.`"));
    assert!(wrong("labels.'a' == 'x'").contains("labels[\"a/b\"]"));
    assert!(wrong("search()").starts_with("column 8: expected a word in quotes, found `)`"));
    assert!(wrong("search").starts_with("column 1: ") && wrong("").starts_with("column 1: "));
}

#[test]
fn depth_and_length_are_bounded_and_chains_are_not_deep() {
    let nested = |depth: usize| format!("{}name == ''{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Query::parse(&nested(DEPTH_MAX)).is_ok());
    assert!(matches!(Query::parse(&nested(DEPTH_MAX + 1)), Err(QueryError::TooDeep(34))));
    assert!(matches!(Query::parse(&"!".repeat(LENGTH_MAX)), Err(QueryError::TooDeep(_))));
    assert!(asked(&vec!["name != 'x'"; 200].join(" && ")));
    assert_eq!(Query::parse(&" ".repeat(LENGTH_MAX + 1)), Err(QueryError::TooLong));
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        Just(Text::Name),
        ".{0,8}".prop_map(Text::Label),
        "[a-c]{0,2}".prop_map(Text::Fixed),
        ".{0,8}".prop_map(Text::Fixed),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        (text(), text()).prop_map(|(a, b)| Condition::Equal(a, b)),
        prop::collection::vec(".{0,4}", 1..3).prop_map(Condition::Search),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::Any),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::All),
            inner.prop_map(|one| Condition::Not(Box::new(one))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_shown_is_read_as_the_same(condition in condition()) {
        let query = Query(condition);
        prop_assert_eq!(Query::parse(&query.to_string()), Ok(query));
    }

    #[test]
    fn no_text_panics(text in ".{0,60}") {
        let _ = Query::parse(&text);
    }

    #[test]
    fn no_signs_panic(parts in prop::collection::vec(
        prop::sample::select(vec!["!", "(", ")", "==", "!=", "&&", "||", "name", "labels", ".", "[", "]", "'a'", "search", "equals", ",", "é"]), 0..20))
    {
        if let Err(QueryError::Unexpected { column, .. }) = Query::parse(&parts.join(" ")) {
            prop_assert!((1..=parts.join(" ").chars().count() + 1).contains(&column));
        }
    }
}
