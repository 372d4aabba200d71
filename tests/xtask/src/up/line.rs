//! A command line that is shown and run: what is printed is what a person can type in the repository.

use std::fmt;
use std::process::Command;

use crate::place::Place;
use crate::run::word;

/// A command as it is typed in the repository.
#[derive(Debug, Clone)]
pub(crate) struct Line(Vec<String>);

impl Line {
    /// These words, the program first.
    pub(crate) fn new(words: impl IntoIterator<Item = String>) -> Self {
        Self(words.into_iter().collect())
    }

    /// The same with one more word.
    pub(crate) fn with(mut self, word: &str) -> Self {
        self.0.push(word.to_owned());
        self
    }

    /// The same to be run, from wherever this program is.
    pub(crate) fn command(&self, place: &Place) -> Command {
        let mut words = self.0.iter();
        let program = words.next().map_or("", String::as_str);
        let in_repository = program.contains('/');
        let mut command =
            if in_repository { Command::new(place.root.join(program)) } else { Command::new(program) };
        command.args(words).current_dir(&place.root);
        command
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.0.iter().map(|text| word(text.as_ref())).collect();
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_in_the_repository_is_found_from_everywhere_and_shown_short() {
        let place = Place { root: "/repo".into(), target: "/repo/target".into() };
        let line = Line::new(["target/debug/tctl", "get", "user/a b"].map(str::to_owned));
        assert_eq!(line.to_string(), "target/debug/tctl get 'user/a b'");
        let command = line.command(&place);
        assert_eq!(command.get_program(), "/repo/target/debug/tctl");
        assert_eq!(command.get_current_dir(), Some(place.root.as_path()));
        assert_eq!(Line::new(["ssh".to_owned()]).command(&place).get_program(), "ssh");
    }
}
