//! Whether a backend does what it should, for whoever reports it.

use port::store::StoreError;
use tokio::sync::watch;

/// The last failure of each kind; none once it works again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteHealth {
    /// Of reads and writes. It stays until the next call succeeds.
    pub calls: Option<StoreError>,
    /// Of the tail: while it stays, watchers hear nothing new.
    pub tail: Option<StoreError>,
}

impl RemoteHealth {
    /// What to say of a store that is not well.
    pub fn failure(&self) -> Option<&StoreError> {
        self.calls.as_ref().or(self.tail.as_ref())
    }
}

/// The telling end.
#[derive(Debug)]
pub(super) struct Pulse(watch::Sender<RemoteHealth>);

impl Pulse {
    /// All is well.
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(RemoteHealth::default()))
    }

    /// For whoever listens.
    pub(super) fn subscribe(&self) -> watch::Receiver<RemoteHealth> {
        self.0.subscribe()
    }

    /// How a read or write went. Being refused for a good reason is being served.
    pub(super) fn called<T>(&self, outcome: &Result<T, StoreError>) {
        let failure = outcome.as_ref().err().filter(|error| is_failure(error)).cloned();
        self.set(|health| &mut health.calls, failure);
    }

    /// How the tail goes. True when that is news.
    pub(super) fn tail(&self, failure: Option<StoreError>) -> bool {
        self.set(|health| &mut health.tail, failure)
    }

    fn set(
        &self,
        field: impl Fn(&mut RemoteHealth) -> &mut Option<StoreError>,
        failure: Option<StoreError>,
    ) -> bool {
        self.0.send_if_modified(|health| {
            let field = field(health);
            let news = *field != failure;
            *field = failure;
            news
        })
    }
}

fn is_failure(error: &StoreError) -> bool {
    match error {
        StoreError::Unavailable(_) | StoreError::Refused(_) | StoreError::Corrupt(_) => true,
        StoreError::Conflict(_) | StoreError::TooLarge { .. } | StoreError::Compacted(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use port::store::Key;

    use super::*;

    #[test]
    fn the_last_failure_stays_until_something_succeeds() {
        let pulse = Pulse::new();
        let health = pulse.subscribe();
        let broken = StoreError::Unavailable("broken".to_owned());
        pulse.called::<()>(&Err(broken.clone()));
        assert_eq!(health.borrow().failure(), Some(&broken));
        assert!(pulse.tail(Some(broken.clone())));
        assert!(!pulse.tail(Some(broken.clone())), "no news");
        pulse.called::<()>(&Err(StoreError::Conflict(Key::of(&["a"]))));
        assert_eq!(*health.borrow(), RemoteHealth { calls: None, tail: Some(broken) });
        pulse.tail(None);
        assert_eq!(health.borrow().failure(), None);
    }
}
