//! `teleport plugin limits`, and the pages that show the same table.

use crate::plugin::Desk;

#[test]
fn the_pages_of_plugins_and_of_the_sdk_have_the_table_of_limits_as_the_program_knows_it() {
    let table = Desk::new().plugin("limits --markdown").good();
    assert!(table.lines().count() > 15, "{table}");
    for (name, page) in [
        ("plugins/README.md", include_str!("../../../../plugins/README.md")),
        ("host-api/sdk/README.md", include_str!("../../../../host-api/sdk/README.md")),
    ] {
        assert!(
            page.contains(&table),
            "{name}: replace its table of limits with what `teleport plugin limits --markdown` prints:\n{table}"
        );
    }
}

#[test]
fn the_table_for_people_has_a_line_for_each_limit() {
    let table = Desk::new().plugin("limits").good();
    let line = table.lines().find(|line| line.starts_with("cpu ")).expect("a line for processor time");
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words.first_chunk(), Some(&["cpu", "50ms", "2s", "1m0s"]), "{line}");
    assert!(line.ends_with("processor time of one call"), "{line}");
}
