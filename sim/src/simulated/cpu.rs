//! Cores: work that costs time queues for them.

use super::agenda::Step;
use super::kernel;
use std::time::Duration;

/// Does `work` on one of the node's cores and charges `cost` for it: waits for a core in the order of the calls, then for
/// `cost`, longer where the node's cores are slow. The work itself takes no simulated time, and is done at the end.
///
/// In the live world `work` runs on a thread for blocking work, and takes as long as it takes.
pub async fn run<T, F>(cost: Duration, work: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let (sender, done) = tokio::sync::oneshot::channel::<()>();
    kernel::with(|kernel| {
        let now_ns = kernel.agenda.now_ns();
        let cost_ns = u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX);
        let done_ns = kernel.node(kernel::current()).cpu.book(now_ns, cost_ns);
        // The core is true time's, not the clock's: a drifting clock does not compute faster.
        kernel.agenda.push(done_ns, Step::Control(Box::new(move || sender.send(()).unwrap_or(()))));
    });
    // An error means that the world ends; nothing waits for the work any more.
    let _ = done.await;
    work()
}

/// The cores of one node.
pub(crate) struct Cpu {
    /// When each core is free again.
    free_ns: Vec<u64>,
}

impl Cpu {
    pub(crate) fn new(cores: u32) -> Self {
        Self { free_ns: vec![0; cores.max(1) as usize] }
    }

    /// Books the first free core for `cost_ns`; returns when it will be done.
    fn book(&mut self, now_ns: u64, cost_ns: u64) -> u64 {
        let core = self.free_ns.iter_mut().min().expect("a node has a core");
        *core = (*core).max(now_ns).saturating_add(cost_ns);
        *core
    }

    /// Forgets all work: its process has ended.
    pub(crate) fn clear(&mut self) {
        self.free_ns.fill(0);
    }
}
