//! When a commit begins: at once for a lone caller, and a moment later for many, so that all of them
//! share it.
//!
//! Callers that have just been answered mostly write again. Beginning with the first of them would
//! commit it alone, and the rest together in a second commit: twice the flushes for the same writes.
//! So the writer expects as many as it has just answered and as were waiting meanwhile, and gives
//! them a part of the time a commit takes. Who does not come costs the others that part, once: the
//! next time fewer are expected.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::Instant;

/// The longest wait, however slow the disk.
const WAIT_MAX: Duration = Duration::from_millis(2);

/// What the last commit says about the next one.
#[derive(Debug, Default)]
pub(super) struct Pace {
    expected: usize,
    took: Duration,
}

impl Pace {
    /// Notes a commit: how many it was for, how many were waiting when it ended, and how long it took.
    pub(super) fn note(&mut self, committed: usize, waiting: usize, took: Duration) {
        (self.expected, self.took) = (committed + waiting, took);
    }

    /// Adds to `commands` what comes soon, up to as many as are expected or `most`.
    pub(super) fn gather<T>(&self, queue: &mut mpsc::Receiver<T>, commands: &mut Vec<T>, most: usize) {
        let wanted = self.expected.min(most);
        if commands.len() >= wanted {
            return;
        }
        // Half a commit in all, and an eighth without anyone coming: there is nobody then.
        let (all, quiet) = ((self.took / 2).min(WAIT_MAX), (self.took / 8).min(WAIT_MAX / 4));
        let began = Instant::now();
        let mut last = began;
        while commands.len() < wanted {
            match queue.try_recv() {
                Ok(command) => {
                    commands.push(command);
                    last = Instant::now();
                }
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    let now = Instant::now();
                    if now - began > all || now - last > quiet {
                        return;
                    }
                    // A sleep would last longer than the whole wait on a fast disk; this leaves the
                    // processor to the callers.
                    std::thread::yield_now();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(pace: &Pace, waiting: usize) -> usize {
        let (sender, mut queue) = mpsc::channel(300);
        (0..waiting).for_each(|number| sender.try_send(number).unwrap());
        let mut commands = vec![queue.try_recv().unwrap()];
        pace.gather(&mut queue, &mut commands, 256);
        commands.len()
    }

    fn after(committed: usize, waiting: usize, took: Duration) -> Pace {
        let mut pace = Pace::default();
        pace.note(committed, waiting, took);
        pace
    }

    #[test]
    fn a_lone_caller_waits_for_nobody() {
        assert_eq!(gathered(&Pace::default(), 1), 1);
        // Were it to wait, it would find the second.
        assert_eq!(gathered(&after(1, 0, Duration::MAX), 2), 1);
    }

    #[test]
    fn takes_those_that_are_expected_and_no_more_than_fit() {
        assert_eq!(gathered(&after(3, 2, Duration::MAX), 10), 5);
        assert_eq!(gathered(&after(300, 0, Duration::MAX), 300), 256);
    }

    #[test]
    fn waits_for_those_on_their_way_and_gives_up_on_those_that_are_not() {
        let (sender, mut queue) = mpsc::channel(8);
        let mut commands = vec![0];
        let coming = std::thread::spawn(move || {
            sender.blocking_send(1).unwrap();
            sender
        });
        // An hour of commit: what bounds the wait is the longest there is.
        let pace = after(3, 0, Duration::from_secs(3600));
        while commands.len() < 2 {
            pace.gather(&mut queue, &mut commands, 256);
        }
        assert_eq!(commands, [0, 1], "the third never comes");
        drop(coming.join());
    }
}
