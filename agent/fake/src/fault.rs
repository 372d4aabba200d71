//! The switch the twins share: fail so many times, then work again.

use parking_lot::Mutex;

/// What to answer instead of working, and how often.
#[derive(Debug)]
pub(crate) struct Fault<E>(Mutex<Option<(usize, E)>>);

impl<E> Default for Fault<E> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<E: Clone> Fault<E> {
    /// The next `times` calls fail with `error`. Replaces what was set before.
    pub(crate) fn set(&self, times: usize, error: E) {
        *self.0.lock() = (times > 0).then_some((times, error));
    }

    /// Calls work again.
    pub(crate) fn clear(&self) {
        *self.0.lock() = None;
    }

    /// The error of this call, if it is to fail. Counts down.
    pub(crate) fn take(&self) -> Option<E> {
        let mut fault = self.0.lock();
        let (times, error) = fault.as_mut()?;
        let error = error.clone();
        *times = times.saturating_sub(1);
        if *times == 0 {
            *fault = None;
        }
        Some(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fails_as_often_as_told_and_then_works() {
        let fault = Fault::default();
        assert_eq!(fault.take(), None);
        fault.set(2, "broken");
        assert_eq!([fault.take(), fault.take(), fault.take()], [Some("broken"), Some("broken"), None]);
        fault.set(usize::MAX, "broken");
        assert_eq!(fault.take(), Some("broken"));
        fault.clear();
        assert_eq!(fault.take(), None);
    }
}
