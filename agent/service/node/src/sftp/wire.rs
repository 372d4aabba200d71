//! Numbers and texts on the wire (draft-ietf-secsh-filexfer-02 sections 3 to 7).

/// The protocol's version.
pub(super) const VERSION: u32 = 3;

/// The longest packet in either direction, in bytes, as OpenSSH's clients have it.
pub(super) const PACKET_MAX: usize = 256 * 1024;
/// The most data of one read or write, in bytes: a packet less room for what goes before.
pub(super) const DATA_MAX: usize = PACKET_MAX - 1024;

/// Kinds of packets.
pub(super) mod kind {
    pub(in super::super) const INIT: u8 = 1;
    pub(in super::super) const VERSION: u8 = 2;
    pub(in super::super) const OPEN: u8 = 3;
    pub(in super::super) const CLOSE: u8 = 4;
    pub(in super::super) const READ: u8 = 5;
    pub(in super::super) const WRITE: u8 = 6;
    pub(in super::super) const LSTAT: u8 = 7;
    pub(in super::super) const FSTAT: u8 = 8;
    pub(in super::super) const SETSTAT: u8 = 9;
    pub(in super::super) const FSETSTAT: u8 = 10;
    pub(in super::super) const OPENDIR: u8 = 11;
    pub(in super::super) const READDIR: u8 = 12;
    pub(in super::super) const REMOVE: u8 = 13;
    pub(in super::super) const MKDIR: u8 = 14;
    pub(in super::super) const RMDIR: u8 = 15;
    pub(in super::super) const REALPATH: u8 = 16;
    pub(in super::super) const STAT: u8 = 17;
    pub(in super::super) const RENAME: u8 = 18;
    pub(in super::super) const READLINK: u8 = 19;
    pub(in super::super) const SYMLINK: u8 = 20;
    pub(in super::super) const STATUS: u8 = 101;
    pub(in super::super) const HANDLE: u8 = 102;
    pub(in super::super) const DATA: u8 = 103;
    pub(in super::super) const NAME: u8 = 104;
    pub(in super::super) const ATTRS: u8 = 105;
    pub(in super::super) const EXTENDED: u8 = 200;
    pub(in super::super) const EXTENDED_REPLY: u8 = 201;
}

/// A packet says less or other than its kind must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads a packet from its beginning on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.take(1)?.first().copied().ok_or(Malformed)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().map_err(|_| Malformed)?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.take(8)?.try_into().map_err(|_| Malformed)?))
    }

    /// Bytes with their length before them.
    pub(super) fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.u32()?).map_err(|_| Malformed)?;
        self.take(length)
    }
}

/// Writes packets one behind the other.
pub(super) trait Output {
    fn put_u8(&mut self, value: u8);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    /// Bytes with their length before them.
    fn put_string(&mut self, bytes: &[u8]);
    /// Begins a packet and returns where; its length is set by [`Output::end`].
    fn begin(&mut self, kind: u8) -> usize;
    /// Ends the packet that began there.
    fn end(&mut self, start: usize);
}

impl Output for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_string(&mut self, bytes: &[u8]) {
        // Nothing longer than a packet is ever written.
        self.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.extend_from_slice(bytes);
    }

    fn begin(&mut self, kind: u8) -> usize {
        let start = self.len();
        self.put_u32(0);
        self.put_u8(kind);
        start
    }

    fn end(&mut self, start: usize) {
        let length = u32::try_from(self.len().saturating_sub(start + 4)).unwrap_or(u32::MAX);
        if let Some(field) = self.get_mut(start..start + 4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(byte: u8, word: u32, long: u64, text in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut out = vec![9, 9];
            let start = out.begin(kind::DATA);
            out.put_u8(byte);
            out.put_u32(word);
            out.put_u64(long);
            out.put_string(&text);
            out.end(start);
            let mut input = Input::new(&out[2..]);
            let mut packet = Input::new(input.string().unwrap());
            prop_assert!(input.is_empty());
            prop_assert_eq!(packet.u8(), Ok(kind::DATA));
            prop_assert_eq!((packet.u8(), packet.u32(), packet.u64()), (Ok(byte), Ok(word), Ok(long)));
            prop_assert_eq!(packet.string(), Ok(&text[..]));
            prop_assert!(packet.is_empty());
        }

        #[test]
        fn a_text_longer_than_its_packet_is_malformed(length in 5u32.., rest in prop::collection::vec(any::<u8>(), 0..4)) {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.extend(rest);
            prop_assert_eq!(Input::new(&bytes).string(), Err(Malformed));
        }
    }
}
