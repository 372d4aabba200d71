//! `teleport plugin limits`: the table of limits, with what holds where nobody says otherwise.

use std::io::Write;

use domain::plugin::limit::{self, Row};
use domain::plugin::{ContractKind, Limits};
use terminal::{Column, Failure, Printer, Screen, Table};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// As a table in Markdown, for documents.
    #[arg(long)]
    markdown: bool,
}

/// Of the rows: the key, the default of each contract, the most an operator may set, and what it bounds.
const TITLES: [&str; 5] = ["Limit", "Labels", "Storage", "At Most", "What"];

pub(crate) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let mut printer = Printer::new(out, Screen::pipe());
    if arguments.markdown {
        printer.line(format!("| {} |", TITLES.join(" | ")))?;
        printer.line("|---|---|---|---|---|")?;
        for row in limit::table() {
            let [key, cells @ ..] = cells(row);
            printer.line(format!("| `{key}` | {} |", cells.join(" | ")))?;
        }
        return Ok(());
    }
    let mut table = Table::new(TITLES.map(Column::new));
    for row in limit::table() {
        table.row(cells(row));
    }
    printer.table(&table)?;
    Ok(())
}

fn cells(row: &Row) -> [String; 5] {
    let default = |kind| row.text(row.value(&Limits::of(kind)));
    [
        row.key.to_owned(),
        default(ContractKind::LabelProvider),
        default(ContractKind::StorageBackend),
        row.text(row.ceiling),
        row.what.to_owned(),
    ]
}
