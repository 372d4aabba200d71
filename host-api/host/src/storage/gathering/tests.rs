use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;

/// Answers with the key's own name, once it is let; keeps what it was asked in each call.
struct Echo {
    gathers: AtomicBool,
    /// One for each call that may answer.
    let_go: Semaphore,
    calls: Mutex<Vec<Vec<String>>>,
    /// What several are answered with instead, once.
    failure: Mutex<Option<Apart>>,
    /// How many of several are answered.
    room: Mutex<usize>,
}

impl Asking for Arc<Echo> {
    type Answer = String;

    fn gathers(&self) -> bool {
        self.gathers.load(Ordering::SeqCst)
    }

    async fn alone(&self, key: Key) -> Result<String, StoreError> {
        self.calls.lock().push(vec![key.last_segment().to_owned()]);
        self.let_go.acquire().await.unwrap().forget();
        Ok(key.last_segment().to_owned())
    }

    async fn together(&self, keys: Vec<Key>) -> Result<Vec<String>, Apart> {
        let names: Vec<_> = keys.iter().map(|key| key.last_segment().to_owned()).collect();
        self.calls.lock().push(names.clone());
        self.let_go.acquire().await.unwrap().forget();
        if let Some(failure) = self.failure.lock().take() {
            return Err(failure);
        }
        let room = *self.room.lock();
        Ok(names.into_iter().take(room).collect())
    }
}

struct Bed {
    echo: Arc<Echo>,
    gathering: Arc<Gathering<Arc<Echo>>>,
}

type Task = JoinHandle<Result<String, StoreError>>;

impl Bed {
    fn new() -> Self {
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
    async fn ask(&self, name: impl ToString) -> Task {
        let (gathering, key) = (Arc::clone(&self.gathering), Key::of(&[&name.to_string()]));
        let task = tokio::spawn(async move { gathering.ask(key).await });
        settle().await;
        task
    }

    /// As many questions as there are places, which keep them.
    async fn fill(&self) -> Vec<Task> {
        let mut first = Vec::new();
        for _ in 0..AT_ONCE {
            first.push(self.ask("same").await);
        }
        first
    }

    /// Lets so many calls answer.
    async fn let_go(&self, calls: usize) {
        self.echo.let_go.add_permits(calls);
        settle().await;
    }

    fn calls(&self) -> Vec<Vec<String>> {
        self.echo.calls.lock().clone()
    }

    fn later(&self) -> Vec<Vec<String>> {
        self.calls().split_off(AT_ONCE)
    }
}

/// Everything that can go on has gone on.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn answers(asking: Vec<Task>) -> Vec<String> {
    let mut answers = Vec::new();
    for asking in asking {
        answers.push(asking.await.unwrap().unwrap());
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_while_a_place_is_free_and_those_who_must_go_together() {
    let bed = Bed::new();
    let first = bed.fill().await;
    assert_eq!(bed.calls(), vec![["same"]; AT_ONCE], "each at once, even about the same key");
    let mut waiting = Vec::new();
    for number in 10..15 {
        waiting.push(bed.ask(number).await);
    }
    assert_eq!(bed.later().len(), 0);
    bed.let_go(1).await;
    assert_eq!(bed.later(), [["10", "11", "12", "13", "14"]], "the place that was left is theirs");
    bed.let_go(AT_ONCE).await;
    assert_eq!(answers(first).await, ["same"; AT_ONCE]);
    assert_eq!(answers(waiting).await, ["10", "11", "12", "13", "14"]);
    assert_eq!(bed.gathering.state.lock().under_way, 0);
    bed.ask("free").await;
    assert_eq!(bed.later().last().unwrap(), &["free"]);
}

#[tokio::test(start_paused = true)]
async fn what_had_no_room_in_an_answer_is_asked_again_first() {
    let bed = Bed::new();
    *bed.echo.room.lock() = 2;
    let _first = bed.fill().await;
    let mut waiting = Vec::new();
    for number in 10..15 {
        waiting.push(bed.ask(number).await);
    }
    bed.let_go(AT_ONCE + 3).await;
    assert_eq!(answers(waiting).await, ["10", "11", "12", "13", "14"]);
    assert_eq!(bed.later(), [vec!["10", "11", "12", "13", "14"], vec!["12", "13", "14"], vec!["14"]]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_everybodys_but_what_only_fails_together_is_asked_alone() {
    let bed = Bed::new();
    let _first = bed.fill().await;
    let gone = StoreError::Unavailable("gone".to_owned());
    *bed.echo.failure.lock() = Some(Apart::Failed(gone.clone()));
    let waiting = [bed.ask(10).await, bed.ask(11).await];
    bed.let_go(AT_ONCE + 1).await;
    for asking in waiting {
        assert_eq!(asking.await.unwrap(), Err(gone.clone()));
    }

    let bed = Bed::new();
    let _first = bed.fill().await;
    *bed.echo.failure.lock() = Some(Apart::AskEach);
    let waiting = vec![bed.ask(10).await, bed.ask(11).await];
    bed.let_go(AT_ONCE + 3).await;
    assert_eq!(answers(waiting).await, ["10", "11"]);
    assert_eq!(bed.later(), [vec!["10", "11"], vec!["10"], vec!["11"]]);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_takes_nobody_along_and_is_not_asked_for() {
    let bed = Bed::new();
    let first = bed.fill().await;
    let (left, stays) = (bed.ask(10).await, bed.ask(11).await);
    left.abort();
    settle().await;
    // Giving up a call that is under way leaves its place.
    first[0].abort();
    settle().await;
    assert_eq!(bed.later(), [["11"]]);
    bed.let_go(AT_ONCE).await;
    assert_eq!(stays.await.unwrap(), Ok("11".to_owned()));
    assert_eq!(bed.gathering.state.lock().under_way, 0);
}

#[tokio::test(start_paused = true)]
async fn those_about_the_same_key_share_an_answer() {
    let bed = Bed::new();
    let _first = bed.fill().await;
    let mut waiting = Vec::new();
    for name in ["a", "b", "a", "a"] {
        waiting.push(bed.ask(name).await);
    }
    bed.let_go(2).await;
    assert_eq!(bed.later(), [["a", "b"]]);
    bed.let_go(AT_ONCE).await;
    assert_eq!(answers(waiting).await, ["a", "b", "a", "a"]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_everybody_has_left_is_not_asked_any_further() {
    let bed = Bed::new();
    let first = bed.fill().await;
    let left = [bed.ask(10).await, bed.ask(11).await];
    first[0].abort();
    settle().await;
    assert_eq!(bed.later(), [["10", "11"]]);
    left.iter().for_each(Task::abort);
    settle().await;
    assert_eq!(bed.gathering.state.lock().under_way, AT_ONCE - 1, "its place is free");

    // One by one, those that are left over are not asked.
    let bed = Bed::new();
    let first = bed.fill().await;
    *bed.echo.failure.lock() = Some(Apart::AskEach);
    let mut waiting = Vec::new();
    for number in 10..10 + EACH_AT_ONCE + 2 {
        waiting.push(bed.ask(number).await);
    }
    first[0].abort();
    settle().await;
    // The other place's, and the group.
    bed.let_go(2).await;
    assert_eq!(bed.later().len(), 1 + EACH_AT_ONCE, "{:?}", bed.later());
    waiting.iter().for_each(Task::abort);
    settle().await;
    assert_eq!(bed.later().len(), 1 + EACH_AT_ONCE);
    assert_eq!(bed.gathering.state.lock().under_way, 0);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_gained_each_is_asked_as_it_comes() {
    let bed = Bed::new();
    bed.echo.gathers.store(false, Ordering::SeqCst);
    for number in 0..10 {
        bed.ask(number).await;
    }
    assert_eq!(bed.calls().len(), 10);
}

#[test]
fn a_runtime_that_ends_takes_those_that_wait_along() {
    let bed = Bed::new();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (first, waiting) = runtime.block_on(async { (bed.fill().await, bed.ask(10).await) });
    drop(runtime);
    assert_eq!(bed.gathering.state.lock().under_way, 0);
    assert!(bed.gathering.state.lock().waiting.is_empty());
    assert!(first.iter().all(Task::is_finished) && waiting.is_finished());
}
