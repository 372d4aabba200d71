//! A word to whoever waits for the daemon: it may have a plugin to compile.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

use crate::context::Context;

/// How long nothing is said.
const SILENCE: Duration = Duration::from_secs(3);

/// What the daemon answers; when that takes a while, what it may be doing is said on standard error.
pub(super) async fn heard<T>(context: &mut Context<'_>, answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    if let Ok(answer) = timeout(SILENCE, &mut answer).await {
        return answer;
    }
    context.note(
        "waiting for the daemon: a large plugin, as those in Python are, takes it half a minute to compile",
    );
    answer.await
}

#[cfg(test)]
mod tests {
    use terminal::{Printer, Screen};

    use super::*;
    use crate::place::Place;

    #[tokio::test(start_paused = true)]
    async fn only_a_long_wait_is_explained() {
        for (seconds, notes) in [(0, 0), (2, 0), (4, 1)] {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let printer = Printer::new(&mut out, Screen::pipe());
            let mut context = Context::new(printer, &mut err, Place::default());
            let answer = async {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                seconds
            };
            assert_eq!(heard(&mut context, answer).await, seconds);
            assert_eq!(String::from_utf8(err).unwrap().lines().count(), notes, "after {seconds} s");
        }
    }
}
