//! Random sequences of calls, on both stores and on a model of a few lines: all three must agree.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::Timestamp;
use fake::FakeClock;
use port::clock::Clock;
use port::store::{
    Change, Condition, Item, Key, Operation, Prefix, Revision, Store, StoreError, Transaction,
};
use proptest::prelude::*;
use teleport_storage::{MemoryStore, Settings, SqliteStore};

/// The store in a few lines: what is there, without history, watchers or disk.
#[derive(Default)]
struct Model {
    items: BTreeMap<Key, Item>,
    revision: Revision,
}

impl Model {
    fn live(&self, key: &Key, now: Timestamp) -> Option<&Item> {
        self.items.get(key).filter(|item| item.expires.is_none_or(|expires| expires > now))
    }

    fn holds(&self, condition: &Condition, now: Timestamp) -> bool {
        let found = self.live(condition.key(), now);
        match condition {
            Condition::Absent(_) => found.is_none(),
            Condition::Present(_) => found.is_some(),
            Condition::Unchanged(_, revision) => found.is_some_and(|item| item.revision == *revision),
        }
    }

    /// The first condition that does not hold.
    fn broken(&self, transaction: &Transaction, now: Timestamp) -> Option<Key> {
        let broken = transaction.conditions.iter().find(|condition| !self.holds(condition, now));
        broken.map(|condition| condition.key().clone())
    }

    fn apply(&mut self, transaction: Transaction, revision: Revision) {
        self.revision = revision;
        for operation in transaction.operations {
            match operation {
                Operation::Put { key, value, expires } => {
                    self.items.insert(key.clone(), Item { key, value, revision, expires });
                }
                Operation::Delete(key) => drop(self.items.remove(&key)),
                Operation::DeleteRange(prefix) => self.items.retain(|key, _| !prefix.contains(key)),
            }
        }
    }

    fn list(&self, prefix: &Prefix, now: Timestamp) -> Vec<Item> {
        let live = self.items.keys().filter(|key| prefix.contains(key));
        live.filter_map(|key| self.live(key, now)).cloned().collect()
    }
}

/// One call, with the revision of a condition still to be filled in from the model.
#[derive(Debug, Clone)]
enum Step {
    Write(Vec<Wanted>, Vec<Operation>),
    Expiring(Key, u64),
    Get(Key),
    Range(Prefix, Option<Key>, usize),
    Pass(u64),
}

#[derive(Debug, Clone)]
enum Wanted {
    Absent(Key),
    Present(Key),
    /// As the item is now.
    Unchanged(Key),
    /// As some write before.
    Stale(Key, u64),
}

fn keys() -> impl Strategy<Value = Key> {
    let folder = prop::sample::select(vec!["a", "b", "b0"]);
    let name = prop::sample::select(vec!["x", "y", "z", ""]);
    (folder, name).prop_map(|(folder, name)| Key::of(&[folder, name]))
}

fn prefixes() -> impl Strategy<Value = Prefix> {
    let all = [Prefix::all(), Prefix::of(&["a"]), Prefix::of(&["b"]), Prefix::of(&["none"])];
    prop::sample::select(all.to_vec())
}

fn wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        1 => keys().prop_map(Wanted::Absent),
        1 => keys().prop_map(Wanted::Present),
        4 => keys().prop_map(Wanted::Unchanged),
        1 => (keys(), 0..30_u64).prop_map(|(key, back)| Wanted::Stale(key, back)),
    ]
}

fn operations() -> impl Strategy<Value = Operation> {
    let value = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        6 => (keys(), value).prop_map(|(key, value)| Operation::Put { key, value: value.into(), expires: None }),
        2 => keys().prop_map(Operation::Delete),
        1 => prefixes().prop_map(Operation::DeleteRange),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let conditions = prop::collection::vec(wanted(), 0..2);
    prop_oneof![
        6 => (conditions, prop::collection::vec(operations(), 0..5)).prop_map(|(c, o)| Step::Write(c, o)),
        2 => (keys(), 0..6_u64).prop_map(|(key, seconds)| Step::Expiring(key, seconds)),
        2 => keys().prop_map(Step::Get),
        2 => (prefixes(), prop::option::of(keys()), 1..5_usize).prop_map(|(p, f, l)| Step::Range(p, f, l)),
        1 => (1..4_u64).prop_map(Step::Pass),
    ]
}

/// One store beside the model.
struct Pair {
    store: Arc<dyn Store>,
    clock: FakeClock,
    model: Model,
}

impl Pair {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Write(wanted, operations) => {
                let conditions = wanted.into_iter().map(|wanted| self.condition(wanted)).collect();
                self.write(Transaction { conditions, operations }).await;
            }
            Step::Expiring(key, seconds) => {
                let expires = Some(self.clock.after(Duration::from_secs(seconds)));
                self.write(Transaction::default().put(key, Bytes::from_static(b"e"), expires)).await;
            }
            Step::Get(key) => {
                let expected = self.model.live(&key, self.clock.now()).cloned();
                assert_eq!(self.store.get(&key).await, Ok(expected));
            }
            Step::Range(prefix, from, limit) => self.range(&prefix, from, limit).await,
            Step::Pass(seconds) => {
                self.clock.advance(Duration::from_secs(seconds));
                // Time for the sweeper to run, or not: the outcome must not depend on it.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }

    fn condition(&self, wanted: Wanted) -> Condition {
        match wanted {
            Wanted::Absent(key) => Condition::Absent(key),
            Wanted::Present(key) => Condition::Present(key),
            Wanted::Unchanged(key) => {
                let revision = self.model.items.get(&key).map_or(Revision(0), |item| item.revision);
                Condition::Unchanged(key, revision)
            }
            Wanted::Stale(key, back) => {
                Condition::Unchanged(key, Revision(self.model.revision.0.saturating_sub(back)))
            }
        }
    }

    async fn write(&mut self, transaction: Transaction) {
        let broken = self.model.broken(&transaction, self.clock.now());
        match (self.store.write(transaction.clone()).await, broken) {
            (Ok(revision), None) => {
                assert!(revision > self.model.revision, "revisions rise");
                self.model.apply(transaction, revision);
            }
            (outcome, broken) => assert_eq!(outcome.err(), broken.map(StoreError::Conflict)),
        }
    }

    async fn range(&self, prefix: &Prefix, mut from: Option<Key>, limit: usize) {
        let mut expected = self.model.list(prefix, self.clock.now());
        expected.retain(|item| from.as_ref().is_none_or(|from| item.key >= *from));
        let mut listed = Vec::new();
        loop {
            let page = self.store.range(prefix, from.as_ref(), limit).await.unwrap();
            assert!(page.items.len() <= limit && page.revision >= self.model.revision);
            listed.extend(page.items);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        assert_eq!(listed, expected);
    }

    /// A copy kept by watching from the start must come out as the model.
    async fn check_watchers(&mut self) {
        let end = Key::of(&["end"]);
        self.write(Transaction::default().put(end.clone(), "end", None)).await;
        let (mut copy, mut last) = (BTreeMap::new(), Revision(0));
        let mut watch = self.store.watch(Prefix::all(), Some(Revision(0))).await.unwrap();
        while !copy.contains_key(&end) {
            let event = watch.next().await.unwrap().unwrap();
            assert!(event.revision >= last, "changes come in the order of revisions");
            last = event.revision;
            match event.change {
                Change::Put(item) => drop(copy.insert(item.key.clone(), item)),
                Change::Delete(key) => assert!(copy.remove(&key).is_some(), "only what is there goes"),
            }
        }
        let now = self.clock.now();
        copy.retain(|_, item| item.expires.is_none_or(|expires| expires > now));
        assert_eq!(copy.into_values().collect::<Vec<_>>(), self.model.list(&Prefix::all(), now));
    }
}

fn check<S: Store>(steps: Vec<Step>, open: impl AsyncFnOnce(Arc<dyn Clock>) -> S) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = FakeClock::new();
        let store = Arc::new(open(Arc::new(clock.clone())).await);
        let mut pair = Pair { store, clock, model: Model::default() };
        for step in steps {
            pair.step(step).await;
        }
        pair.check_watchers().await;
    });
}

/// Sweeps often, so that sweeping falls between the steps.
fn settings() -> Settings {
    Settings { sweep: Duration::from_millis(1), ..Settings::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn memory_does_as_the_model(steps in prop::collection::vec(steps(), 1..60)) {
        check(steps, async |clock| MemoryStore::with(clock, settings()));
    }
}

proptest! {
    // Every write waits for the disk, so fewer of them.
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn sqlite_does_as_the_model(steps in prop::collection::vec(steps(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        check(steps, async |clock| {
            SqliteStore::open_with(folder.path(), clock, settings()).await.unwrap()
        });
    }
}
