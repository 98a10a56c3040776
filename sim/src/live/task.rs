//! Tasks of a process.

use super::host;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Starts a task of the current process; it ends with the process at the latest. A panic in it ends the process.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    JoinHandle(host::current().spawn(future))
}

/// Lets all other tasks that are ready run first.
pub async fn yield_now() {
    tokio::task::yield_now().await;
}

/// Waits for a task's output; dropping it lets the task run on.
#[derive(Debug)]
pub struct JoinHandle<T>(tokio::task::JoinHandle<Option<T>>);

/// The task was aborted, panicked, or ended with its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task ended before it had an output")]
pub struct JoinError;

impl<T> JoinHandle<T> {
    /// Ends the task at its next point of waiting.
    pub fn abort(&self) {
        self.0.abort();
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|output| output.ok().flatten().ok_or(JoinError))
    }
}
