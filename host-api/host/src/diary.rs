//! What the host remembers of a plugin since the daemon started, whichever version is loaded: its last
//! log lines, what it did with what it may do, and what it asked for when its files were last looked at.
//!
//! All of it is bounded and in memory. Whoever operates plugins reads it; nothing is decided by it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use domain::Timestamp;
use domain::plugin::grant::Use;
use domain::plugin::{Grant, Manifest, PluginName};
use domain::printable;
use parking_lot::Mutex;
use port::clock::Clock;

/// Lines that are remembered of a plugin.
const LINES: usize = 200;

/// Bytes that are remembered of a line.
const LINE_MAX: usize = 1024;

/// Different uses that are told apart. Programs and places of a plugin are few.
const USES: usize = 64;

/// A line a plugin logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedLine {
    /// Counts up from 1 for each plugin.
    pub number: u64,
    /// When.
    pub time: Timestamp,
    /// `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// The line, without what could steer a terminal.
    pub text: String,
}

/// What a plugin asks for, and what it was granted when that was looked at.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) manifest: Manifest,
    pub(crate) grants: Vec<Grant>,
}

/// How often a plugin did what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) times: Vec<(Use, u64)>,
    /// Uses beyond those that are told apart.
    pub(crate) further: u64,
}

/// What is remembered of one plugin.
pub(crate) struct Diary {
    clock: Arc<dyn Clock>,
    lines: Mutex<Lines>,
    used: Mutex<Used>,
    asked: Mutex<Option<Arc<Asked>>>,
}

#[derive(Default)]
struct Lines {
    last: VecDeque<LoggedLine>,
    count: u64,
}

impl Diary {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, lines: Mutex::default(), used: Mutex::default(), asked: Mutex::default() }
    }

    /// Remembers a line.
    pub(crate) fn line(&self, level: &'static str, text: &str) {
        let time = self.clock.now();
        let mut lines = self.lines.lock();
        lines.count += 1;
        let text = printable::clip(text, LINE_MAX).to_owned();
        let line = LoggedLine { number: lines.count, time, level, text };
        if lines.last.len() == LINES {
            lines.last.pop_front();
        }
        lines.last.push_back(line);
    }

    /// The lines after that number, as far as they are remembered.
    pub(crate) fn lines(&self, after: u64) -> Vec<LoggedLine> {
        self.lines.lock().last.iter().filter(|line| line.number > after).cloned().collect()
    }

    /// Counts something the plugin was let do.
    pub(crate) fn used(&self, what: &Use) {
        let mut used = self.used.lock();
        if let Some((_, times)) = used.times.iter_mut().find(|(known, _)| known == what) {
            *times += 1;
        } else if used.times.len() < USES {
            used.times.push((what.clone(), 1));
        } else {
            used.further += 1;
        }
    }

    /// What was used how often.
    pub(crate) fn uses(&self) -> Used {
        self.used.lock().clone()
    }

    /// Remembers what the files that are there ask for, if somebody vouches for them; what the loaded version asks for
    /// otherwise, if one is.
    pub(crate) fn asks(&self, asked: Option<Asked>) {
        *self.asked.lock() = asked.map(Arc::new);
    }

    /// What was asked for last.
    pub(crate) fn asked(&self) -> Option<Arc<Asked>> {
        self.asked.lock().clone()
    }
}

/// The diaries of all plugins. There is one for each plugin that was loaded or tried to.
pub(crate) struct Diaries {
    clock: Arc<dyn Clock>,
    of: Mutex<BTreeMap<PluginName, Arc<Diary>>>,
}

impl Diaries {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, of: Mutex::default() }
    }

    /// The diary of a plugin that is being loaded, begun with its first.
    pub(crate) fn begun(&self, name: &PluginName) -> Arc<Diary> {
        let mut of = self.of.lock();
        let begin = || Arc::new(Diary::new(Arc::clone(&self.clock)));
        Arc::clone(of.entry(name.clone()).or_insert_with(begin))
    }

    /// The diary of a plugin, if it has one.
    pub(crate) fn find(&self, name: &PluginName) -> Option<Arc<Diary>> {
        self.of.lock().get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use port::clock::SystemClock;

    use super::*;

    #[test]
    fn the_last_lines_are_remembered_and_numbered() {
        let diary = Diary::new(Arc::new(SystemClock));
        for count in 1..=LINES + 5 {
            diary.line("info", &format!("line {count}"));
        }
        let lines = diary.lines(0);
        assert_eq!((lines.len(), lines[0].number, lines[0].text.as_str()), (LINES, 6, "line 6"));
        assert_eq!(diary.lines(LINES as u64 + 4).len(), 1);
        diary.line("info", &"x".repeat(LINE_MAX * 2));
        assert_eq!(diary.lines(LINES as u64 + 5)[0].text.len(), LINE_MAX);
    }

    #[test]
    fn uses_are_counted_up_to_a_number_of_kinds() {
        let diary = Diary::new(Arc::new(SystemClock));
        for count in 0..USES + 3 {
            diary.used(&Use::Process(vec![count.to_string()]));
        }
        diary.used(&Use::Process(vec!["0".to_owned()]));
        let used = diary.uses();
        assert_eq!((used.times.len(), used.times[0].1, used.further), (USES, 2, 3));
    }
}
