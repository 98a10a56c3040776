//! Cores: work that costs time queues for them.

use super::host;
use std::time::Duration;

/// Does `work` on one of the node's cores: waits for one of as many as the node has, then for the work, which runs on a
/// thread for blocking work and takes as long as it takes. The cost is what the simulated world charges for it.
pub async fn run<T, F>(_cost: Duration, work: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let host = host::current();
    let core = host.cores.clone().acquire_owned().await.expect("nobody closes the semaphore");
    let done = tokio::task::spawn_blocking(move || {
        // The core is the work's, even where nobody waits for it any more.
        let _core = core;
        host.enter(work)
    });
    match done.await {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(payload) => std::panic::resume_unwind(payload),
            // The program ends; nothing waits for the work any more.
            Err(_) => std::future::pending().await,
        },
    }
}
