//! The stack as its users meet it: through the front door, over the world's network. `cargo test` simulates all of it;
//! `cargo live-test -p hogwash-system` runs what needs no faults on the machine.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bytes;
mod doors;
mod harness;
mod http;
mod identity;
mod stack;
mod tiers;
mod tiers_and_faults;

extern crate hogwash_system as system;
