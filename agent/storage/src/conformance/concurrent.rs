//! Many callers at once: what one is told holds for all.

use std::collections::BTreeSet;
use std::sync::Arc;

use port::store::{Condition, Item, Store, StoreError, Transaction};
use tokio::task::JoinSet;

use super::{Subject, bytes, key};

const CALLERS: usize = 8;
const ROUNDS: usize = 25;

fn number(item: &Item) -> i64 {
    std::str::from_utf8(&item.value).unwrap().parse().unwrap()
}

async fn read(store: &Arc<dyn Store>, name: &str) -> Item {
    store.get(&key(name)).await.unwrap().unwrap()
}

pub(super) async fn counters_lose_no_increment(subject: Subject) {
    subject.put("counter", "0").await;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let store = Arc::clone(&subject.store);
        callers.spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < ROUNDS {
                let item = read(&store, "counter").await;
                let next = bytes(&(number(&item) + 1).to_string());
                match store.compare_and_swap(key("counter"), item.revision, next, None).await {
                    Ok(revision) => seen.push((revision, number(&item) + 1)),
                    Err(StoreError::Conflict(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            seen
        });
    }
    let mut all: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    all.sort_unstable();
    // In the order of revisions every increment saw the one before it.
    let values: Vec<_> = all.iter().map(|(_, value)| *value).collect();
    let expected: Vec<_> = (1..=i64::try_from(CALLERS * ROUNDS).unwrap()).collect();
    assert_eq!(values, expected);
}

pub(super) async fn one_of_many_creates(subject: Subject) {
    for round in 0..ROUNDS {
        let name = format!("lock-{round}");
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (store, key) = (Arc::clone(&subject.store), key(&name));
            callers.spawn(async move {
                let value = bytes(&caller.to_string());
                store.create(key, value.clone(), None).await.is_ok().then_some(value)
            });
        }
        let winners: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1);
        assert_eq!(read(&subject.store, &name).await.value, winners[0]);
    }
}

pub(super) async fn transfers_keep_the_sum(subject: Subject) {
    let accounts = ["x", "y", "z"];
    for account in accounts {
        subject.put(account, "100").await;
    }
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let store = Arc::clone(&subject.store);
        callers.spawn(async move {
            let (from, to) = (accounts[caller % 3], accounts[(caller + 1) % 3]);
            for _ in 0..ROUNDS {
                let (a, b) = (read(&store, from).await, read(&store, to).await);
                let transfer = Transaction::default()
                    .when(Condition::Unchanged(a.key.clone(), a.revision))
                    .when(Condition::Unchanged(b.key.clone(), b.revision))
                    .put(a.key.clone(), (number(&a) - 1).to_string(), None)
                    .put(b.key.clone(), (number(&b) + 1).to_string(), None);
                match store.write(transfer).await {
                    Ok(_) | Err(StoreError::Conflict(_)) => {}
                    Err(error) => panic!("{error}"),
                }
                // One page is one moment: no transfer is seen half.
                let page = store.range(&super::below(), None, 10).await.unwrap();
                assert_eq!(page.items.iter().map(number).sum::<i64>(), 300);
            }
        });
    }
    callers.join_all().await;
}

pub(super) async fn a_write_is_seen_by_the_next_read(subject: Subject) {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (store, name) = (Arc::clone(&subject.store), format!("own-{caller}"));
        callers.spawn(async move {
            let mut revisions = BTreeSet::new();
            for round in 0..ROUNDS {
                let revision = store.put(key(&name), bytes(&round.to_string()), None).await.unwrap();
                assert!(
                    revisions.last().is_none_or(|last| *last < revision),
                    "they rise from write to write"
                );
                let item = read(&store, &name).await;
                assert_eq!((item.revision, item.value), (revision, bytes(&round.to_string())));
                let page = store.range(&super::below(), Some(&key(&name)), 1).await.unwrap();
                assert!(page.revision >= revision);
                revisions.insert(revision);
            }
            revisions
        });
    }
    let all: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    let distinct: BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), CALLERS * ROUNDS, "no two writes share a revision");
}
