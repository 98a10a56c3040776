//! The queue as its users see it: API servers, workers, and whoever asks whether all is done.

use bytes::Bytes;
use sim::history::{Digest, Id};
use sim::stack::Deployment;
use sim::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// A way to the queue: finds the leader, follows redirects, tries other replicas until the deadline. Cheap to clone;
/// clones share their connections.
#[derive(Clone)]
pub struct QueueClient {
    deployment: Arc<Deployment>,
}

/// A job to be done once.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The identity of the request on its whole way.
    pub id: Id,
    /// The idempotency key: what is enqueued again under it is the same job.
    pub key: String,
    /// What to do with the body, in words of the API servers and workers.
    pub request: String,
    /// The input.
    pub body: Bytes,
}

/// The queue promised to keep a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// The job's place in the queue's order.
    pub position: u64,
    /// Whether the job was there before.
    pub duplicate: bool,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// No worker has it.
    Waiting,
    /// A worker holds its lease.
    Running,
    /// It has an output.
    Done {
        /// The output's media type.
        content_type: String,
        /// The output's digest: what [`QueueClient::output`] takes.
        output: Digest,
    },
    /// Its input was refused for good.
    Refused {
        /// The HTTP status that says so.
        status: u16,
        /// A word for machines.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// It was set aside, after too many deliveries.
    Quarantined {
        /// Why.
        reason: String,
    },
}

/// A job to work on, until its lease ends.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The identity of the request on its whole way.
    pub id: Id,
    /// The idempotency key.
    pub key: String,
    /// What to do with the body.
    pub request: String,
    /// The input.
    pub body: Bytes,
    /// How often the job has been handed out, this time included.
    pub delivery: u32,
    /// The fencing token: greater than any earlier one. The queue takes a result only with the latest of its job.
    pub token: u64,
    /// How long the lease lasted when the queue answered.
    pub expires_in: Duration,
}

/// What came of a job.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// An output.
    Output {
        /// Its media type.
        content_type: String,
        /// The output itself.
        bytes: Bytes,
    },
    /// A refusal of the input, for good.
    Refused {
        /// The HTTP status that says so.
        status: u16,
        /// A word for machines.
        code: String,
        /// A sentence for people.
        message: String,
    },
}

/// How many jobs there are, by how far they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// No worker has them.
    pub waiting: u64,
    /// Workers hold their leases.
    pub leased: u64,
    /// They are over and remembered, refusals included.
    pub done: u64,
    /// They were set aside.
    pub quarantined: u64,
}

/// Why the queue did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The queue holds as many waiting jobs as it may.
    #[error("the queue is full: try again later")]
    Overloaded,
    /// The key belongs to a job with another body or request.
    #[error("the idempotency key belongs to another request: use a new key")]
    KeyReused,
    /// The lease ended before; the job may be another worker's by now.
    #[error("the lease has ended: drop the job")]
    Fenced,
    /// The deadline passed. What was asked may be done all the same, and may be asked again.
    #[error("the deadline passed before the queue answered")]
    DeadlineExceeded,
    /// The queue has no such output, or not any more.
    #[error("the queue has no such output: it may have expired")]
    NotFound,
    /// No replica could do it.
    #[error("no replica of the queue could answer: {0}")]
    Unavailable(String),
}

impl QueueClient {
    /// The queue of `deployment`. Opens no connection yet.
    pub fn new(deployment: &Arc<Deployment>) -> Self {
        Self { deployment: deployment.clone() }
    }

    /// Hands a job in; on return it is kept for good. The same key with the same request and body is the earlier job.
    ///
    /// # Errors
    /// [`QueueError::Overloaded`], [`QueueError::KeyReused`], [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn enqueue(&self, job: NewJob, deadline: Instant) -> Result<Enqueued, QueueError> {
        let _ = (job, deadline);
        Err(self.unreachable())
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
        let _ = (key, wait, deadline);
        Err(self.unreachable())
    }

    /// The output whose digest a status gave.
    ///
    /// # Errors
    /// [`QueueError::NotFound`], [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn output(&self, digest: Digest, deadline: Instant) -> Result<Bytes, QueueError> {
        let _ = (digest, deadline);
        Err(self.unreachable())
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
        let _ = (worker, most, wait, deadline);
        Err(self.unreachable())
    }

    /// Keeps a lease for another full length, which is returned.
    ///
    /// # Errors
    /// [`QueueError::Fenced`], [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn extend(&self, lease: &Lease, deadline: Instant) -> Result<Duration, QueueError> {
        let _ = (lease, deadline);
        Err(self.unreachable())
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
        let _ = (lease, delay, deadline);
        Err(self.unreachable())
    }

    /// Ends a job with its outcome; on return the outcome is kept for good. May be repeated.
    ///
    /// # Errors
    /// [`QueueError::Fenced`], [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn finish(&self, lease: &Lease, outcome: Outcome, deadline: Instant) -> Result<(), QueueError> {
        let _ = (lease, outcome, deadline);
        Err(self.unreachable())
    }

    /// How many jobs there are. Linearizable.
    ///
    /// # Errors
    /// [`QueueError::DeadlineExceeded`], [`QueueError::Unavailable`].
    pub async fn depth(&self, deadline: Instant) -> Result<Depth, QueueError> {
        let _ = deadline;
        Err(self.unreachable())
    }

    fn unreachable(&self) -> QueueError {
        let replicas = self.deployment.of_role("queue").count();
        QueueError::Unavailable(format!("no way to the {replicas} replicas yet"))
    }
}
