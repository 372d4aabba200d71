//! The clock that interrupts plugins: a thread of its own, so that no plugin can hold it up.
//!
//! It ticks only while calls are running: an idle daemon is not woken two hundred times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use wasmtime::EngineWeak;

/// How often a running plugin is interrupted: the longest slice it gets, and the grain of its limits.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// The thread needs almost nothing.
const STACK: usize = 64 * 1024;

/// Ticks an engine while calls are running.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    running: AtomicUsize,
    asleep: AtomicBool,
    stop: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Ticker {
    /// Starts the thread; it sleeps until the first call.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub(super) fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            running: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            lock: Mutex::new(()),
            wake: Condvar::new(),
        });
        let ticking = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("plugin-ticker".to_owned())
            .stack_size(STACK)
            .spawn(move || ticking.tick(&engine))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Keeps the clock going until the guard is dropped.
    pub(super) fn running(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            let _held = self.shared.lock.lock();
            self.shared.wake.notify_one();
        }
        Running(&self.shared)
    }
}

impl Shared {
    fn tick(&self, engine: &EngineWeak) {
        let mut held = self.lock.lock();
        while !self.stop.load(Ordering::SeqCst) {
            self.asleep.store(true, Ordering::SeqCst);
            // The order matters: a call first counts itself, then looks whether to wake this
            // thread; this thread first says that it sleeps, then looks at the count. One of the
            // two sees the other.
            if self.running.load(Ordering::SeqCst) == 0 {
                self.wake.wait(&mut held);
                continue;
            }
            self.asleep.store(false, Ordering::SeqCst);
            self.wake.wait_for(&mut held, TICK);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        {
            let _held = self.shared.lock.lock();
            self.shared.wake.notify_one();
        }
        if let Some(thread) = self.thread.take() {
            // It holds nothing that could make it panic or wait.
            let _ended = thread.join();
        }
    }
}

/// A running call.
pub(crate) struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}
