//! Tasks of a process.

use super::agenda::in_a_moment;
use super::kernel;
use super::limits;
use super::panics;
use crate::history::{Down, Fact, NodeIndex, WORLD};
use crate::trace;
use std::fmt::Display;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Starts a task of the current process; it ends with the process at the latest. A panic in it ends the process.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawn_from(Location::caller(), future)
}

/// As [`spawn`], for what is not started from a place in the stack's code.
pub(crate) fn spawn_from<F>(origin: &dyn Display, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    JoinHandle(madsim::task::spawn(on_node(kernel::current(), origin, future)))
}

/// Lets all other tasks that are ready run first.
pub async fn yield_now() {
    madsim::task::yield_now().await;
}

/// Waits for a task's output; dropping it lets the task run on.
#[derive(Debug)]
pub struct JoinHandle<T>(madsim::task::JoinHandle<Option<T>>);

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

/// `future` as a task of `node`: knows its node while it runs and while it is dropped, and turns a panic into the end of
/// the node's process. A trace names it after its `origin`.
pub(crate) fn on_node<F: Future>(node: NodeIndex, origin: impl Display, future: F) -> OnNode<F> {
    let task = trace::task(node, || origin.to_string());
    OnNode { node, task, future: Some(Box::pin(future)) }
}

pub(crate) struct OnNode<F> {
    node: NodeIndex,
    /// Its number in the trace; 0 where nothing is traced.
    task: u64,
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Future for OnNode<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (node, task) = (self.node, self.task);
        if !limits::may_poll() {
            return Poll::Pending;
        }
        let Some(future) = &mut self.future else { return Poll::Ready(None) };
        let before = trace::enter(task);
        let polled = kernel::enter(node, || {
            in_a_moment(|| std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))))
        });
        trace::enter(before);
        limits::after_poll();
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
            Err(payload) if node == WORLD => std::panic::resume_unwind(payload),
            Err(payload) => {
                self.drop_future();
                let message = panics::message(payload.as_ref());
                kernel::with(|kernel| {
                    kernel.record(node, Fact::Panic { message });
                    kernel.control(move || kernel::stop(node, Down::Panic));
                });
                Poll::Ready(None)
            }
        }
    }
}

impl<F> OnNode<F> {
    fn drop_future(&mut self) {
        if let Some(future) = self.future.take() {
            let before = trace::enter(self.task);
            kernel::enter(self.node, || drop(future));
            trace::enter(before);
        }
    }
}

impl<F> Drop for OnNode<F> {
    fn drop(&mut self) {
        self.drop_future();
    }
}
