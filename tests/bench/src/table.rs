//! The table of results.

use std::io::Write;

use terminal::{Column, Failure, Printer, Screen, Table};

/// Whether a goal is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is.
    Reached,
    /// It is not.
    Missed,
    /// There is none; the figure is for the reader.
    Shown,
}

/// One result.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) ours: String,
    pub(crate) peer: String,
    pub(crate) ratio: String,
    pub(crate) goal: String,
    pub(crate) verdict: Verdict,
}

/// All results, in the order they were made. Each is said on standard error at once, since the whole
/// takes minutes.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Row>);

impl Report {
    pub(crate) fn add(&mut self, row: Row) {
        let Row { what, ours, peer, ratio, .. } = &row;
        let _ = writeln!(std::io::stderr(), "  {what}: {ours}   peer: {peer}   {ratio}");
        self.0.push(row);
    }

    /// A figure without a goal.
    pub(crate) fn show(&mut self, what: impl Into<String>, ours: impl Into<String>, peer: impl Into<String>) {
        let (what, ours, peer) = (what.into(), ours.into(), peer.into());
        self.add(Row {
            what,
            ours,
            peer,
            ratio: String::new(),
            goal: String::new(),
            verdict: Verdict::Shown,
        });
    }

    pub(crate) fn print(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let columns = ["What", "Ours", "Peer", "Ratio", "Goal", ""].map(Column::new);
        let mut table = Table::new(columns);
        for row in &self.0 {
            let verdict = match row.verdict {
                Verdict::Reached => "reached",
                Verdict::Missed => "MISSED",
                Verdict::Shown => "",
            };
            let Row { what, ours, peer, ratio, goal, .. } = row.clone();
            table.row([what, ours, peer, ratio, goal, verdict.to_owned()]);
        }
        let mut printer = Printer::new(out, Screen::pipe());
        printer.table(&table)?;
        printer.flush()?;
        Ok(())
    }
}

/// A result that should be at most `goal` times the peer's.
pub(crate) fn at_most(what: &str, (ours, peer): (String, String), ratio: f64, goal: f64) -> Row {
    let verdict = if ratio <= goal { Verdict::Reached } else { Verdict::Missed };
    Row {
        what: what.into(),
        ours,
        peer,
        ratio: format!("{ratio:.3} x"),
        goal: format!("<= {goal} x"),
        verdict,
    }
}

/// A result that should be at least `goal` times the peer's.
pub(crate) fn at_least(what: &str, (ours, peer): (String, String), ratio: f64, goal: f64) -> Row {
    let verdict = if ratio >= goal { Verdict::Reached } else { Verdict::Missed };
    Row {
        what: what.into(),
        ours,
        peer,
        ratio: format!("{ratio:.2} x"),
        goal: format!(">= {goal} x"),
        verdict,
    }
}

/// A figure that should stay below a limit of its own.
pub(crate) fn below(what: &str, figure: f64, limit: f64, unit: &str, peer: String) -> Row {
    let verdict = if figure <= limit { Verdict::Reached } else { Verdict::Missed };
    let ours = format!("{figure:.2} {unit}");
    Row { what: what.into(), ours, peer, ratio: String::new(), goal: format!("<= {limit} {unit}"), verdict }
}

/// A figure that should reach a mark of its own.
pub(crate) fn above(what: &str, figure: f64, mark: f64, unit: &str, peer: String) -> Row {
    let verdict = if figure >= mark { Verdict::Reached } else { Verdict::Missed };
    let ours = format!("{figure:.0} {unit}");
    Row { what: what.into(), ours, peer, ratio: String::new(), goal: format!(">= {mark} {unit}"), verdict }
}
