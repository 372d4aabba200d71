//! Which events were written lately, so that one delivered again is not written again.

use std::collections::{HashSet, VecDeque};

use uuid::Uuid;

/// The latest events, up to a number; the oldest is forgotten first.
#[derive(Debug)]
pub(super) struct Recent {
    most: usize,
    order: VecDeque<Uuid>,
    known: HashSet<Uuid>,
}

impl Recent {
    pub(super) fn new(most: usize) -> Self {
        Self { most, order: VecDeque::new(), known: HashSet::new() }
    }

    pub(super) fn contains(&self, uid: &Uuid) -> bool {
        self.known.contains(uid)
    }

    pub(super) fn remember(&mut self, uid: Uuid) {
        if !self.known.insert(uid) {
            return;
        }
        self.order.push_back(uid);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest_and_nothing_else() {
        let mut recent = Recent::new(3);
        for n in [1, 2, 2, 3, 4] {
            recent.remember(Uuid::from_u128(n));
        }
        let known: Vec<_> = (1..=4).filter(|n| recent.contains(&Uuid::from_u128(*n))).collect();
        assert_eq!(known, [2, 3, 4]);
    }
}
