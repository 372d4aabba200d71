//! Packets out of a stream of bytes.
//!
//! No I/O: the caller fills the space and takes packets out. Holds one packet of the largest size at
//! most, however the bytes arrive.

use super::wire::PACKET_MAX;

/// The length before each packet, in bytes.
const LENGTH: usize = 4;
/// Where a session starts: enough for many small requests, little for an idle session.
const FIRST: usize = 32 * 1024;

/// A length no packet may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadLength(pub(super) u32);

/// Bytes that have come and have not been taken.
#[derive(Debug)]
pub(super) struct Frames {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; FIRST], start: 0, end: 0 }
    }

    /// Whether all that has come has been taken.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room for what comes next; never empty when all whole packets have been taken.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        // Large packets come in rows: with room for two, one is read while the other is there.
        if self.end * 2 >= self.buffer.len() && self.buffer.len() < 2 * (LENGTH + PACKET_MAX) {
            let larger = (self.buffer.len() * 2).min(2 * (LENGTH + PACKET_MAX));
            self.buffer.resize(larger, 0);
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Says how much of the space was filled.
    pub(super) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// The next whole packet, without its length; none when more must come first.
    ///
    /// # Errors
    /// A length of zero or beyond [`PACKET_MAX`]: where the next packet begins is not known then.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, BadLength> {
        let Some((length, rest)) =
            self.buffer.get(self.start..self.end).and_then(<[u8]>::split_first_chunk::<LENGTH>)
        else {
            return Ok(None);
        };
        let said = u32::from_be_bytes(*length);
        let length = usize::try_from(said).unwrap_or(usize::MAX);
        if length == 0 || length > PACKET_MAX {
            return Err(BadLength(said));
        }
        let packet = rest.get(..length);
        if packet.is_some() {
            self.start += LENGTH + length;
        }
        Ok(packet)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds the bytes in pieces of these sizes and collects the packets.
    fn collect(bytes: &[u8], pieces: &[usize]) -> Result<Vec<Vec<u8>>, BadLength> {
        let (mut frames, mut packets, mut rest) = (Frames::new(), Vec::new(), bytes);
        let mut pieces = pieces.iter().cycle();
        while !rest.is_empty() {
            let space = frames.space();
            assert!(!space.is_empty(), "no room");
            let count = (*pieces.next().unwrap()).clamp(1, space.len().min(rest.len()));
            space[..count].copy_from_slice(&rest[..count]);
            frames.filled(count);
            rest = &rest[count..];
            while let Some(packet) = frames.next()? {
                packets.push(packet.to_vec());
            }
        }
        assert!(frames.is_empty());
        Ok(packets)
    }

    fn framed(packets: &[Vec<u8>]) -> Vec<u8> {
        packets
            .iter()
            .flat_map(|packet| [&(packet.len() as u32).to_be_bytes()[..], packet].concat())
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn packets_come_out_as_they_went_in_however_they_arrive(
            lengths in prop::collection::vec(prop_oneof![1usize..100, 1usize..40_000, Just(PACKET_MAX)], 1..6),
            pieces in prop::collection::vec(prop_oneof![1usize..10, 1usize..300_000], 1..8),
        ) {
            // Byte by byte would take minutes for the largest.
            let pieces: Vec<usize> = pieces.into_iter().chain([40_000]).collect();
            let packets: Vec<Vec<u8>> =
                lengths.iter().enumerate().map(|(index, length)| vec![index as u8; *length]).collect();
            prop_assert_eq!(collect(&framed(&packets), &pieces), Ok(packets));
        }
    }

    #[test]
    fn lengths_no_packet_has_are_refused_before_the_packet_comes() {
        for length in [0, PACKET_MAX as u32 + 1, u32::MAX] {
            assert_eq!(collect(&length.to_be_bytes(), &[4]), Err(BadLength(length)));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut frames = Frames::new();
        frames.space()[..4].copy_from_slice(&(PACKET_MAX as u32).to_be_bytes());
        frames.filled(4);
        while frames.next().unwrap().is_none() {
            let space = frames.space().len();
            frames.filled(space.min(1000));
        }
        assert!(frames.buffer.len() <= 2 * (LENGTH + PACKET_MAX));
    }
}
