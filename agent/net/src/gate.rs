//! Strangers at the door: connections that have not proven who they are.
//!
//! A stranger costs a descriptor and some memory, so there is room for a number of them, in all and
//! per source. When the room is full the *oldest* of the most crowded source is turned out, not the
//! newest: whoever proves themselves promptly gets in, however many others just stand there. (Dropping
//! newcomers at random, as older servers do, shuts out honest ones first.)

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// How long a stranger may take.
pub const GRACE: Duration = Duration::from_secs(30);
/// Strangers per source.
pub const PER_SOURCE: usize = 512;
/// Strangers in all.
pub const IN_ALL: usize = 4096;

/// What counts as one source: an IPv4 address, or the /64 block of an IPv6 one, since that is what
/// one host is given.
pub fn source_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)))
        }
        other => other,
    }
}

#[derive(Debug, Default)]
struct Room {
    next: u64,
    count: usize,
    sources: HashMap<IpAddr, VecDeque<(u64, CancellationToken)>>,
}

/// The room for strangers of one service.
#[derive(Debug)]
pub struct Gate {
    per_source: usize,
    in_all: usize,
    room: Mutex<Room>,
}

impl Gate {
    /// A room of the usual size.
    pub fn new() -> Arc<Self> {
        Self::with_room(PER_SOURCE, IN_ALL)
    }

    /// A room of another size.
    pub fn with_room(per_source: usize, in_all: usize) -> Arc<Self> {
        Arc::new(Self { per_source, in_all, room: Mutex::default() })
    }

    /// Lets a stranger in, and perhaps turns another one out.
    pub fn enter(self: &Arc<Self>, peer: IpAddr) -> Stranger {
        let source = source_of(peer);
        let turned_out = CancellationToken::new();
        let mut room = self.room.lock();
        let id = room.next;
        room.next += 1;
        room.count += 1;
        let queue = room.sources.entry(source).or_default();
        queue.push_back((id, turned_out.clone()));
        let crowded = if queue.len() > self.per_source {
            Some(source)
        } else if room.count > self.in_all {
            room.sources.iter().max_by_key(|(_, queue)| queue.len()).map(|(source, _)| *source)
        } else {
            None
        };
        if let Some(source) = crowded {
            room.turn_out_oldest(source);
        }
        drop(room);
        Stranger { gate: Arc::clone(self), source, id, turned_out }
    }

    /// How many strangers there are.
    pub fn count(&self) -> usize {
        self.room.lock().count
    }
}

impl Room {
    fn turn_out_oldest(&mut self, source: IpAddr) {
        let Some(queue) = self.sources.get_mut(&source) else { return };
        if let Some((_, token)) = queue.pop_front() {
            token.cancel();
            self.count -= 1;
        }
        if queue.is_empty() {
            self.sources.remove(&source);
        }
    }

    fn leave(&mut self, source: IpAddr, id: u64) {
        let Some(queue) = self.sources.get_mut(&source) else { return };
        // Ids grow along the queue.
        if let Ok(at) = queue.binary_search_by_key(&id, |(id, _)| *id) {
            queue.remove(at);
            self.count -= 1;
        }
        if queue.is_empty() {
            self.sources.remove(&source);
        }
    }
}

/// One stranger. Dropping it — because they proved themselves, or left — frees the place.
#[derive(Debug)]
pub struct Stranger {
    gate: Arc<Gate>,
    source: IpAddr,
    id: u64,
    turned_out: CancellationToken,
}

impl Stranger {
    /// Ends when the stranger is to be turned out: the room is full, or the time is up.
    pub async fn turned_out(&self) -> TurnedOut {
        tokio::select! {
            () = self.turned_out.cancelled() => TurnedOut::Crowded,
            () = tokio::time::sleep(GRACE) => TurnedOut::TooSlow,
        }
    }
}

/// Why a stranger is turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedOut {
    /// Others came.
    Crowded,
    /// They took longer than [`GRACE`].
    TooSlow,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.gate.room.lock().leave(self.source, self.id);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_oldest_of_a_crowded_source_goes() {
        let gate = Gate::with_room(2, 100);
        let strangers: Vec<_> = (0..3).map(|_| gate.enter(ip("10.0.0.1"))).collect();
        let out: Vec<_> = strangers.iter().map(|stranger| stranger.turned_out.is_cancelled()).collect();
        assert_eq!(out, [true, false, false]);
        assert_eq!(gate.count(), 2);
    }

    #[test]
    fn a_crowd_does_not_shut_others_out() {
        let gate = Gate::with_room(100, 10);
        let crowd: Vec<_> = (0..50).map(|_| gate.enter(ip("10.0.0.1"))).collect();
        let honest = gate.enter(ip("10.0.0.2"));
        let more: Vec<_> = (0..50).map(|_| gate.enter(ip("10.0.0.1"))).collect();
        assert!(!honest.turned_out.is_cancelled());
        assert_eq!(gate.count(), 10);
        drop((crowd, more, honest));
        assert_eq!(gate.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn time_runs_out() {
        let gate = Gate::new();
        assert_eq!(gate.enter(ip("10.0.0.1")).turned_out().await, TurnedOut::TooSlow);
    }

    #[test]
    fn a_block_of_ipv6_is_one_source() {
        assert_eq!(source_of(ip("2001:db8::1")), source_of(ip("2001:db8::2")));
        assert_ne!(source_of(ip("2001:db8:0:1::1")), source_of(ip("2001:db8::1")));
        assert_eq!(source_of(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
    }

    proptest! {
        #[test]
        fn the_count_is_always_that_of_the_queues(moves in prop::collection::vec((0u8..4, any::<bool>()), 0..300)) {
            let gate = Gate::with_room(5, 12);
            let mut inside = Vec::new();
            for (source, enter) in moves {
                if enter {
                    inside.push(gate.enter(IpAddr::from([10, 0, 0, source])));
                } else if !inside.is_empty() {
                    inside.remove(usize::from(source) % inside.len());
                }
                let room = gate.room.lock();
                let queued: usize = room.sources.values().map(VecDeque::len).sum();
                prop_assert!(room.count == queued && room.count <= 12);
            }
        }
    }
}
