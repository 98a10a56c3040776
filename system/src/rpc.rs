//! Requests and replies between tiers: many under way on one connection, told apart by numbers; connected when needed,
//! again after a failure; silence noticed by pings and not by the kernel's long patience.
//!
//! Deadlines travel as the time that is left ([`Remote::call`]), since clocks differ. Nothing here retries: whoever asks
//! knows whether asking twice is safe, and whom else to ask.

mod connection;
mod outlet;
mod quorum;
mod server;

pub use quorum::{Quorum, ask_all};
pub use server::{Incoming, Replier, listen};

use crate::wire::{self, Frame, WireError};
use bytes::Bytes;
use connection::Shared;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sim::time::Instant;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

/// Why there is no reply. Whether the request was carried out is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// The connection could not be made, broke, or fell silent.
    #[error("{0}")]
    Unreachable(String),
    /// Too many frames wait to be sent.
    #[error("too many requests wait to be sent")]
    Overloaded,
    /// The request cannot be written, or the reply not be read.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// From the side that calls.
#[derive(Serialize, Deserialize)]
enum Ask<Q> {
    Ping,
    Call { number: u64, budget_ns: u64, request: Q },
    Tell(Q),
}

/// From the side that is called.
#[derive(Serialize, Deserialize)]
enum Say<R> {
    Pong,
    Reply { number: u64, reply: R },
}

/// A service at a port of another node, which takes requests `Q` and gives replies `R`. Cheap to clone; clones share one
/// connection, which is closed when the last is dropped.
pub struct Remote<Q, R> {
    shared: Arc<Mutex<Shared>>,
    types: PhantomData<fn(Q) -> R>,
}

impl<Q, R> Clone for Remote<Q, R> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), types: PhantomData }
    }
}

impl<Q: Serialize, R: DeserializeOwned> Remote<Q, R> {
    /// The service at `port` of `node`. A connection that owes an answer and is silent for `patience` is given up, and
    /// so is an attempt to connect.
    pub fn new(node: &str, port: u16, patience: Duration) -> Self {
        Self { shared: Arc::new(Mutex::new(Shared::new(node, port, patience))), types: PhantomData }
    }

    /// Sends a request at once; what is returned waits for the reply. The service is told how much time is left until
    /// `deadline`; it is for the caller to stop waiting.
    pub fn call(&self, request: Q, blob: Bytes, deadline: Instant) -> Call<R> {
        let (sender, reply) = oneshot::channel();
        let budget_ns = budget_ns(deadline);
        let mut number = 0;
        connection::send(&self.shared, |shared| {
            number = shared.expect_reply(connection::Reply::Awaited(sender));
            wire::encode(&Ask::Call { number, budget_ns, request }, blob)
        });
        Call { shared: self.shared.clone(), number, is_over: false, reply, types: PhantomData }
    }

    /// Sends a message that has no reply. It may be lost.
    pub fn tell(&self, message: Q, blob: Bytes) {
        connection::send(&self.shared, |_| wire::encode(&Ask::Tell(message), blob));
    }

    /// Whether the last attempt to reach the service failed.
    pub fn is_down(&self) -> bool {
        connection::lock(&self.shared).is_down()
    }
}

/// What is left until `deadline`: clocks differ, and it travels so.
fn budget_ns(deadline: Instant) -> u64 {
    u64::try_from((deadline - Instant::now()).as_nanos()).unwrap_or(u64::MAX)
}

/// Waits for the reply to a request. Dropped, it forgets the request, which may be carried out all the same.
#[must_use = "the reply comes to whoever awaits it"]
pub struct Call<R> {
    shared: Arc<Mutex<Shared>>,
    number: u64,
    /// Whether the reply came, and the call is forgotten already.
    is_over: bool,
    reply: oneshot::Receiver<Result<Frame, RpcError>>,
    types: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned> Future for Call<R> {
    type Output = Result<(R, Bytes), RpcError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.reply).poll(context).map(|frame| {
            self.is_over = true;
            let lost = || RpcError::Unreachable("the connection was given up".to_owned());
            let frame = frame.map_err(|_| lost())??;
            match frame.header::<Say<R>>()? {
                Say::Reply { reply, .. } => Ok((reply, frame.blob)),
                Say::Pong => Err(lost()),
            }
        })
    }
}

impl<R> Drop for Call<R> {
    fn drop(&mut self) {
        if !self.is_over {
            connection::lock(&self.shared).forget(self.number);
        }
    }
}

/// The first answer of calls that have not answered yet, and its place among them; none where all have.
pub async fn next_answer<R: DeserializeOwned>(
    calls: &mut [Option<Call<R>>],
) -> Option<(usize, Result<(R, Bytes), RpcError>)> {
    std::future::poll_fn(|context| {
        let mut waits = false;
        for (place, slot) in calls.iter_mut().enumerate() {
            let Some(call) = slot else { continue };
            match Pin::new(call).poll(context) {
                Poll::Ready(answer) => {
                    *slot = None;
                    return Poll::Ready(Some((place, answer)));
                }
                Poll::Pending => waits = true,
            }
        }
        if waits { Poll::Pending } else { Poll::Ready(None) }
    })
    .await
}
