//! The queue in simulated worlds: replicas, blobs, clients and faults.
#![cfg(not(live))]
#![expect(clippy::unwrap_used, reason = "a test fails by its panic")]

extern crate hogwash_system as system;

mod blobs;
mod faults;
mod jobs;
mod members;
mod recovery;
mod rpc;
mod world;
