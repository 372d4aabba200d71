//! What russh asks of a runtime, in the place of the crate of this name.
//!
//! russh runs every connection in a task that it starts through this interface. The crate it comes
//! with wraps the connection's future in another one, which then holds it twice: once as it was handed
//! over and once as it is polled. That is 12 KiB for each of thousands of idle links, a fifth of what
//! a proxy keeps for one. Here the future is the task.
//!
//! Takes its place by `[patch.crates-io]` in the workspace; nothing of ours calls it.

/// Tasks.
pub mod runtime {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// The task ended without a result: it panicked, or its runtime is gone.
    #[derive(Debug)]
    pub struct JoinError;

    impl std::fmt::Display for JoinError {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the task ended without a result")
        }
    }

    impl std::error::Error for JoinError {}

    /// The result of a task, when it has ended. The task goes on when this is dropped.
    #[derive(Debug)]
    pub struct JoinHandle<T: Send>(tokio::task::JoinHandle<T>);

    /// Starts a task on the current runtime.
    pub fn spawn<F, T>(future: F) -> JoinHandle<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        JoinHandle(tokio::spawn(future))
    }

    impl<T: Send> Future for JoinHandle<T> {
        type Output = Result<T, JoinError>;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            Pin::new(&mut self.0).poll(cx).map_err(|_| JoinError)
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[tokio::test]
        async fn a_result_arrives_and_a_panic_is_an_error() {
            assert_eq!(spawn(async { 7 }).await.unwrap(), 7);
            let failing: JoinHandle<()> = spawn(async { panic!("on purpose") });
            assert!(failing.await.is_err());
        }
    }
}

/// Clocks.
pub mod time {
    pub use std::time::Instant;
}
