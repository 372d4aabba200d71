//! Tells many callers at once what became of their writes.
//!
//! An answer wakes a task. Sent one by one from the writer's thread, which is not one of tokio's,
//! each finds the workers asleep again, as the task before took less time than the writer needs for
//! the next answer: a hundred answers cost some twenty system calls to wake workers, and as many
//! switches. A task that sends them from within the runtime wakes it once, and the callers run as
//! neighbours of each other.
//!
//! The store outlives the runtime it was opened in. Answers that find no herald, or that were on their
//! way when its runtime ended, are sent by whoever drops them: see [`Answers`].

use port::store::{Revision, StoreError};
use tokio::sync::{mpsc, oneshot};

/// As few as this are answered directly: for them the way through a task costs more than it saves.
const FEW: usize = 4;

/// How many commits' answers may be on their way. The writer sends further ones itself.
const QUEUE: usize = 8;

/// Where the answer to a write goes, and the answer.
type Told = (oneshot::Sender<Result<Revision, StoreError>>, Result<Revision, StoreError>);

/// The answers of one commit. They are sent when it is dropped, so none is lost.
pub(super) struct Answers(Vec<Told>);

impl Answers {
    /// These answers.
    pub(super) fn new(told: Vec<Told>) -> Self {
        Self(told)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        for (caller, answer) in self.0.drain(..) {
            // Whoever has given up waiting has had the write all the same.
            let _ = caller.send(answer);
        }
    }
}

/// The way to the task.
pub(super) struct Herald(mpsc::Sender<Answers>);

impl Herald {
    /// Starts the task, which ends with this.
    ///
    /// # Panics
    /// When called outside tokio.
    pub(super) fn start() -> Self {
        let (sender, mut queue) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            while let Some(answers) = queue.recv().await {
                drop::<Answers>(answers);
            }
        });
        Self(sender)
    }

    /// Has the answers sent. Does not wait for it.
    pub(super) fn tell(&self, answers: Answers) {
        if answers.0.len() > FEW {
            // Given back when there is no task or no place: then they are sent here.
            let _ = self.0.try_send(answers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Caller = oneshot::Receiver<Result<Revision, StoreError>>;

    fn answers(count: u64) -> (Answers, Vec<Caller>) {
        let (told, callers) = (0..count)
            .map(|number| {
                let (sender, caller) = oneshot::channel();
                ((sender, Ok(Revision(number))), caller)
            })
            .unzip();
        (Answers::new(told), callers)
    }

    fn told(callers: Vec<Caller>) -> Vec<u64> {
        callers.into_iter().map(|mut caller| caller.try_recv().unwrap().unwrap().0).collect()
    }

    #[tokio::test]
    async fn many_are_told_by_the_task_each_its_own() {
        let herald = Herald::start();
        let (answers, mut callers) = answers(100);
        herald.tell(answers);
        assert!(callers.iter_mut().all(|caller| caller.try_recv().is_err()), "the task has not run yet");
        let mut revisions = Vec::new();
        for caller in callers {
            revisions.push(caller.await.unwrap().unwrap().0);
        }
        assert_eq!(revisions, (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_few_are_told_at_once() {
        let (answers, callers) = answers(FEW as u64);
        Herald::start().tell(answers);
        assert_eq!(told(callers), [0, 1, 2, 3]);
    }

    #[test]
    fn nobody_is_forgotten_when_the_runtime_ends_or_has_ended() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let herald = runtime.block_on(async { Herald::start() });
        let (under_way, first) = answers(10);
        herald.tell(under_way);
        drop(runtime);
        assert_eq!(told(first), (0..10).collect::<Vec<_>>());
        let (late, second) = answers(10);
        herald.tell(late);
        assert_eq!(told(second), (0..10).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn more_than_fit_are_told_by_the_writer() {
        let herald = Herald::start();
        let waiting: Vec<_> = (0..QUEUE)
            .map(|_| {
                let (answers, callers) = answers(10);
                herald.tell(answers);
                callers
            })
            .collect();
        let (answers, callers) = answers(10);
        herald.tell(answers);
        assert_eq!(told(callers), (0..10).collect::<Vec<_>>());
        drop(waiting);
    }
}
