use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::place::TURNS;
use super::*;

/// Answers a number with itself, once it is let; keeps what it was asked in each call.
struct Echo<const SHARED: bool> {
    gathers: AtomicBool,
    /// One for each call that may answer.
    let_go: Semaphore,
    calls: Mutex<Vec<Vec<u64>>>,
    /// What several are answered with instead, once.
    failure: Mutex<Option<Apart>>,
    /// How many of several are answered.
    room: Mutex<usize>,
}

#[derive(Clone)]
struct Number<const SHARED: bool> {
    key: Key,
    number: u64,
    bytes: usize,
}

impl<const SHARED: bool> Question for Number<SHARED> {
    const SHARED: bool = SHARED;

    fn key(&self) -> &Key {
        &self.key
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl<const SHARED: bool> Kind for Arc<Echo<SHARED>> {
    type Question = Number<SHARED>;
    type Answer = u64;

    fn gathers(&self) -> bool {
        self.gathers.load(Ordering::SeqCst)
    }

    fn waiting_max(&self) -> usize {
        usize::MAX
    }

    async fn alone(&self, question: Number<SHARED>) -> Result<u64, StoreError> {
        self.calls.lock().push(vec![question.number]);
        self.let_go.acquire().await.unwrap().forget();
        Ok(question.number)
    }

    async fn together(&self, questions: Vec<Number<SHARED>>) -> Result<Vec<u64>, Apart> {
        self.calls.lock().push(questions.iter().map(|question| question.number).collect());
        self.let_go.acquire().await.unwrap().forget();
        if let Some(failure) = self.failure.lock().take() {
            return Err(failure);
        }
        let room = *self.room.lock();
        Ok(questions.iter().map(|question| question.number).take(room).collect())
    }
}

struct Bed<const SHARED: bool> {
    echo: Arc<Echo<SHARED>>,
    gathering: Arc<Gathering<Arc<Echo<SHARED>>>>,
}

type Asking = JoinHandle<Result<u64, StoreError>>;

impl Bed<false> {
    fn new() -> Self {
        Self::of_kind()
    }
}

impl<const SHARED: bool> Bed<SHARED> {
    fn of_kind() -> Self {
        let echo = Arc::new(Echo {
            gathers: AtomicBool::new(true),
            let_go: Semaphore::new(0),
            calls: Mutex::default(),
            failure: Mutex::default(),
            room: Mutex::new(usize::MAX),
        });
        Self { gathering: Gathering::new(Arc::clone(&echo)), echo }
    }

    /// Asks, and comes back once the question has gone or waits.
    async fn ask(&self, key: &str, number: u64, bytes: usize) -> Asking {
        let gathering = Arc::clone(&self.gathering);
        let question = Number { key: Key::of(&[key]), number, bytes };
        let asking = tokio::spawn(async move { gathering.ask(question).await });
        settle().await;
        asking
    }

    /// A question that is under way.
    async fn fill(&self) -> Asking {
        self.ask("first", 0, 0).await
    }

    /// Lets so many calls answer.
    async fn let_go(&self, calls: usize) {
        self.echo.let_go.add_permits(calls);
        settle().await;
    }

    fn calls(&self) -> Vec<Vec<u64>> {
        self.echo.calls.lock().clone()
    }

    /// What came after the first question.
    fn later(&self) -> Vec<Vec<u64>> {
        self.calls().split_off(1)
    }

    fn under_way(&self) -> usize {
        self.gathering.state.lock().under_way.iter().flatten().count()
    }
}

/// Everything that can go on without time has gone on.
async fn settle() {
    for _ in 0..4 * TURNS {
        tokio::task::yield_now().await;
    }
}

async fn numbers(asking: Vec<Asking>) -> Vec<u64> {
    let mut answers = Vec::new();
    for asking in asking {
        answers.push(asking.await.unwrap().unwrap());
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn who_comes_alone_waits_for_nobody_and_those_who_must_wait_go_together() {
    let bed = Bed::new();
    let first = bed.fill().await;
    assert_eq!(bed.calls(), [[0]], "at once");
    let mut waiting = Vec::new();
    for number in 10..15 {
        waiting.push(bed.ask(&number.to_string(), number, 0).await);
    }
    assert_eq!(bed.later().len(), 0);
    bed.let_go(1).await;
    assert_eq!(bed.later(), [[10, 11, 12, 13, 14]], "the place that was left is theirs");
    bed.let_go(1).await;
    assert_eq!(first.await.unwrap(), Ok(0));
    assert_eq!(numbers(waiting).await, [10, 11, 12, 13, 14]);
    assert_eq!(bed.under_way(), 0);
    bed.ask("free", 20, 0).await;
    assert_eq!(bed.later().last(), Some(&vec![20]));
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_again_when_they_are_answered_go_together_again() {
    let bed = Bed::new();
    let first = bed.fill().await;
    let asks_thrice = |number: u64| {
        let gathering = Arc::clone(&bed.gathering);
        tokio::spawn(async move {
            for _ in 0..3 {
                let question = Number { key: Key::of(&[&number.to_string()]), number, bytes: 0 };
                assert_eq!(gathering.ask(question).await, Ok(number));
            }
        })
    };
    let asking: Vec<_> = (1..=8).map(asks_thrice).collect();
    settle().await;
    bed.let_go(4).await;
    assert_eq!(first.await.unwrap(), Ok(0));
    for asking in asking {
        asking.await.unwrap();
    }
    assert_eq!(bed.later().iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 8]);
    assert_eq!(bed.under_way(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_long_does_not_hold_up_the_others() {
    let bed = Bed::new();
    bed.fill().await;
    bed.ask("waits", 10, 0).await;
    tokio::time::sleep(SLOW - Duration::from_millis(1)).await;
    assert_eq!(bed.later().len(), 0);
    tokio::time::sleep(Duration::from_millis(2)).await;
    settle().await;
    assert_eq!(bed.later(), [[10]], "it has a place of its own");
    bed.ask("waits for that one", 11, 0).await;
    assert_eq!(bed.later().len(), 1);
    for number in 12..20 {
        tokio::time::sleep(SLOW + Duration::from_millis(1)).await;
        bed.ask(&number.to_string(), number, 0).await;
    }
    assert_eq!(bed.later(), [[10], [11]], "there are no more places");
    bed.let_go(PLACES + 1).await;
    assert_eq!(bed.later().concat(), (10..20).collect::<Vec<_>>());
    assert_eq!(bed.under_way(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_those_who_wait() {
    let bed = Bed::new();
    bed.fill().await;
    tokio::time::sleep(SLOW / 2).await;
    bed.ask("waits", 10, 0).await;
    tokio::time::sleep(SLOW * 3 / 4).await;
    assert_eq!(bed.later().len(), 0, "it has not looked yet");
    bed.ask("comes later", 11, 0).await;
    assert_eq!(bed.later(), [[10, 11]]);
}

#[tokio::test(start_paused = true)]
async fn a_call_after_a_slow_one_is_not_taken_for_slow() {
    let bed = Bed::new();
    bed.fill().await;
    bed.ask("waits", 10, 0).await;
    tokio::time::sleep(SLOW / 2).await;
    bed.let_go(1).await;
    tokio::time::sleep(SLOW * 3 / 4).await;
    bed.ask("waits too", 11, 0).await;
    assert_eq!(bed.later(), [[10]]);
    bed.let_go(1).await;
    assert_eq!(bed.later(), [[10], [11]]);
}

#[tokio::test(start_paused = true)]
async fn a_group_has_no_key_twice_and_is_bounded_in_number_and_bytes() {
    let bed = Bed::new();
    let _first = bed.fill().await;
    let mut waiting = vec![bed.ask("a", 1, 0).await, bed.ask("a", 2, 0).await];
    waiting.push(bed.ask("large", 3, BYTES_MAX).await);
    waiting.push(bed.ask("not with it", 4, 1).await);
    waiting.push(bed.ask("b", 5, 0).await);
    bed.let_go(1).await;
    assert_eq!(bed.later(), [[1, 3, 5]]);
    bed.let_go(2).await;
    assert_eq!(bed.later(), [vec![1, 3, 5], vec![2, 4]]);
    assert_eq!(numbers(waiting).await, [1, 2, 3, 4, 5]);

    let bed = Bed::new();
    let _first = bed.fill().await;
    for number in 0..GROUP_MAX as u64 + 2 {
        bed.ask(&number.to_string(), number, 0).await;
    }
    bed.let_go(2).await;
    assert_eq!(bed.later().iter().map(Vec::len).collect::<Vec<_>>(), [GROUP_MAX, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_had_no_room_in_an_answer_is_asked_again_first() {
    let bed = Bed::new();
    *bed.echo.room.lock() = 2;
    let _first = bed.fill().await;
    let mut waiting = Vec::new();
    for number in 10..15 {
        waiting.push(bed.ask(&number.to_string(), number, 0).await);
    }
    bed.let_go(4).await;
    assert_eq!(numbers(waiting).await, [10, 11, 12, 13, 14]);
    assert_eq!(bed.later(), [vec![10, 11, 12, 13, 14], vec![12, 13, 14], vec![14]]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_everybodys_but_what_only_fails_together_is_asked_alone() {
    let bed = Bed::new();
    let _first = bed.fill().await;
    let gone = StoreError::Unavailable("gone".to_owned());
    *bed.echo.failure.lock() = Some(Apart::Failed(gone.clone()));
    let waiting = [bed.ask("a", 10, 0).await, bed.ask("b", 11, 0).await];
    bed.let_go(2).await;
    for asking in waiting {
        assert_eq!(asking.await.unwrap(), Err(gone.clone()));
    }

    let bed = Bed::new();
    let _first = bed.fill().await;
    *bed.echo.failure.lock() = Some(Apart::AskEach);
    let waiting = vec![bed.ask("a", 10, 0).await, bed.ask("b", 11, 0).await];
    bed.let_go(4).await;
    assert_eq!(numbers(waiting).await, [10, 11]);
    assert_eq!(bed.later(), [vec![10, 11], vec![10], vec![11]]);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_takes_nobody_along_and_is_not_asked_for() {
    let bed = Bed::new();
    let first = bed.fill().await;
    let (left, stays) = (bed.ask("a", 10, 0).await, bed.ask("b", 11, 0).await);
    left.abort();
    settle().await;
    // Giving up a call that is under way leaves its place.
    first.abort();
    settle().await;
    assert_eq!(bed.later(), [[11]]);
    bed.let_go(1).await;
    assert_eq!(stays.await.unwrap(), Ok(11));
    assert_eq!(bed.under_way(), 0);
}

#[tokio::test(start_paused = true)]
async fn those_about_the_same_key_share_an_answer_where_that_is_sound() {
    let bed = Bed::<true>::of_kind();
    let _first = bed.fill().await;
    let mut waiting = Vec::new();
    for (key, number) in [("a", 10), ("b", 11), ("a", 12), ("a", 13)] {
        waiting.push(bed.ask(key, number, 0).await);
    }
    bed.let_go(2).await;
    assert_eq!(bed.later(), [[10, 11]]);
    bed.let_go(1).await;
    assert_eq!(numbers(waiting).await, [10, 11, 10, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_everybody_has_left_is_not_asked_any_further() {
    let bed = Bed::new();
    let first = bed.fill().await;
    let left = [bed.ask("a", 10, 0).await, bed.ask("b", 11, 0).await];
    first.abort();
    settle().await;
    assert_eq!(bed.later(), [[10, 11]]);
    left.iter().for_each(Asking::abort);
    settle().await;
    assert_eq!(bed.under_way(), 0, "its place is free");

    // One by one, those that are left over are not asked.
    let bed = Bed::new();
    let first = bed.fill().await;
    *bed.echo.failure.lock() = Some(Apart::AskEach);
    let mut waiting = Vec::new();
    for number in 10..10 + EACH_AT_ONCE as u64 + 2 {
        waiting.push(bed.ask(&number.to_string(), number, 0).await);
    }
    first.abort();
    settle().await;
    bed.let_go(1).await;
    assert_eq!(bed.later().len(), 1 + EACH_AT_ONCE, "{:?}", bed.later());
    waiting.iter().for_each(Asking::abort);
    settle().await;
    assert_eq!(bed.later().len(), 1 + EACH_AT_ONCE);
    assert_eq!(bed.under_way(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_group_is_bounded_by_what_the_backend_takes() {
    let bed = Bed::new();
    bed.gathering.bound(100);
    let _first = bed.fill().await;
    for (key, number) in [("a", 10), ("b", 11), ("c", 12)] {
        bed.ask(key, number, 50).await;
    }
    bed.let_go(2).await;
    assert_eq!(bed.later(), [vec![10, 11], vec![12]]);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_gained_each_is_asked_as_it_comes() {
    let bed = Bed::new();
    bed.echo.gathers.store(false, Ordering::SeqCst);
    for number in 0..10 {
        bed.ask("a", number, 0).await;
    }
    assert_eq!(bed.calls().len(), 10);
}

#[test]
fn a_runtime_that_ends_takes_those_that_wait_along() {
    let bed = Bed::new();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (first, waiting) = runtime.block_on(async { (bed.fill().await, bed.ask("a", 10, 0).await) });
    drop(runtime);
    assert_eq!(bed.under_way(), 0);
    assert!(bed.gathering.state.lock().waiting.is_empty());
    assert!(first.is_finished() && waiting.is_finished());
}
