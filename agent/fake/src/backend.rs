//! A storage backend that breaks, and lies, when told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use port::backend::{About, Backend, BackendPage, Batch, Tail};
use port::store::{Item, Key, Prefix, Revision, Store, StoreError, Transaction, VALUE_MAX};
use tokio::sync::watch;

use crate::backend::tail::FakeTail;
use crate::fault::Fault;

mod tail;

/// Changes an answer before it is given.
type Lie<T> = Mutex<Option<Box<dyn Fn(&mut T) + Send>>>;

/// The contract of storage backends over any store, one that keeps its promises until told otherwise.
///
/// Clones are the same backend.
#[derive(Clone)]
pub struct FakeBackend {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Arc<dyn Store>>,
    about: Mutex<About>,
    calls: Fault<StoreError>,
    tails: Fault<StoreError>,
    /// While set, no call answers.
    hang: watch::Sender<bool>,
    /// How often tails were told to break, and how.
    cut: watch::Sender<Option<StoreError>>,
    /// Acknowledges writes it does not do.
    forgets: AtomicBool,
    pages: Lie<BackendPage>,
    batches: Lie<Batch>,
    writes: Lie<Revision>,
    currents: Lie<Revision>,
    /// How far each living tail's caller has come back for more.
    positions: watch::Sender<BTreeMap<usize, Revision>>,
    /// How many revisions a writer may be ahead of them.
    lead: Mutex<Option<u64>>,
    opened: AtomicUsize,
    most: AtomicUsize,
}

impl FakeBackend {
    /// A backend over this store.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        let about = About { description: "a fake backend".to_owned(), value_max: VALUE_MAX };
        let shared = Shared {
            inner: Mutex::new(inner),
            about: Mutex::new(about),
            calls: Fault::default(),
            tails: Fault::default(),
            hang: watch::Sender::new(false),
            cut: watch::Sender::new(None),
            forgets: AtomicBool::new(false),
            pages: Mutex::default(),
            batches: Mutex::default(),
            writes: Mutex::default(),
            currents: Mutex::default(),
            positions: watch::Sender::new(BTreeMap::new()),
            lead: Mutex::new(None),
            opened: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What it says it is from now on.
    pub fn be(&self, about: About) {
        *self.shared.about.lock() = about;
    }

    /// The next `times` calls of any kind, but of tails, fail with `error` and change nothing.
    pub fn fail_calls(&self, times: usize, error: StoreError) {
        self.shared.calls.set(times, error);
    }

    /// The next `times` tails fail to begin, at their first question, with `error`.
    pub fn fail_tails(&self, times: usize, error: StoreError) {
        self.shared.tails.set(times, error);
    }

    /// Every tail there is fails with `error`; later ones live.
    pub fn cut_tails(&self, error: StoreError) {
        self.shared.cut.send_replace(Some(error));
    }

    /// While set, no call and no tail answers.
    pub fn hang(&self, hang: bool) {
        self.shared.hang.send_replace(hang);
    }

    /// While set, writes are acknowledged with a revision and not done.
    pub fn forget_writes(&self, forget: bool) {
        self.shared.forgets.store(forget, Ordering::SeqCst);
    }

    /// Moves the revision as the keys of other programs do: tails hear nothing of it.
    ///
    /// # Errors
    /// Those of the store below.
    pub async fn move_revision(&self, by: u64) -> Result<(), StoreError> {
        for _ in 0..by {
            self.inner().write(Transaction::default()).await?;
        }
        Ok(())
    }

    /// Keeps its records in another store from now on, as after a backup was restored. Tails there are
    /// find that their revision is none of this history.
    pub fn restore(&self, inner: Arc<dyn Store>) {
        *self.shared.inner.lock() = inner;
        self.cut_tails(StoreError::Compacted(Revision(0)));
    }

    /// Changes every page from now on.
    pub fn lie_in_pages(&self, lie: impl Fn(&mut BackendPage) + Send + 'static) {
        *self.shared.pages.lock() = Some(Box::new(lie));
    }

    /// Changes every batch from now on.
    pub fn lie_in_batches(&self, lie: impl Fn(&mut Batch) + Send + 'static) {
        *self.shared.batches.lock() = Some(Box::new(lie));
    }

    /// Changes the revision of every write from now on.
    pub fn lie_in_writes(&self, lie: impl Fn(&mut Revision) + Send + 'static) {
        *self.shared.writes.lock() = Some(Box::new(lie));
    }

    /// Changes what is said to be the revision from now on.
    pub fn lie_in_current(&self, lie: impl Fn(&mut Revision) + Send + 'static) {
        *self.shared.currents.lock() = Some(Box::new(lie));
    }

    /// Tells the truth from now on, and works.
    pub fn recover(&self) {
        let shared = &self.shared;
        shared.calls.clear();
        shared.tails.clear();
        self.hang(false);
        self.forget_writes(false);
        *shared.pages.lock() = None;
        *shared.batches.lock() = None;
        *shared.writes.lock() = None;
        *shared.currents.lock() = None;
    }

    /// Writers wait when they are so many revisions ahead of a tail, so that no tail falls behind, however
    /// busy the machine is.
    pub fn keep_tails_close(&self, revisions: u64) {
        *self.shared.lead.lock() = Some(revisions);
    }

    /// How many tails there are.
    pub fn tails(&self) -> usize {
        self.shared.positions.borrow().len()
    }

    /// How many tails there have been at one time, at most.
    pub fn most_tails(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }

    /// How many tails were ever begun.
    pub fn tails_begun(&self) -> usize {
        self.shared.opened.load(Ordering::SeqCst)
    }

    async fn answer(&self) -> Result<(), StoreError> {
        self.shared.unless_hanging().await;
        self.shared.calls.take().map_or(Ok(()), Err)
    }

    fn inner(&self) -> Arc<dyn Store> {
        Arc::clone(&self.shared.inner.lock())
    }

    async fn stored_revision(&self) -> Result<Revision, StoreError> {
        Ok(self.inner().range(&Prefix::all(), None, 0).await?.revision)
    }

    async fn let_tails_come_up(&self, revision: Revision) {
        let Some(lead) = *self.shared.lead.lock() else { return };
        let wanted = Revision(revision.0.saturating_sub(lead));
        let mut positions = self.shared.positions.subscribe();
        // The sender lives as long as this backend.
        let _ = positions.wait_for(|all| all.values().all(|position| *position >= wanted)).await;
    }
}

impl Shared {
    async fn unless_hanging(&self) {
        // The sender lives as long as this backend.
        let _ = self.hang.subscribe().wait_for(|hang| !hang).await;
    }
}

fn lied<T>(lie: &Lie<T>, mut truth: T) -> T {
    if let Some(lie) = &*lie.lock() {
        lie(&mut truth);
    }
    truth
}

#[async_trait]
impl Backend for FakeBackend {
    async fn open(&self) -> Result<About, StoreError> {
        self.answer().await?;
        Ok(self.shared.about.lock().clone())
    }

    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.answer().await?;
        self.inner().get(key).await
    }

    async fn range(
        &self,
        prefix: &Prefix,
        from: Option<&Key>,
        limit: u32,
    ) -> Result<BackendPage, StoreError> {
        self.answer().await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let page = self.inner().range(prefix, from, limit).await?;
        let revision = page.revision;
        let page = BackendPage { items: page.items, more: page.next.is_some(), revision };
        Ok(lied(&self.shared.pages, page))
    }

    async fn write(&self, transaction: &Transaction) -> Result<Revision, StoreError> {
        self.answer().await?;
        let transaction = if self.shared.forgets.load(Ordering::SeqCst) {
            Transaction { conditions: transaction.conditions.clone(), operations: Vec::new() }
        } else {
            transaction.clone()
        };
        let revision = self.inner().write(transaction).await?;
        self.let_tails_come_up(revision).await;
        Ok(lied(&self.shared.writes, revision))
    }

    async fn current(&self) -> Result<Revision, StoreError> {
        self.answer().await?;
        let revision = self.stored_revision().await?;
        Ok(lied(&self.shared.currents, revision))
    }

    async fn tail(&self, after: Revision) -> Result<Box<dyn Tail>, StoreError> {
        let number = self.shared.opened.fetch_add(1, Ordering::SeqCst);
        self.shared.positions.send_modify(|positions| {
            positions.insert(number, after);
            self.shared.most.fetch_max(positions.len(), Ordering::SeqCst);
        });
        Ok(Box::new(FakeTail::new(self.clone(), number, after)))
    }
}
