//! The durable queue: first in, first out, kept by 2f+1 replicas, of which f may fail.

pub mod client;
pub mod log;
pub mod paxos;
pub mod protocol;
pub mod server;
pub mod state;

pub use client::{Depth, Enqueued, JobStatus, Lease, NewJob, Outcome, QueueClient, QueueError};
pub use server::serve;
pub use state::{Amounts, Batch, Line};
