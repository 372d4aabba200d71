use proptest::prelude::*;

use super::*;

fn table<const N: usize>(columns: [Column; N], rows: &[[&str; N]]) -> Table<N> {
    let mut table = Table::new(columns);
    rows.iter().for_each(|row| table.row(row.map(str::to_owned)));
    table
}

/// Lines as they stand in a test, without the margin of the code around them.
fn expected(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn nodes() -> Table<4> {
    let columns = [
        Column::new("Node Name"),
        Column::new("Node ID"),
        Column::new("Address"),
        Column::new("Labels").may_be_cut(),
    ];
    table(
        columns,
        &[
            ["turing", "d52527f9-b260-41d0-bb5a-e23b0cfe0f8f", "10.1.0.15:3022", "distro:ubuntu"],
            ["dijkstra", "c9s93fd9-3333-91d3-9999-c9s93fd98f43", "10.1.0.16:3022", "distro:debian"],
        ],
    )
}

#[test]
fn nodes_look_as_in_the_manual() {
    let manual = expected(&[
        "Node Name     Node ID                                  Address            Labels",
        "---------     -------                                  -------            ------",
        "turing        d52527f9-b260-41d0-bb5a-e23b0cfe0f8f     10.1.0.15:3022     distro:ubuntu",
        "dijkstra      c9s93fd9-3333-91d3-9999-c9s93fd98f43     10.1.0.16:3022     distro:debian",
    ]);
    assert_eq!(nodes().render(Screen::pipe()), manual);
    assert_eq!(nodes().render(Screen::terminal(200)), manual);
}

#[test]
fn tokens_look_as_in_the_manual() {
    let columns = [Column::new("Token"), Column::new("Role"), Column::new("Expiry Time (UTC)")];
    let tokens = table(
        columns,
        &[
            ["eoKoh0caiw6weoGupahgh6Wuo7jaTee2", "Proxy", "never"],
            ["696c0471453e75882ff70a761c1a8bfa", "Node", "17 May 16 03:51 UTC"],
            ["6fc5545ab78c2ea978caabef9dbd08a5", "Signup", "17 May 16 04:24 UTC"],
        ],
    );
    let manual = expected(&[
        "Token                                Role       Expiry Time (UTC)",
        "-----                                ----       -----------------",
        "eoKoh0caiw6weoGupahgh6Wuo7jaTee2     Proxy      never",
        "696c0471453e75882ff70a761c1a8bfa     Node       17 May 16 03:51 UTC",
        "6fc5545ab78c2ea978caabef9dbd08a5     Signup     17 May 16 04:24 UTC",
    ]);
    assert_eq!(tokens.render(Screen::pipe()), manual);
}

#[test]
fn users_look_as_in_the_manual() {
    let columns = [Column::new("User").at_least(10), Column::new("Allowed Logins")];
    let users = table(columns, &[["admin", "admin,root"], ["ross", "ross"], ["joe", "joe,root"]]);
    let manual = expected(&[
        "User           Allowed Logins",
        "----           --------------",
        "admin          admin,root",
        "ross           ross",
        "joe            joe,root",
    ]);
    assert_eq!(users.render(Screen::pipe()), manual);
}

#[test]
fn a_narrow_terminal_takes_from_the_blanks_and_then_from_the_labels() {
    let lines = nodes().render(Screen::terminal(86));
    assert!(
        lines.contains("turing     d52527f9-b260-41d0-bb5a-e23b0cfe0f8f  10.1.0.15:3022  distro:ubuntu\n")
    );
    let lines = nodes().render(Screen::terminal(77));
    assert!(lines.contains("10.1.0.15:3022  distro:ub...\n"), "{lines}");
    assert!(lines.lines().all(|line| line.width() <= 77), "{lines}");
}

#[test]
fn a_pipe_gets_every_label_whole() {
    let long = "k=v,".repeat(500);
    let table = table([Column::new("Labels").may_be_cut()], &[[&long]]);
    assert!(table.render(Screen::pipe()).contains(&long));
    assert!(!table.render(Screen::terminal(80)).contains(&long));
}

#[test]
fn columns_line_up_by_what_is_seen() {
    let columns = [Column::new("Name"), Column::new("Address")];
    let table = table(columns, &[["größe", "a"], ["節点", "b"], ["", "⟵ Tunnel"], ["x", ""]]);
    let text = expected(&[
        "Name      Address",
        "----      -------",
        "größe     a",
        "節点      b",
        "          ⟵ Tunnel",
        "x",
    ]);
    assert_eq!(table.render(Screen::pipe()), text);
}

#[test]
fn a_cell_can_neither_start_a_line_nor_steer_the_terminal() {
    let table = table([Column::new("Labels")], &[["a=\u{1b}[2J\nroot"]]);
    let text = table.render(Screen::terminal(80));
    assert_eq!(text.lines().nth(2), Some("a=\\u{1b}[2J\\nroot"));
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn a_table_without_rows_shows_its_titles() {
    assert_eq!(table([Column::new("User")], &[]).render(Screen::pipe()), "User\n----\n");
}

proptest! {
    #[test]
    fn cut_columns_fit_wherever_the_others_do(cell in ".{0,200}", width in 30usize..120) {
        let columns = [Column::new("Name"), Column::new("Labels").may_be_cut()];
        let table = table(columns, &[["node", &cell]]);
        let text = table.render(Screen::terminal(width));
        prop_assert_eq!(text.lines().count(), 3);
        prop_assert!(text.lines().all(|line| line.width() <= width), "{}", text);
    }
}
