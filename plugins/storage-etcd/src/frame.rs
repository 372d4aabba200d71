//! The lines of a stream that comes in pieces.

use crate::refusal::Problem;

/// The longest line that can be held. etcd cuts what a watch tells at the size of its largest request,
/// 1.5 MiB unless the operator raised it, and base64 adds a third. Who meets a longer one lists again, in
/// pages.
const LINE_MAX: usize = 16 * 1024 * 1024;

/// Lines in the making; what is whole is iterated over, without its end and without empty ones.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    /// How much of the buffer was taken already.
    taken: usize,
    /// How much of it is known to have no further end of line.
    searched: usize,
}

impl Lines {
    /// Adds what came.
    ///
    /// # Errors
    /// [`Problem::Compacted`] when a line does not end.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.buffer.drain(..self.taken);
        self.searched = self.searched.saturating_sub(self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() > LINE_MAX + bytes.len() && !bytes.contains(&b'\n') {
            return Err(Problem::Compacted);
        }
        Ok(())
    }
}

impl Iterator for Lines {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let fresh = self.buffer.get(self.searched..)?;
            let Some(found) = fresh.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return None;
            };
            let end = self.searched + found;
            let line = self.buffer.get(self.taken..end)?.trim_ascii().to_vec();
            self.taken = end + 1;
            self.searched = self.taken;
            if !line.is_empty() {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_join_to_the_same_lines(lines in prop::collection::vec("[a-z]{1,20}", 0..20), piece in 1..30_usize) {
            let whole: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let (mut made, mut read) = (Lines::default(), Vec::new());
            for piece in whole.as_bytes().chunks(piece) {
                made.push(piece).unwrap();
                for line in made.by_ref() {
                    read.push(String::from_utf8(line).unwrap());
                }
            }
            prop_assert_eq!(read, lines);
        }
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        let mut lines = Lines::default();
        let piece = vec![b'x'; 1024 * 1024];
        let failed = (0..20).find(|_| lines.push(&piece).is_err());
        assert!(matches!(failed, Some(16..18)), "{failed:?}");
        assert_eq!(lines.next(), None);
    }
}
