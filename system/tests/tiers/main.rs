//! Tiers of the stack that others count on, while nodes of them and of others go and come back.
#![cfg(not(live))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

extern crate hogwash_system as system;

mod auth;
mod config;
mod retention;
mod usage;
mod world;
