//! What output goes to: a terminal of some width, or a pipe.

use std::io::IsTerminal;
use std::os::fd::AsFd;

/// The fewest columns worth fitting to; anything less is a terminal that does not know its size.
const WIDTH_MIN: usize = 20;

/// A terminal or a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    width: Option<usize>,
}

impl Screen {
    /// A pipe or file: nothing is ever cut.
    pub const fn pipe() -> Self {
        Self { width: None }
    }

    /// A terminal this many columns wide.
    pub const fn terminal(width: usize) -> Self {
        Self { width: Some(width) }
    }

    /// What a stream such as standard output is.
    pub fn of(stream: &(impl AsFd + IsTerminal)) -> Self {
        if !stream.is_terminal() {
            return Self::pipe();
        }
        let size = rustix::termios::tcgetwinsize(stream).ok();
        let width = size.map(|size| usize::from(size.ws_col)).filter(|width| *width >= WIDTH_MIN);
        Self { width }
    }

    /// How many columns a line may have; none when there is no limit.
    pub const fn width(self) -> Option<usize> {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_no_terminal() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(Screen::of(&file), Screen::pipe());
    }
}
