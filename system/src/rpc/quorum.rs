//! One request to several services, of which so many good replies are enough. Whoever waits for them is woken once, and
//! not by each: most of those who ask replicas sit deep in a server's connection, and a turn of theirs is dear.

use super::connection::{self, Shared};
use super::{Ask, Remote, RpcError, Say, budget_ns};
use crate::wire;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sim::time::Instant;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Waits for enough good replies, or for the last one where they do not become enough. Dropped, it forgets the requests,
/// which may be carried out all the same.
#[must_use = "the replies come to whoever awaits them"]
pub struct Quorum<T> {
    tally: Arc<Mutex<Tally<T>>>,
    /// The requests, each by its connection and its number there.
    calls: Vec<(Arc<Mutex<Shared>>, u64)>,
}

struct Tally<T> {
    enough: usize,
    good: Vec<T>,
    /// Replies that are still to come.
    missing: usize,
    /// Why the last request that failed did.
    failure: RpcError,
    waker: Option<Waker>,
}

/// Asks all `remotes`, with `blob` beside the request. `judge` says what a reply is worth: one that is an error counts as
/// none.
pub fn ask_all<Q, R, T>(
    remotes: &[Remote<Q, R>],
    request: &Q,
    blob: &Bytes,
    deadline: Instant,
    enough: usize,
    judge: fn(R) -> Result<T, RpcError>,
) -> Quorum<T>
where
    Q: Serialize + Clone,
    R: DeserializeOwned + 'static,
    T: Send + 'static,
{
    let failure = RpcError::Unreachable("there is nobody to ask".to_owned());
    let good = Vec::with_capacity(remotes.len());
    let tally = Tally { enough, good, missing: remotes.len(), failure, waker: None };
    let tally = Arc::new(Mutex::new(tally));
    let budget_ns = budget_ns(deadline);
    let ask = |remote: &Remote<Q, R>| {
        let counted = tally.clone();
        let reply = connection::Reply::Counted(Box::new(move |frame| {
            let reply = frame.and_then(|frame| match frame.header::<Say<R>>()? {
                Say::Reply { reply, .. } => judge(reply),
                Say::Pong => Err(RpcError::Unreachable("the connection was given up".to_owned())),
            });
            lock(&counted).count(reply);
        }));
        let mut number = 0;
        connection::send(&remote.shared, |shared| {
            number = shared.expect_reply(reply);
            wire::encode(&Ask::Call { number, budget_ns, request: request.clone() }, blob.clone())
        });
        (remote.shared.clone(), number)
    };
    let calls = remotes.iter().map(ask).collect();
    Quorum { tally, calls }
}

impl<T> Tally<T> {
    fn count(&mut self, reply: Result<T, RpcError>) {
        self.missing -= 1;
        match reply {
            Ok(good) => self.good.push(good),
            Err(failure) => self.failure = failure,
        }
        if self.is_over() {
            self.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    fn is_over(&self) -> bool {
        self.good.len() >= self.enough || self.missing == 0
    }
}

impl<T> Future for Quorum<T> {
    type Output = Result<Vec<T>, RpcError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut tally = lock(&self.tally);
        if !tally.is_over() {
            tally.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let good = std::mem::take(&mut tally.good);
        Poll::Ready(if good.len() >= tally.enough { Ok(good) } else { Err(tally.failure.clone()) })
    }
}

impl<T> Drop for Quorum<T> {
    fn drop(&mut self) {
        for (shared, number) in &self.calls {
            connection::lock(shared).forget(*number);
        }
    }
}

fn lock<T>(tally: &Mutex<Tally<T>>) -> MutexGuard<'_, Tally<T>> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
