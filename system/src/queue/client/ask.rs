//! Asking the replicas: the leader where it is known, else one after the other, with growing pauses.

use super::QueueError;
use crate::blobs::{Blobs, PATIENCE};
use crate::queue::protocol::{CLIENTS_PORT, Request, Response};
use crate::queue::state::BlobRef;
use crate::rpc::{Remote, RpcError};
use bytes::Bytes;
use sim::history::Digest;
use sim::rng::Stream;
use sim::stack::Deployment;
use sim::time::{Instant, sleep};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The longest pause between two attempts is drawn from half of this to all of it; the first from much less.
const PAUSE_MAX: Duration = Duration::from_millis(400);
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// All replicas of the queue, as one client sees them.
pub(super) struct Replicas {
    remotes: Vec<Remote<Request, Response>>,
    blobs: Blobs,
    /// Who led last, as far as this client knows.
    leader: AtomicUsize,
    chance: Mutex<Stream>,
}

impl Replicas {
    pub(super) fn new(deployment: &Deployment) -> Self {
        let nodes = deployment.of_role("queue");
        // Two clients of one process must not draw the same numbers.
        let purpose = format!("queue-client/{}", Instant::now().as_nanos());
        Self {
            remotes: nodes.map(|node| Remote::new(&node.name, CLIENTS_PORT, PATIENCE)).collect(),
            blobs: Blobs::new(deployment),
            leader: AtomicUsize::new(0),
            chance: Mutex::new(sim::node::stream(&purpose)),
        }
    }

    /// A number that nobody else draws.
    pub(super) fn draw(&self) -> u64 {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// Asks until the leader answers. What is asked may be asked again; never gives up, which is for the caller's
    /// deadline to do.
    pub(super) async fn ask(
        &self,
        request: impl Fn() -> Request,
        deadline: Instant,
    ) -> Result<Response, QueueError> {
        if self.remotes.is_empty() {
            return Err(QueueError::Unavailable("the plan has no node of the queue".to_owned()));
        }
        let mut failures = 0;
        loop {
            let target = self.leader.load(Ordering::Relaxed) % self.remotes.len();
            let next = match self.remotes[target].call(request(), Bytes::new(), deadline).await {
                Ok((Response::NotLeader(hint), _)) => {
                    sim::sometimes!("a client of the queue asks a replica that does not lead");
                    hint.map(|hint| hint as usize)
                }
                Ok((response, _)) => return Ok(response),
                Err(RpcError::Wire(error)) => return Err(QueueError::Unavailable(error.to_string())),
                Err(_) => None,
            };
            let other = next.filter(|next| *next != target && *next < self.remotes.len());
            let guess = other.unwrap_or((target + 1) % self.remotes.len());
            // Where another call has found the leader meanwhile, that stands.
            let _ = self.leader.compare_exchange(target, guess, Ordering::Relaxed, Ordering::Relaxed);
            failures += 1;
            // A redirect is followed at once, but for two replicas that send their clients to each other.
            if other.is_none() || failures > 2 {
                self.pause(failures).await;
            }
        }
    }

    /// Stores a blob on a majority, however long that takes.
    pub(super) async fn store(&self, bytes: Bytes, deadline: Instant) -> BlobRef {
        let mut failures = 0;
        loop {
            match self.blobs.put(bytes.clone(), deadline).await {
                Ok(blob) => return blob,
                Err(_) => failures += 1,
            }
            self.pause(failures).await;
        }
    }

    /// A blob's bytes, however long that takes where replicas do not answer.
    ///
    /// # Errors
    /// [`QueueError::NotFound`] where all answer and none has it.
    pub(super) async fn blob(&self, digest: Digest, deadline: Instant) -> Result<Bytes, QueueError> {
        let mut failures = 0;
        loop {
            match self.blobs.get(digest, deadline).await {
                Ok(Some(bytes)) => return Ok(bytes),
                Ok(None) => return Err(QueueError::NotFound),
                Err(_) => failures += 1,
            }
            self.pause(failures).await;
        }
    }

    /// Waits for a time that grows with the number of failures, drawn so that clients do not come all at once.
    async fn pause(&self, failures: u32) {
        let most = PAUSE_MIN.saturating_mul(1 << failures.min(10)).min(PAUSE_MAX);
        let drawn = self.chance.lock().unwrap_or_else(PoisonError::into_inner).duration(most / 2..most);
        sleep(drawn).await;
    }
}
