//! The queue in simulated worlds: replicas, blobs, clients and faults.
#![cfg(not(live))]

extern crate hogwash_system as system;

mod blobs;
mod faults;
mod jobs;
mod recovery;
mod rpc;
mod world;
