//! Workers: take leases, convert, hand in the results.

use crate::config::{Agent, Met, Work};
use crate::poison::Weakness;
use crate::queue::{Amounts, Lease, Outcome, QueueClient, QueueError, lease_name};
use crate::resize::{Codec, Converter, Limits, Output, Request, ResizeError, estimated_cost, inspect};
use sim::history::Fact;
use sim::stack::{Process, Setting, SettingKind};
use sim::time::{Instant, sleep, sleep_until};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long one question for work waits for some.
const LEASE_WAIT: Duration = Duration::from_secs(10);
/// How long any answer of the queue may take, besides what it was asked to wait.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long to wait before the queue is asked again after it could not answer, on the average.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a job that this node has no memory for is kept back, so that another worker takes it.
const GIVE_BACK_DELAY: Duration = Duration::from_secs(1);
/// Memory is counted in units of so many bytes, since a semaphore's permits are 32 bits.
const UNIT_BYTES: u64 = 64 * 1024;

/// What scenarios can change about workers, besides their first settings.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "worker.conversion-cost",
        why: "what one conversion costs of a core; 0s: what its header says, by pixels and coding",
        default: "100ms",
        kind: SettingKind::Duration,
    },
    Setting::choice(
        "worker.codec",
        "whether pictures are converted (`real`), or outputs of about their size are made up from header and digest (`modelled`), for rates at which nobody could decode them all",
        &["real", "modelled"],
    ),
    Setting {
        name: "worker.job-timeout",
        why: "how long a worker keeps at one job before it leaves it to another",
        default: "1min",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "worker.renews-leases",
        why: "whether a worker asks for more time while it works",
        default: "true",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "worker.weakness",
        why: "what poisonous pictures do to a worker: nothing, end its process, or take one of its cores for a minute",
        default: "none",
        kind: SettingKind::Choice(&["none", "crash", "hang", "exhaust"]),
    },
];

/// What every job has at hand.
struct Worker {
    queue: QueueClient,
    converter: Converter,
    /// What one conversion costs of a core; none where its header says it.
    cost: Option<Duration>,
    memory: Memory,
    /// How long one job may take.
    timeout: Duration,
    renews_leases: bool,
    /// The version that this worker runs.
    agent: Arc<Agent>,
    weakness: Weakness,
}

/// What became of a job, and what that cost of a core.
struct Done {
    outcome: Outcome,
    cost: Duration,
}

/// Why a job is not this worker's any more.
struct Lost;

/// Runs a worker: as many conversions at once as it has cores, or as the setting `worker.leases` says. When it is asked to
/// stop it takes no more, and ends with what it has under way.
pub(crate) async fn serve(process: Process, agent: Arc<Agent>) {
    let deployment = &process.deployment;
    let slots = match deployment.number("worker.leases") {
        0 => process.node.cores,
        leases => u32::try_from(leases).unwrap_or(u32::MAX),
    };
    let worker = Arc::new(Worker {
        queue: QueueClient::new(deployment),
        converter: Converter::new(Codec::of(deployment), Limits::default()),
        cost: Some(deployment.duration("worker.conversion-cost")).filter(|cost| !cost.is_zero()),
        memory: Memory::new(process.node.memory_bytes),
        timeout: deployment.duration("worker.job-timeout"),
        renews_leases: deployment.flag("worker.renews-leases"),
        agent: agent.clone(),
        weakness: Weakness::of(deployment),
    });
    let free = Arc::new(Semaphore::new(slots as usize));
    let mut chance = sim::node::stream("pauses");
    let mut stopping = pin!(agent.stopping());
    loop {
        let taken = async {
            let slots = free_slots(&free).await;
            let most = u32::try_from(slots.len()).unwrap_or(u32::MAX);
            let deadline = Instant::now() + LEASE_WAIT + ANSWER_WAIT;
            (slots, worker.queue.lease(&process.node.name, most, LEASE_WAIT, deadline).await)
        };
        let (slots, leased) = tokio::select! { biased;
            () = &mut stopping => break,
            taken = taken => taken,
        };
        match leased {
            Ok(leases) => {
                for (lease, slot) in leases.into_iter().zip(slots) {
                    let worker = worker.clone();
                    sim::task::spawn(async move {
                        worker.work(&lease).await;
                        drop(slot);
                    });
                }
            }
            Err(error) => {
                tracing::debug!(%error, "no lease");
                drop(slots);
                sleep(chance.duration(Duration::ZERO..PAUSE * 2)).await;
            }
        }
    }
    // Leases that were on their way here end by themselves.
    drop(free.acquire_many(slots).await);
}

/// All slots that are free, as soon as one is.
async fn free_slots(free: &Arc<Semaphore>) -> Vec<OwnedSemaphorePermit> {
    let first = free.clone().acquire_owned().await.expect("the semaphore is never closed");
    let more = std::iter::from_fn(|| free.clone().try_acquire_owned().ok());
    std::iter::once(first).chain(more).collect()
}

impl Worker {
    /// Does a leased job, as long as the lease can be kept. A job that is lost is another worker's, or will be.
    async fn work(&self, lease: &Lease) {
        sim::node::record(Fact::Deliver { id: lease.id, delivery: lease.delivery, token: lease.token });
        let done = async {
            let Some(under_way) = self.agent.begin() else { return self.give_back(lease).await };
            let done = self.convert(lease).await;
            under_way.end(done.is_none());
            match done {
                Some(done) => self.finish(lease, done).await,
                None => self.give_back(lease).await,
            }
        };
        if self.hold(lease, done).await.is_err() {
            sim::sometimes!("a worker loses the lease of the job that it works on");
            tracing::debug!(id = %lease.id, "the lease is lost");
        }
    }

    /// Does `work` as the lease's holder, where the lease did not end on its way here.
    async fn hold<T>(&self, lease: &Lease, work: impl Future<Output = T>) -> Result<T, Lost> {
        if self.renews_leases && lease.until <= Instant::now() {
            sim::sometimes!("a lease ends on its way to the worker");
            return Err(Lost);
        }
        let (name, token) = (lease_name(lease.id), lease.token);
        sim::node::record(Fact::Acquire { lease: name.clone(), token });
        let kept = self.keep(lease, work).await;
        sim::node::record(Fact::Release { lease: name, token });
        kept
    }

    /// Waits for `work`, and renews the lease whenever half of it has passed, until the job has taken too long or the lease
    /// cannot be counted on any more. A worker that renews no lease does not look when it ends either.
    async fn keep<T>(&self, lease: &Lease, work: impl Future<Output = T>) -> Result<T, Lost> {
        let mut work = pin!(work);
        let begun = Instant::now();
        let mut ends = lease.until;
        let first = if self.renews_leases { (ends - begun) / 2 } else { self.timeout };
        let mut renewal = begun + first;
        loop {
            tokio::select! { biased;
                done = &mut work => return Ok(done),
                () = sleep_until(renewal) => {}
            }
            if begun.elapsed() >= self.timeout {
                return Err(Lost);
            }
            match self.queue.extend(lease, ends).await {
                Ok(until) => {
                    let now = Instant::now();
                    (ends, renewal) = (until, now + (until - now) / 2);
                }
                Err(QueueError::Fenced) => return Err(Lost),
                Err(_) if Instant::now() >= ends => return Err(Lost),
                Err(_) => renewal = ends.min(Instant::now() + PAUSE),
            }
        }
    }

    /// What becomes of a job on one of the node's cores; none where this node cannot do it.
    async fn convert(&self, lease: &Lease) -> Option<Done> {
        let request = match parse(&lease.request) {
            Ok(request) => request,
            Err(error) => {
                return Some(Done {
                    outcome: outcome(lease, Err(error)),
                    cost: self.cost.unwrap_or_default(),
                });
            }
        };
        self.weakness.meet(&lease.body).await;
        let met = self.agent.meet(&Work { options: &lease.request }).await;
        if met == Met::Failure {
            return None;
        }
        // A body without a header fails before it needs memory of its own, or time.
        let header = inspect(&lease.body).ok();
        let working_bytes = header.as_ref().map_or(0, |header| header.working_bytes);
        let by_header = || header.as_ref().map(|header| estimated_cost(header, &request));
        let cost = self.cost.or_else(by_header).unwrap_or_default();
        let memory = self.memory.take(working_bytes.saturating_add(lease.body.len() as u64)).await?;
        let (converter, body) = (self.converter.clone(), lease.body.clone());
        let converted = sim::cpu::run(cost, move || converter.convert(&body, &request)).await;
        drop(memory);
        let outcome = outcome(lease, converted);
        Some(Done { outcome: if met == Met::Spoilt { spoil(outcome) } else { outcome }, cost })
    }

    /// Hands the outcome in, until the queue has it: a lost answer is no lost work, and the lease's token fences what comes
    /// too late.
    async fn finish(&self, lease: &Lease, Done { outcome, cost }: Done) {
        let output_bytes = match &outcome {
            Outcome::Output { bytes, .. } => bytes.len(),
            Outcome::Refused { .. } => 0,
        };
        let amounts = Amounts {
            cpu_ns: u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX),
            bytes: (lease.body.len() + output_bytes) as u64,
        };
        loop {
            match self.queue.finish(lease, outcome.clone(), amounts, Instant::now() + ANSWER_WAIT).await {
                Ok(()) | Err(QueueError::Fenced) => return,
                Err(error) => tracing::debug!(%error, id = %lease.id, "the result was not stored"),
            }
            sleep(PAUSE).await;
        }
    }

    async fn give_back(&self, lease: &Lease) {
        sim::sometimes!("a worker gives a job back");
        tracing::info!(id = %lease.id, "a job needs more memory than this node has to give");
        let given = self.queue.give_back(lease, GIVE_BACK_DELAY, Instant::now() + ANSWER_WAIT).await;
        if let Err(error) = given {
            // The lease ends by itself.
            tracing::debug!(%error, id = %lease.id, "a job was not given back");
        }
    }
}

/// The part of the node's memory that pictures may take: conversions wait for it, since one that goes over what the node
/// has would cost the process its life, and all others with it.
struct Memory {
    units: Arc<Semaphore>,
    units_max: u64,
}

impl Memory {
    /// Three quarters of the node's; the rest is for what is not counted.
    fn new(node_bytes: u64) -> Self {
        let units_max = (node_bytes / 4 * 3 / UNIT_BYTES).min(u64::from(u32::MAX >> 3));
        let permits = usize::try_from(units_max).unwrap_or(Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(permits)), units_max }
    }

    /// Waits until `bytes` are free; none where there are not so many.
    async fn take(&self, bytes: u64) -> Option<(OwnedSemaphorePermit, sim::memory::Reservation)> {
        let units = bytes.div_ceil(UNIT_BYTES);
        let permits = u32::try_from(units).ok().filter(|_| units <= self.units_max)?;
        let permit = self.units.clone().acquire_many_owned(permits).await.ok()?;
        Some((permit, sim::memory::reserve(bytes)))
    }
}

/// The request that an API server wrote into the job: a query string.
fn parse(request: &str) -> Result<Request, ResizeError> {
    let pairs = request.split('&').filter(|pair| !pair.is_empty());
    Request::parse(pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))))
}

/// What a defect makes of an answer.
fn spoil(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Output { content_type, bytes } => {
            let mut bytes = bytes.to_vec();
            bytes.reverse();
            Outcome::Output { content_type, bytes: bytes.into() }
        }
        refused @ Outcome::Refused { .. } => refused,
    }
}

fn outcome(lease: &Lease, converted: Result<Output, ResizeError>) -> Outcome {
    match converted {
        Ok(output) => {
            let content_type = output.format.content_type().to_owned();
            Outcome::Output { content_type, bytes: output.bytes }
        }
        Err(error) => {
            if let ResizeError::Panicked { detail } = &error {
                // Each is a bug in a codec that somebody should hear of; the history counts them.
                tracing::warn!(detail, id = %lease.id, "a codec panicked");
                let text = format!("a codec panicked on the picture of request {}", lease.id);
                sim::node::record(Fact::Note { text });
            }
            let (status, code) = (error.status(), error.code().to_owned());
            Outcome::Refused { status, code, message: error.message() }
        }
    }
}
