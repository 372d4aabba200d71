//! Printing. What was asked for goes to standard output, progress and failures to standard error.
//!
//! A reader that is gone (`cargo xtask up --once | head`) must not end this program before it has
//! stopped what it started, so nothing here fails.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

/// A line of the result.
pub(crate) fn line(text: impl Display) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// A line about progress, or about why it did not work.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A line that says which part of the work begins.
pub(crate) fn step(text: impl Display) {
    note(format_args!("==> {text}"));
}

/// A span of time as people read it: `850 ms`, `12.3 s`, `4 min 05 s`.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_well_at_every_size() {
        for (millis, text) in
            [(0, "0 ms"), (999, "999 ms"), (1000, "1.0 s"), (59_900, "59.9 s"), (245_000, "4 min 05 s")]
        {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }
}
