//! The durable queue: first in, first out, kept by 2f+1 replicas, of which f may fail.

pub mod client;
mod log;
pub mod paxos;
pub mod state;

pub use client::{Depth, Enqueued, JobStatus, Lease, NewJob, Outcome, QueueClient, QueueError};

use sim::stack::Process;

/// Runs one replica of the queue, its blob store included, on the process's node, until the process ends.
pub async fn serve(process: Process) {
    let _ = process;
    std::future::pending().await
}
