//! The node that the current task runs on.

use super::kernel;
use crate::history::{Down, Fact, WORLD};
use crate::rng::Stream;
use std::future::poll_fn;
use std::task::Poll;

/// The node's name, such as `queue-2`.
pub fn name() -> String {
    let node = kernel::current();
    if node == WORLD {
        "world".to_owned()
    } else {
        kernel::with(|kernel| kernel.node(node).plan.name.clone())
    }
}

/// A stream of chance of this node's process, of its own for each `purpose` and each start of the process.
pub fn stream(purpose: &str) -> Stream {
    let node = kernel::current();
    kernel::with(|kernel| {
        let seed = kernel.seed;
        let machine = kernel.node(node);
        Stream::named(seed, &format!("node/{}/{}/{purpose}", machine.plan.name, machine.incarnation))
    })
}

/// Adds what happened on this node to the history.
pub fn record(fact: Fact) {
    kernel::with(|kernel| kernel.record(kernel::current(), fact));
}

/// Ends this process at once, as a fatal bug in it would; its supervisor starts it again a second later. The caller is
/// still to wait for its end, which comes before any time passes.
pub fn abort() {
    let node = kernel::current();
    kernel::with(|kernel| kernel.control(move || kernel::stop(node, Down::Abort)));
}

/// Ends this process at once, in order: its supervisor starts it again a second later. The caller is still to wait for its
/// end, which comes before any time passes.
pub fn restart() {
    let node = kernel::current();
    kernel::with(|kernel| kernel.control(move || kernel::stop(node, Down::Restart)));
}

/// Waits until this process is asked to stop, as by SIGTERM. It is then given a while to finish what it has under way and
/// to return; one that takes too long is killed.
pub async fn stopping() {
    let node = kernel::current();
    poll_fn(|context| {
        kernel::with(|kernel| {
            let machine = kernel.node(node);
            if machine.stopping {
                return Poll::Ready(());
            }
            if !machine.stop_wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                machine.stop_wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
    })
    .await;
}

/// True simulated time in nanoseconds and the node of the current task; none outside a world. For logs: a service that
/// asks for true time has a clock that no real one has.
pub fn stamp() -> Option<(u64, String)> {
    let node = kernel::current();
    kernel::try_with(|kernel| {
        let name = if node == WORLD { "world".to_owned() } else { kernel.node(node).plan.name.clone() };
        (kernel.agenda.now_ns(), name)
    })
}
