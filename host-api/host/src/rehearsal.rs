//! What stands in for the outside world while a plugin is tried out or tested: a clock that stands still,
//! things kept from call to call that are forgotten, answers that were recorded.
//!
//! The plugin goes through the same gate and runs under the same limits as in the daemon, and what it
//! asks for is held against the grants first: only what would then happen outside is replaced. The daemon
//! never sets this; `teleport plugin run` and `teleport plugin test` do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::Timestamp;
use domain::secret::Secret;
use port::clock::Clock;
use wasmtime_wasi::HostWallClock;

/// A stage for a plugin. The default changes nothing but that `outside` is asked and told.
#[derive(Clone)]
pub struct Rehearsal {
    /// The time of day for the plugin; the machine's when there is none. Time that passes between two readings
    /// is measured as ever.
    pub time: Option<StageTime>,
    /// What the plugin finds kept. Nothing is read from the disk or written to it.
    pub kept: Option<BTreeMap<String, Vec<u8>>>,
    /// What stands in for other machines and programs, and hears what is logged.
    pub outside: Arc<dyn Outside>,
}

/// The time of day on a stage.
#[derive(Debug, Clone)]
pub enum StageTime {
    /// It stands still at this time since 1970, and random numbers repeat: the same call gives the same answer.
    Still(Duration),
    /// It stands still until somebody moves it.
    Moved(StageClock),
}

/// A time of day that stands still until it is moved. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct StageClock(Arc<AtomicU64>);

impl StageClock {
    /// Stands at this time since 1970, in whole microseconds.
    pub fn new(time: Duration) -> Self {
        Self(Arc::new(AtomicU64::new(micros(time))))
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(micros(by), Ordering::SeqCst);
    }
}

impl Clock for StageClock {
    fn now(&self) -> Timestamp {
        let micros = i64::try_from(self.0.load(Ordering::SeqCst)).unwrap_or(i64::MAX);
        Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
    }
}

impl HostWallClock for StageClock {
    fn resolution(&self) -> Duration {
        Duration::from_micros(1)
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::SeqCst))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Other machines, programs, and whoever reads the log. Called on the plugins' own thread: returns at once.
pub trait Outside: Send + Sync {
    /// The answer to a request the plugin was allowed to send.
    fn answer(&self, sent: &Sent<'_>) -> HttpStand {
        let _ = sent;
        HttpStand::Live
    }

    /// Whether answers of other machines are to be heard whole, in [`heard`](Self::heard), before the plugin gets
    /// them.
    fn listens(&self) -> bool {
        false
    }

    /// An answer of another machine.
    fn heard(&self, sent: &Sent<'_>, answer: &HttpAnswer) {
        let _ = (sent, answer);
    }

    /// How a program ended that the plugin was allowed to run.
    fn run(&self, argv: &[String]) -> ProcessStand {
        let _ = argv;
        ProcessStand::Live
    }

    /// A line in the log: its level in lower case, and its text.
    fn line(&self, level: &'static str, text: &str) {
        let _ = (level, text);
    }
}

/// A request as it goes out, with stand-ins in place of secrets.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// `GET` and the like.
    pub method: &'a str,
    /// Where to, in full.
    pub url: &'a str,
    /// What with.
    pub body: &'a [u8],
    /// Values of headers as they were really sent, where they hold what is nobody's to read: secrets in place of their
    /// stand-ins, signatures, and whatever is there to prove who asks. Nothing before the request has been sent.
    pub attached: &'a [Secret],
}

/// What comes of a request.
#[derive(Debug, Clone)]
pub enum HttpStand {
    /// It is really sent.
    Live,
    /// This answer.
    Answer(HttpAnswer),
    /// Nothing answers.
    Fault(HttpFault),
}

/// An answer of another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Its status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

/// Why nothing answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpFault {
    /// Nobody listens there.
    Refused,
    /// It takes too long.
    TimedOut,
    /// The name has no address.
    NoAddress,
    /// Nobody said what is to come of it.
    Unforeseen,
}

/// What comes of a program.
#[derive(Debug, Clone)]
pub enum ProcessStand {
    /// It is really run.
    Live,
    /// It ended by itself.
    Ended {
        /// Its exit code.
        exit: u32,
        /// Its standard output.
        stdout: Vec<u8>,
        /// Its standard error.
        stderr: Vec<u8>,
    },
    /// It did not end by itself.
    Fault(ProcessFault),
}

/// Why a program did not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessFault {
    /// There is none of this name.
    NotFound,
    /// It takes too long.
    TimedOut,
    /// The machine cannot start it now, or nobody said what is to come of it.
    Unavailable,
}
