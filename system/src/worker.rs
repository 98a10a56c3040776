//! Workers: take a lease, convert, store the result.

use crate::queue::client::{Lease, Outcome, QueueClient, QueueError};
use crate::resize::{Converter, Limits, Request, ResizeError, inspect};
use sim::history::Fact;
use sim::stack::Process;
use sim::time::{Instant, sleep};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long one question for work waits for some.
const LEASE_WAIT: Duration = Duration::from_secs(10);
/// How long to wait before the queue is asked again after it could not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// What every job has at hand.
struct Worker {
    queue: QueueClient,
    converter: Converter,
    /// What one conversion costs of a core.
    cost: Duration,
}

/// Runs a worker: as many conversions at once as it has cores, or as the setting `worker.leases` says.
pub async fn serve(process: Process) {
    let deployment = &process.deployment;
    let slots = match deployment.number("worker.leases") {
        0 => process.node.cores,
        leases => u32::try_from(leases).unwrap_or(u32::MAX),
    };
    let worker = Arc::new(Worker {
        queue: QueueClient::new(deployment),
        converter: Converter::new(Limits::default()),
        cost: deployment.duration("worker.conversion-cost"),
    });
    let free = Arc::new(Semaphore::new(slots as usize));
    loop {
        let slot = free.clone().acquire_owned().await.expect("the semaphore is never closed");
        let mut slots = vec![slot];
        while let Ok(slot) = free.clone().try_acquire_owned() {
            slots.push(slot);
        }
        let most = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        let deadline = Instant::now() + LEASE_WAIT + LEASE_WAIT;
        match worker.queue.lease(&process.node.name, most, LEASE_WAIT, deadline).await {
            Ok(leases) => {
                for (lease, slot) in leases.into_iter().zip(slots) {
                    let worker = worker.clone();
                    sim::task::spawn(async move {
                        worker.work(lease).await;
                        drop(slot);
                    });
                }
            }
            Err(error) => {
                tracing::debug!(%error, "no lease");
                sleep(PAUSE).await;
            }
        }
    }
}

impl Worker {
    async fn work(&self, lease: Lease) {
        sim::node::record(Fact::Deliver { id: lease.id, delivery: lease.delivery });
        let ends = Instant::now() + lease.expires_in;
        let outcome = self.convert(&lease).await;
        // Repeated until the queue has it: a lost answer is no lost work, and the token fences what comes too late.
        while Instant::now() < ends {
            match self.queue.finish(&lease, outcome.clone(), ends).await {
                Ok(()) | Err(QueueError::Fenced) => return,
                Err(error) => {
                    tracing::debug!(%error, id = %lease.id, "the result was not stored");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Converts on one of the node's cores, keeping the lease for as long as that takes.
    async fn convert(&self, lease: &Lease) -> Outcome {
        let request = match parse(&lease.request) {
            Ok(request) => request,
            Err(error) => return refusal(&error),
        };
        // What decoding needs of the node's memory; a body without a header fails before it needs any.
        let _memory = inspect(&lease.body).ok().map(|header| sim::memory::reserve(header.working_bytes));
        let (converter, body) = (self.converter.clone(), lease.body.clone());
        let mut conversion =
            std::pin::pin!(sim::cpu::run(self.cost, move || converter.convert(&body, &request)));
        let mut renewal = lease.expires_in / 2;
        loop {
            let converted = tokio::select! { biased;
                converted = &mut conversion => converted,
                () = sleep(renewal) => {
                    if let Ok(again) = self.queue.extend(lease, Instant::now() + renewal).await {
                        renewal = again / 2;
                    }
                    continue;
                }
            };
            return match converted {
                Ok(output) => Outcome::Output {
                    content_type: output.format.content_type().to_owned(),
                    bytes: output.bytes,
                },
                Err(error) => refusal(&error),
            };
        }
    }
}

/// The request that an API server wrote into the job: a query string.
fn parse(request: &str) -> Result<Request, ResizeError> {
    Request::parse(
        request
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, ""))),
    )
}

fn refusal(error: &ResizeError) -> Outcome {
    if let ResizeError::Panicked { detail } = error {
        tracing::warn!(detail, "a codec panicked");
    }
    Outcome::Refused { status: error.status(), code: error.code().to_owned(), message: error.message() }
}
