//! The image-resizing service of the essay: clients, API servers, a queue of replicas, workers, and the tiers around them.
//!
//! What is absent: the machine. Everything outside a process is asked of `sim`, so that the same code runs in a
//! simulated and in the real world and does not know in which. No law is here either: what happens is recorded, and
//! judged elsewhere.

pub mod api;
pub mod archive;
pub mod auth;
pub mod balancer;
pub mod billing;
pub mod blobs;
pub mod client;
pub mod config;
pub mod http;
mod marks;
mod poison;
pub mod queue;
mod records;
pub mod resize;
pub mod rpc;
mod stack;
pub mod usage;
pub mod wire;
pub mod worker;

pub use stack::{ImageStack, SERVED};

/// A duration in nanoseconds; one that 64 bits do not hold is the longest that they do.
pub(crate) fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
