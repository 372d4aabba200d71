//! A store that breaks when told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use port::store::{Item, Key, Page, Prefix, Revision, Store, StoreError, Transaction, Watch};
use tokio::sync::{mpsc, watch};

use crate::fault::Fault;

/// Passes everything to the store it wraps, except where told otherwise.
///
/// Every switch counts calls of its own kind: reads are `get` and `range`, writes everything that
/// ends in `write`, watches `watch`.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    shared: Arc<Shared>,
}

struct Shared {
    reads: Faults,
    writes: Faults,
    watches: Faults,
    lost_answers: Fault<StoreError>,
    delay: Mutex<Duration>,
    cut: watch::Sender<Option<StoreError>>,
}

/// One kind of call: how many there were, and whether the next fails.
#[derive(Default)]
struct Faults {
    calls: AtomicUsize,
    fault: Fault<StoreError>,
}

impl Faults {
    fn check(&self) -> Result<(), StoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.fault.take().map_or(Ok(()), Err)
    }
}

impl FaultyStore {
    /// Wraps a store; nothing fails yet.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        let (cut, _) = watch::channel(None);
        let shared = Shared {
            reads: Faults::default(),
            writes: Faults::default(),
            watches: Faults::default(),
            lost_answers: Fault::default(),
            delay: Mutex::default(),
            cut,
        };
        Self { inner, shared: Arc::new(shared) }
    }

    /// The next `times` reads fail with `error`.
    pub fn fail_reads(&self, times: usize, error: StoreError) {
        self.shared.reads.fault.set(times, error);
    }

    /// The next `times` writes fail with `error` and change nothing.
    pub fn fail_writes(&self, times: usize, error: StoreError) {
        self.shared.writes.fault.set(times, error);
    }

    /// The next `times` writes happen, but the caller is told `error`: as when the connection to a
    /// store breaks between the commit and its answer.
    pub fn lose_answers(&self, times: usize, error: StoreError) {
        self.shared.lost_answers.set(times, error);
    }

    /// The next `times` watches fail to start with `error`.
    pub fn fail_watches(&self, times: usize, error: StoreError) {
        self.shared.watches.fault.set(times, error);
    }

    /// Ends every watch there is with `error`; later ones live.
    pub fn cut_watches(&self, error: StoreError) {
        self.shared.cut.send_replace(Some(error));
    }

    /// Every call takes this long from now on, by tokio's clock.
    pub fn delay(&self, delay: Duration) {
        *self.shared.delay.lock() = delay;
    }

    /// Everything works again, at once.
    pub fn recover(&self) {
        let shared = &self.shared;
        for fault in [&shared.reads.fault, &shared.writes.fault, &shared.watches.fault, &shared.lost_answers]
        {
            fault.clear();
        }
        self.delay(Duration::ZERO);
    }

    /// How many reads there were.
    pub fn reads(&self) -> usize {
        self.shared.reads.calls.load(Ordering::SeqCst)
    }

    /// How many writes there were, failed ones included.
    pub fn writes(&self) -> usize {
        self.shared.writes.calls.load(Ordering::SeqCst)
    }

    /// How many watches were asked for.
    pub fn watches(&self) -> usize {
        self.shared.watches.calls.load(Ordering::SeqCst)
    }

    async fn wait(&self) {
        let delay = *self.shared.delay.lock();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.wait().await;
        self.shared.reads.check()?;
        self.inner.get(key).await
    }

    async fn range(&self, prefix: &Prefix, from: Option<&Key>, limit: usize) -> Result<Page, StoreError> {
        self.wait().await;
        self.shared.reads.check()?;
        self.inner.range(prefix, from, limit).await
    }

    async fn write(&self, transaction: Transaction) -> Result<Revision, StoreError> {
        self.wait().await;
        self.shared.writes.check()?;
        let revision = self.inner.write(transaction).await?;
        self.shared.lost_answers.take().map_or(Ok(revision), Err)
    }

    async fn watch(&self, prefix: Prefix, from: Option<Revision>) -> Result<Watch, StoreError> {
        self.wait().await;
        self.shared.watches.check()?;
        let inner = self.inner.watch(prefix, from).await?;
        let mut cut = self.shared.cut.subscribe();
        cut.mark_unchanged();
        // One place: a watcher that does not read is behind in the wrapped store, which counts.
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(forward(inner, cut, sender));
        Ok(Watch::new(receiver))
    }
}

/// Hands changes on until either end stops or the watch is cut.
async fn forward(
    mut inner: Watch,
    mut cut: watch::Receiver<Option<StoreError>>,
    sender: mpsc::Sender<Result<port::store::WatchEvent, StoreError>>,
) {
    loop {
        let event = tokio::select! {
            biased;
            changed = cut.changed() => {
                let error = cut.borrow_and_update().clone();
                if let (Ok(()), Some(error)) = (changed, error) {
                    // A watcher that is gone needs no last word.
                    let _ = sender.send(Err(error)).await;
                }
                return;
            }
            () = sender.closed() => return,
            event = inner.next() => event,
        };
        let Some(event) = event else { return };
        if sender.send(event).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use port::store::{Change, WatchEvent};

    use super::*;

    /// Counts writes; has one watcher at a time.
    #[derive(Default)]
    struct Counter {
        writes: AtomicUsize,
        watcher: Mutex<Option<mpsc::Sender<Result<WatchEvent, StoreError>>>>,
    }

    #[async_trait]
    impl Store for Counter {
        async fn get(&self, _: &Key) -> Result<Option<Item>, StoreError> {
            Ok(None)
        }

        async fn range(&self, _: &Prefix, _: Option<&Key>, _: usize) -> Result<Page, StoreError> {
            Ok(Page { items: Vec::new(), next: None, revision: Revision(0) })
        }

        async fn write(&self, _: Transaction) -> Result<Revision, StoreError> {
            let revision = Revision(self.writes.fetch_add(1, Ordering::SeqCst) as u64 + 1);
            if let Some(watcher) = &*self.watcher.lock() {
                watcher.try_send(Ok(WatchEvent { revision, change: Change::Delete(key()) })).unwrap();
            }
            Ok(revision)
        }

        async fn watch(&self, _: Prefix, _: Option<Revision>) -> Result<Watch, StoreError> {
            let (sender, receiver) = mpsc::channel(8);
            *self.watcher.lock() = Some(sender);
            Ok(Watch::new(receiver))
        }
    }

    fn key() -> Key {
        Key::of(&["a", "b"])
    }

    fn broken() -> StoreError {
        StoreError::Unavailable("told to fail".to_owned())
    }

    fn faulty() -> (Arc<Counter>, FaultyStore) {
        let inner = Arc::new(Counter::default());
        (inner.clone(), FaultyStore::new(inner))
    }

    #[tokio::test]
    async fn writes_fail_as_often_as_told_and_change_nothing() {
        let (inner, store) = faulty();
        store.fail_writes(2, broken());
        assert_eq!(store.put(key(), Bytes::new(), None).await, Err(broken()));
        assert_eq!(store.delete(key()).await, Err(broken()));
        assert!(store.get(&key()).await.is_ok(), "reads are another kind");
        assert_eq!(inner.writes.load(Ordering::SeqCst), 0);
        assert_eq!(store.put(key(), Bytes::new(), None).await, Ok(Revision(1)));
        assert_eq!((store.writes(), store.reads()), (3, 1));
    }

    #[tokio::test]
    async fn a_lost_answer_is_a_write_that_happened() {
        let (inner, store) = faulty();
        store.lose_answers(1, broken());
        assert_eq!(store.put(key(), Bytes::new(), None).await, Err(broken()));
        assert_eq!(inner.writes.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn reads_and_watches_fail_until_recovery() {
        let (_, store) = faulty();
        store.fail_reads(usize::MAX, broken());
        store.fail_watches(usize::MAX, broken());
        assert_eq!(store.get(&key()).await, Err(broken()));
        assert!(store.range(&Prefix::all(), None, 1).await.is_err());
        assert!(store.watch(Prefix::all(), None).await.is_err());
        store.recover();
        assert!(store.get(&key()).await.is_ok() && store.watch(Prefix::all(), None).await.is_ok());
        assert_eq!(store.watches(), 2);
    }

    #[tokio::test]
    async fn a_cut_ends_the_watches_there_are_and_no_later_one() {
        let (_, store) = faulty();
        let mut first = store.watch(Prefix::all(), None).await.unwrap();
        store.put(key(), Bytes::new(), None).await.unwrap();
        assert!(first.next().await.unwrap().is_ok());
        store.cut_watches(StoreError::Compacted(Revision(1)));
        assert_eq!(first.next().await, Some(Err(StoreError::Compacted(Revision(1)))));
        assert_eq!(first.next().await, None);
        let mut second = store.watch(Prefix::all(), None).await.unwrap();
        store.put(key(), Bytes::new(), None).await.unwrap();
        assert!(second.next().await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn calls_take_as_long_as_told() {
        let (_, store) = faulty();
        store.delay(Duration::from_secs(5));
        let began = tokio::time::Instant::now();
        store.get(&key()).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 5);
    }
}
