//! What users of the queue say and hear.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sim::history::{Digest, Id};
use sim::time::Instant;

/// A job to be done once.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The identity of the request on its whole way.
    pub id: Id,
    /// The idempotency key: what is enqueued again under it is the same job.
    pub key: String,
    /// The group within which jobs are handed out one after another; none where it waits for no other.
    pub group: Option<u32>,
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
        /// The output's digest: what [`super::QueueClient::output`] takes.
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
    /// Until when, on this node's clock, the holder may count on it: before its end, so that clocks may drift apart a little
    /// and a process may stand still for a moment.
    pub until: Instant,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depth {
    /// No worker has them.
    pub waiting: u64,
    /// Workers hold their leases.
    pub leased: u64,
    /// They are over and remembered, refusals included.
    pub done: u64,
    /// They were set aside.
    pub quarantined: u64,
    /// Batches of uses that the usage store does not have.
    pub unsent_uses: u64,
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
    /// There is no job under the key.
    #[error("there is no such job, or not any more")]
    NoSuchJob,
    /// The job was not set aside, or is not any more.
    #[error("the job was not set aside: only one that was can be put back")]
    NotSetAside,
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
