//! Being told to stop: INT, TERM and HUP set a flag that every wait looks at. So whatever is told to
//! stop does so through the ordinary way out, and what was started is stopped on that way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::failure::{During, Failure};

/// How often waits look.
const LOOK: Duration = Duration::from_millis(40);

/// Whether this program was told to stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupts(Arc<AtomicBool>);

impl Interrupts {
    /// Takes the signals.
    pub(crate) fn take() -> Result<Self, Failure> {
        let interrupts = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupts.0)).during("cannot take signals")?;
        }
        Ok(interrupts)
    }

    /// Waits a moment.
    ///
    /// # Errors
    /// When told to stop.
    pub(crate) fn pause(&self) -> Result<(), Failure> {
        self.check()?;
        std::thread::sleep(LOOK);
        self.check()
    }

    /// Looks.
    ///
    /// # Errors
    /// When told to stop.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.0.load(Ordering::Relaxed) { Err(Failure::interrupted()) } else { Ok(()) }
    }

    /// Asks again and again until there is an answer, at most for `limit`. `None` when there was none.
    ///
    /// # Errors
    /// When told to stop, and those of the question.
    pub(crate) fn wait_for<T>(
        &self,
        limit: Duration,
        mut ask: impl FnMut() -> Result<Option<T>, Failure>,
    ) -> Result<Option<T>, Failure> {
        let started = Instant::now();
        loop {
            if let Some(answer) = ask()? {
                return Ok(Some(answer));
            }
            if started.elapsed() >= limit {
                return Ok(None);
            }
            self.pause()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_answer_with_its_limit_or_when_told() {
        let interrupts = Interrupts::default();
        let mut asked = 0;
        let third = interrupts.wait_for(Duration::from_secs(60), || {
            asked += 1;
            Ok((asked == 3).then_some("yes"))
        });
        assert_eq!(third.unwrap(), Some("yes"));
        assert!(interrupts.wait_for(Duration::ZERO, || Ok(None::<()>)).unwrap().is_none());
        interrupts.0.store(true, Ordering::Relaxed);
        let told = interrupts.wait_for(Duration::from_secs(60), || Ok(None::<()>));
        assert!(told.unwrap_err().is_interrupted());
    }
}
