//! Where a run's time goes. While a run is watched, its world says at all times which part of it is at work; a sampler in
//! another thread looks every now and then, as profilers do. No clock is read in the world, and a run that is not watched
//! pays a look at a flag.
//!
//! ```
//! use hogwash_sim::profile::{self, Part};
//!
//! // A run would be made here, and looked at from another thread.
//! let watched = profile::watched(|| profile::now());
//! assert_eq!(watched, Part::Outside);
//! ```

use crate::history::NodeIndex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A part of a run that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// No world's: before, after, or madsim's executor between two turns of tasks.
    Outside,
    /// The kernel: network, disks, clocks, timers.
    Kernel,
    /// The history: encoding and digest.
    History,
    /// Whoever watches the history: laws.
    Observers,
    /// The stack's own code on this node.
    Node(NodeIndex),
}

/// Whether worlds say what is at work in them. One for the process, as is the next: no world reads either.
static WATCHED: AtomicBool = AtomicBool::new(false);
/// What is at work in the world that is watched.
static NOW: AtomicU32 = AtomicU32::new(OUTSIDE);

const OUTSIDE: u32 = u32::MAX;
const KERNEL: u32 = u32::MAX - 1;
const HISTORY: u32 = u32::MAX - 2;
const OBSERVERS: u32 = u32::MAX - 3;

/// Has the world that `run` runs say what is at work in it. No other may run in this process meanwhile, or what is said is
/// of both.
pub fn watched<T>(run: impl FnOnce() -> T) -> T {
    WATCHED.store(true, Ordering::Relaxed);
    let output = run();
    WATCHED.store(false, Ordering::Relaxed);
    output
}

/// What is at work in the world that is watched. To be asked from another thread.
pub fn now() -> Part {
    match NOW.load(Ordering::Relaxed) {
        OUTSIDE => Part::Outside,
        KERNEL => Part::Kernel,
        HISTORY => Part::History,
        OBSERVERS => Part::Observers,
        node => Part::Node(NodeIndex(node)),
    }
}

/// `part` is at work until what is returned is dropped.
#[inline]
pub(crate) fn during(part: Part) -> During {
    During(WATCHED.load(Ordering::Relaxed).then(|| NOW.swap(number(part), Ordering::Relaxed)))
}

/// A part at work; what was at work before goes on when it is dropped.
pub(crate) struct During(Option<u32>);

impl Drop for During {
    #[inline]
    fn drop(&mut self) {
        if let Some(before) = self.0 {
            NOW.store(before, Ordering::Relaxed);
        }
    }
}

#[inline]
fn number(part: Part) -> u32 {
    match part {
        Part::Outside => OUTSIDE,
        Part::Kernel => KERNEL,
        Part::History => HISTORY,
        Part::Observers => OBSERVERS,
        Part::Node(node) => node.0,
    }
}
