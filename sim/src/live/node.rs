//! The node that the current task runs on.

use super::{host, time};
use crate::history::{Down, Fact};
use crate::rng::Stream;

/// The node's name, such as `queue-2`.
pub fn name() -> String {
    host::current().plan.name.clone()
}

/// A stream of chance for this `purpose`, from the machine's entropy: another one at each call.
///
/// # Panics
/// Where the machine has no entropy to give.
pub fn stream(purpose: &str) -> Stream {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).expect("the machine gives entropy");
    Stream::named(u64::from_le_bytes(seed), purpose)
}

/// Adds what happened on this node to its history.
pub fn record(fact: Fact) {
    host::current().record(&fact);
}

/// Ends this process at once, as a fatal bug in it would; its supervisor starts it again a second later. The caller is
/// still to wait for its end.
pub fn abort() {
    host::current().end(Down::Abort);
}

/// Ends this process at once, in order: its supervisor starts it again a second later. The caller is still to wait for its
/// end.
pub fn restart() {
    host::current().end(Down::Restart);
}

/// Waits until this process is asked to stop, as by SIGTERM. It is then given a while to finish what it has under way and
/// to return; one that takes too long is killed.
pub async fn stopping() {
    host::current().asked_to_stop().await;
}

/// Monotonic time in nanoseconds and the node of the current task; none outside a process. For logs.
pub fn stamp() -> Option<(u64, String)> {
    host::try_current().map(|host| (time::now_ns(), host.plan.name.clone()))
}
