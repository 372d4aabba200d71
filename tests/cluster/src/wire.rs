//! The encoding of SSH (RFC 4251 section 5), for messages written and read by hand.
//!
//! Reading trusts nothing but ends the test when a server's message is shorter than it says.

/// A message under construction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message(Vec<u8>);

impl Message {
    /// A message of this number.
    pub fn new(number: u8) -> Self {
        Self(vec![number])
    }

    /// No message: a structure inside one.
    pub fn part() -> Self {
        Self::default()
    }

    /// Adds a byte.
    #[must_use]
    pub fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// Adds a boolean.
    #[must_use]
    pub fn flag(self, value: bool) -> Self {
        self.byte(u8::from(value))
    }

    /// Adds a `uint32`.
    #[must_use]
    pub fn number(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Adds a `uint64`.
    #[must_use]
    pub fn long(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Adds a `string`: its length, then its bytes.
    #[must_use]
    pub fn text(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.number(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).raw(bytes)
    }

    /// Adds bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    /// Adds a positive `mpint` given as big-endian bytes.
    #[must_use]
    pub fn integer(self, bytes: &[u8]) -> Self {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let digits = &bytes[zeros..];
        let sign = digits.first().is_some_and(|first| *first >= 0x80);
        let padded = [&[0][..usize::from(sign)], digits].concat();
        self.text(padded)
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A message being read.
#[derive(Debug)]
pub struct Reading<'a>(&'a [u8]);

impl<'a> Reading<'a> {
    /// Reads a message after its number.
    pub fn message(payload: &'a [u8]) -> Self {
        Self(&payload[1..])
    }

    /// Reads a structure.
    pub fn part(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    /// A `uint32`.
    pub fn number(&mut self) -> u32 {
        let bytes = self.take(4);
        u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// A `string`.
    pub fn bytes(&mut self) -> &'a [u8] {
        let count = self.number() as usize;
        self.take(count)
    }

    /// A `string` that is text.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_positive_and_short() {
        let written = |bytes: &[u8]| Message::part().integer(bytes).into_bytes();
        assert_eq!(written(&[0, 0]), [0, 0, 0, 0]);
        assert_eq!(written(&[0, 0x7f]), [0, 0, 0, 1, 0x7f]);
        assert_eq!(written(&[0x80]), [0, 0, 0, 2, 0, 0x80]);
    }
}
