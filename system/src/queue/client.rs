//! The queue as its users see it: API servers, workers, and whoever asks whether all is done.

mod ask;
mod types;

pub use types::{Depth, Enqueued, JobStatus, Lease, NewJob, Outcome, QueueError};

use super::protocol::{Progress, Request, Response};
use super::state::{self, Amounts, Batch, BlobRef, Grant, JobResult};
use crate::nanoseconds;
use ask::Replicas;
use bytes::Bytes;
use sim::history::Digest;
use sim::stack::Deployment;
use sim::time::{Instant, timeout};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

/// A way to the queue: finds the leader, follows redirects, tries other replicas until the deadline. Cheap to clone;
/// clones share their connections.
#[derive(Clone)]
pub struct QueueClient {
    replicas: Arc<Replicas>,
}

impl QueueClient {
    /// The queue of `deployment`. Opens no connection yet.
    pub fn new(deployment: &Arc<Deployment>) -> Self {
        Self { replicas: Arc::new(Replicas::new(deployment)) }
    }

    /// Hands a job in; on return it is kept for good. The same key with the same request and body is the earlier job.
    ///
    /// # Errors
    /// [`QueueError::Overloaded`], [`QueueError::KeyReused`], [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn enqueue(&self, job: NewJob, deadline: Instant) -> Result<Enqueued, QueueError> {
        let NewJob { id, key, group, request, body } = job;
        let response = self.with_blob(body, deadline, |body| {
            let (key, request) = (key.clone(), request.clone());
            Request::Enqueue(state::NewJob { id, key, group, request, body })
        });
        match within(deadline, response).await? {
            Response::Enqueued { position, duplicate } => Ok(Enqueued { position, duplicate }),
            other => Err(error_of(&other)),
        }
    }

    /// How far the job under `key` is, none where there is no such job; waits up to `wait` for its end. Linearizable.
    ///
    /// # Errors
    /// [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn status(
        &self,
        key: &str,
        wait: Duration,
        deadline: Instant,
    ) -> Result<Option<JobStatus>, QueueError> {
        let until = Instant::now() + wait;
        let request = || Request::Status { key: key.to_owned(), wait_ns: nanoseconds_until(until) };
        match within(deadline, self.replicas.ask(request, deadline)).await? {
            Response::Status(progress) => Ok(progress.map(status_of)),
            other => Err(error_of(&other)),
        }
    }

    /// The output whose digest a status gave.
    ///
    /// # Errors
    /// [`QueueError::NotFound`], [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn output(&self, digest: Digest, deadline: Instant) -> Result<Bytes, QueueError> {
        within(deadline, self.replicas.blob(digest, deadline)).await
    }

    /// Takes up to `most` jobs to work on, oldest first; waits up to `wait` for the first. Empty where none came.
    ///
    /// # Errors
    /// [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn lease(
        &self,
        worker: &str,
        most: u32,
        wait: Duration,
        deadline: Instant,
    ) -> Result<Vec<Lease>, QueueError> {
        let (attempt, until) = (self.replicas.draw(), Instant::now() + wait);
        // When it was asked last: the answer is to that.
        let asked_ns = AtomicU64::new(0);
        let request = || {
            asked_ns.store(Instant::now().as_nanos(), Ordering::Relaxed);
            let (worker, wait_ns) = (worker.to_owned(), nanoseconds_until(until));
            Request::Lease { worker, attempt, most, wait_ns }
        };
        let (grants, waited_ns) = match within(deadline, self.replicas.ask(request, deadline)).await? {
            Response::Leased { grants, waited_ns } => (grants, waited_ns),
            other => return Err(error_of(&other)),
        };
        // The leases began no sooner, whatever the answer's way took.
        let waited_ns = waited_ns - waited_ns / DRIFT_SHARE;
        let granted = Instant::from_nanos(asked_ns.into_inner().saturating_add(waited_ns));
        let bodies = grants.iter().map(|grant| self.output(grant.body, deadline));
        let bodies = all(bodies).await;
        let mut leases = Vec::with_capacity(grants.len());
        for (grant, body) in grants.into_iter().zip(bodies) {
            match body {
                Ok(body) => leases.push(lease_of(grant, body, granted)),
                // Somebody else may reach its body: does not keep the job until the lease expires.
                Err(_) => self.return_without_body(grant),
            }
        }
        Ok(leases)
    }

    fn return_without_body(&self, grant: Grant) {
        let client = self.clone();
        sim::task::spawn(async move {
            let deadline = Instant::now() + Duration::from_nanos(grant.lease_ns);
            let delay_ns = nanoseconds(RETURN_DELAY);
            let request = || Request::Return { key: grant.key.clone(), token: grant.token, delay_ns };
            // Where this fails too, the lease expires.
            let _ = within(deadline, client.replicas.ask(request, deadline)).await;
        });
    }

    /// Keeps a lease for another full length; until when the holder may count on it, on this node's clock.
    ///
    /// # Errors
    /// [`QueueError::Fenced`], [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn extend(&self, lease: &Lease, deadline: Instant) -> Result<Instant, QueueError> {
        let asked = Instant::now();
        let request = || Request::Extend { key: lease.key.clone(), token: lease.token };
        match within(deadline, self.replicas.ask(request, deadline)).await? {
            Response::Extended { lease_ns } => Ok(counted_on_until(asked, lease_ns)),
            other => Err(error_of(&other)),
        }
    }

    /// Gives a job back undone, to be handed out again after `delay`.
    ///
    /// # Errors
    /// [`QueueError::Fenced`], [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn give_back(
        &self,
        lease: &Lease,
        delay: Duration,
        deadline: Instant,
    ) -> Result<(), QueueError> {
        let delay_ns = nanoseconds(delay);
        let request = || Request::GiveBack { key: lease.key.clone(), token: lease.token, delay_ns };
        match within(deadline, self.replicas.ask(request, deadline)).await? {
            Response::Done => Ok(()),
            other => Err(error_of(&other)),
        }
    }

    /// Ends a job with its outcome; on return the outcome is kept for good. May be repeated.
    ///
    /// # Errors
    /// [`QueueError::Fenced`], [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn finish(
        &self,
        lease: &Lease,
        outcome: Outcome,
        amounts: Amounts,
        deadline: Instant,
    ) -> Result<(), QueueError> {
        let finish = |result| Request::Finish { key: lease.key.clone(), token: lease.token, result, amounts };
        let response = match outcome {
            Outcome::Output { content_type, bytes } => {
                let response = self.with_blob(bytes, deadline, |output| {
                    finish(JobResult::Output { content_type: content_type.clone(), output })
                });
                within(deadline, response).await?
            }
            Outcome::Refused { status, code, message } => {
                let refused = || {
                    let (code, message) = (code.clone(), message.clone());
                    finish(JobResult::Refused { status, code, message })
                };
                within(deadline, self.replicas.ask(refused, deadline)).await?
            }
        };
        match response {
            Response::Done => Ok(()),
            other => Err(error_of(&other)),
        }
    }

    /// Puts a job that was set aside back, behind all others; its new place. It is handed out again as often as a new job. The same
    /// `idempotency_key` again does it once.
    ///
    /// # Errors
    /// [`QueueError::NoSuchJob`], [`QueueError::NotSetAside`], [`QueueError::Overloaded`],
    /// [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn redrive(
        &self,
        key: &str,
        idempotency_key: Option<&str>,
        deadline: Instant,
    ) -> Result<u64, QueueError> {
        let number = |key: &str| {
            let digest = Digest::of(key.as_bytes());
            digest.0.first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
        };
        let attempt = idempotency_key.map_or_else(|| self.replicas.draw(), number);
        let request = || Request::Redrive { key: key.to_owned(), attempt };
        match within(deadline, self.replicas.ask(request, deadline)).await? {
            Response::Redriven { position } => Ok(position),
            other => Err(error_of(&other)),
        }
    }

    /// Up to `most` of the oldest batches of uses that nobody has told the queue to forget. Linearizable.
    ///
    /// # Errors
    /// [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn unsent_uses(&self, most: u32, deadline: Instant) -> Result<Vec<Batch>, QueueError> {
        match within(deadline, self.replicas.ask(|| Request::UnsentUses { most }, deadline)).await? {
            Response::UnsentUses(batches) => Ok(batches),
            other => Err(error_of(&other)),
        }
    }

    /// Until when, in nanoseconds of the queue's time, all uses were given to the usage store. The queue's time goes on with
    /// the question, though nothing else happens.
    ///
    /// # Errors
    /// [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn uses_complete_until(&self, deadline: Instant) -> Result<u64, QueueError> {
        match within(deadline, self.replicas.ask(|| Request::CompleteUntil, deadline)).await? {
            Response::CompleteUntil { ended_ns } => Ok(ended_ns),
            other => Err(error_of(&other)),
        }
    }

    /// Tells that the usage store has a batch. May be repeated.
    ///
    /// # Errors
    /// [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn forget_uses(&self, number: u64, deadline: Instant) -> Result<(), QueueError> {
        match within(deadline, self.replicas.ask(|| Request::ForgetUses { number }, deadline)).await? {
            Response::Done => Ok(()),
            other => Err(error_of(&other)),
        }
    }

    /// How many jobs there are. Linearizable.
    ///
    /// # Errors
    /// [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn depth(&self, deadline: Instant) -> Result<Depth, QueueError> {
        match within(deadline, self.replicas.ask(|| Request::Depth, deadline)).await? {
            Response::Depth(depth) => Ok(depth),
            other => Err(error_of(&other)),
        }
    }

    /// Stores a blob on a majority, then asks with it; again where the queue says that it may be gone by now.
    async fn with_blob(
        &self,
        bytes: Bytes,
        deadline: Instant,
        request: impl Fn(BlobRef) -> Request,
    ) -> Result<Response, QueueError> {
        loop {
            let blob = self.replicas.store(bytes.clone(), deadline).await;
            let response = self.replicas.ask(|| request(blob), deadline).await?;
            if response != Response::BlobGone {
                return Ok(response);
            }
        }
    }
}

/// Two clocks that differ in rate by one part in so many do not make a lease's holder late: each may be a hundredth off.
const DRIFT_SHARE: u64 = 48;
/// A process that stands still for so long does not.
const STAND_STILL: Duration = Duration::from_millis(500);
/// Not to be handed out again before, where a job's body could not be fetched.
const RETURN_DELAY: Duration = Duration::from_secs(1);

/// `answer`, unless the deadline comes first.
async fn within<T>(
    deadline: Instant,
    answer: impl Future<Output = Result<T, QueueError>>,
) -> Result<T, QueueError> {
    timeout(deadline - Instant::now(), answer).await.unwrap_or(Err(QueueError::DeadlineExceeded))
}

/// All outputs, of futures that run side by side.
async fn all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        let mut waits = false;
        for (future, output) in &mut futures {
            if output.is_none() {
                match Pin::new(future).poll(context) {
                    Poll::Ready(ready) => *output = Some(ready),
                    Poll::Pending => waits = true,
                }
            }
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    futures.into_iter().map(|(_, output)| output.expect("all are ready")).collect()
}

fn lease_of(grant: Grant, body: Bytes, granted: Instant) -> Lease {
    let Grant { id, key, request, delivery, token, lease_ns, .. } = grant;
    Lease { id, key, request, body, delivery, token, until: counted_on_until(granted, lease_ns) }
}

/// Until when a lease of this length can be counted on that began at `from` at the earliest. Half of it, where it is so short
/// that nothing would be left.
fn counted_on_until(from: Instant, lease_ns: u64) -> Instant {
    let lease = Duration::from_nanos(lease_ns);
    let margin = (STAND_STILL + Duration::from_nanos(lease_ns / DRIFT_SHARE)).min(lease / 2);
    from + (lease - margin)
}

fn status_of(progress: Progress) -> JobStatus {
    match progress {
        Progress::Waiting => JobStatus::Waiting,
        Progress::Running => JobStatus::Running,
        Progress::Done { content_type, output } => JobStatus::Done { content_type, output },
        Progress::Refused { status, code, message } => JobStatus::Refused { status, code, message },
        Progress::Quarantined { reason } => JobStatus::Quarantined { reason },
    }
}

fn error_of(response: &Response) -> QueueError {
    match response {
        Response::Overloaded => QueueError::Overloaded,
        Response::KeyReused => QueueError::KeyReused,
        Response::Fenced => QueueError::Fenced,
        Response::NoSuchJob => QueueError::NoSuchJob,
        Response::NotSetAside => QueueError::NotSetAside,
        Response::TooLarge => {
            QueueError::Unavailable("the job's key, request or message is too long".to_owned())
        }
        other => QueueError::Unavailable(format!("the queue's answer is to another question: {other:?}")),
    }
}

fn nanoseconds_until(until: Instant) -> u64 {
    nanoseconds(until - Instant::now())
}
