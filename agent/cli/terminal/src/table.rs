//! Tables: a header, a line below each title, columns with blanks between, no borders.
//!
//! In a pipe every cell is whole, so that `awk` and `grep` find it. On a terminal that is too
//! narrow, the blanks shrink first and then the columns that may be cut, ending in `...`.

use domain::printable::escape;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::Screen;

/// Blanks between columns, as in Teleport's own output.
const GAP: usize = 5;

/// The same on a terminal that is too narrow.
const NARROW_GAP: usize = 2;

/// What a cut cell ends in.
const CUT: &str = "...";

/// The fewest columns of text a cut column keeps.
const CUT_MIN: usize = 12;

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    title: &'static str,
    at_least: usize,
    may_be_cut: bool,
}

impl Column {
    /// A column as wide as what is in it.
    pub const fn new(title: &'static str) -> Self {
        Self { title, at_least: 0, may_be_cut: false }
    }

    /// At least this wide, so that short lists line up with longer ones.
    #[must_use]
    pub const fn at_least(mut self, width: usize) -> Self {
        self.at_least = width;
        self
    }

    /// May be cut to fit a terminal: for labels and other text that is long and secondary.
    #[must_use]
    pub const fn may_be_cut(mut self) -> Self {
        self.may_be_cut = true;
        self
    }
}

/// A table of `N` columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table without rows.
    pub fn new(columns: [Column; N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row. Cells may hold text of others: what could steer a terminal is spelled out.
    pub fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| escape(&cell).into_owned()));
    }

    /// The table as lines, each ending in a line break.
    pub fn render(&self, screen: Screen) -> String {
        let natural = self.natural_widths();
        let gap = match screen.width() {
            Some(width) if total(&natural, GAP) > width => NARROW_GAP,
            _ => GAP,
        };
        let widths = self.fitted(natural, gap, screen);
        let rule = self.columns.map(|column| "-".repeat(column.title.width()));
        let mut text = String::new();
        line(&mut text, self.columns.iter().map(|column| column.title), &widths, gap);
        line(&mut text, rule.iter().map(String::as_str), &widths, gap);
        for row in &self.rows {
            line(&mut text, row.iter().map(String::as_str), &widths, gap);
        }
        text
    }

    fn natural_widths(&self) -> Vec<usize> {
        let width = |(index, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.width());
            cells.max().unwrap_or(0).max(column.title.width()).max(column.at_least)
        };
        self.columns.iter().enumerate().map(width).collect()
    }

    /// Takes what is too much from the columns that may be cut, the last one first.
    fn fitted(&self, mut widths: Vec<usize>, gap: usize, screen: Screen) -> Vec<usize> {
        let Some(limit) = screen.width() else { return widths };
        let mut excess = total(&widths, gap).saturating_sub(limit);
        for (width, column) in widths.iter_mut().zip(&self.columns).rev() {
            if column.may_be_cut {
                let floor = CUT_MIN.max(column.title.width()).min(*width);
                let taken = excess.min(*width - floor);
                *width -= taken;
                excess -= taken;
            }
        }
        widths
    }
}

fn total(widths: &[usize], gap: usize) -> usize {
    widths.iter().sum::<usize>() + gap * widths.len().saturating_sub(1)
}

/// One line of cells, padded to their columns, without blanks at its end.
fn line<'a>(text: &mut String, cells: impl Iterator<Item = &'a str>, widths: &[usize], gap: usize) {
    let start = text.len();
    let mut column = 0;
    let mut written = 0;
    for (cell, width) in cells.zip(widths) {
        if !cell.is_empty() {
            text.push_str(&" ".repeat(column - written));
            let cell = cut(cell, *width);
            written = column + cell.width();
            text.push_str(&cell);
        }
        column += width + gap;
    }
    let kept = text.trim_end_matches(' ').len().max(start);
    text.truncate(kept);
    text.push('\n');
}

/// A cell that is no wider than its column.
fn cut(cell: &str, width: usize) -> std::borrow::Cow<'_, str> {
    if cell.width() <= width {
        return cell.into();
    }
    let room = width.saturating_sub(CUT.len());
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= room
    };
    let kept: String = cell.chars().take_while(fits).collect();
    (kept + CUT).into()
}

#[cfg(test)]
mod tests;
