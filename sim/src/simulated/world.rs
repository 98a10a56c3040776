//! One run of one plan: a fresh world on a fresh thread.

pub use super::alone::alone;
pub use super::limits::{CutOff, FreshChance, Limits};

use super::agenda::Driver;
use super::kernel::{self, Kernel};
use super::{faults, limits, panics, reached, task, time};
use crate::coverage::Coverage;
use crate::history::{Fact, NodeIndex, Observer, Recorder, Sink, WORLD};
use crate::plan::Plan;
use crate::rng::Stream;
use crate::stack::{Client, Deployment, Process, SettingError, Stack};
use crate::{trace, workload};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the world asks the stack whether it has drained.
const DRAIN_POLL: Duration = Duration::from_millis(250);
/// How often madsim is made to forget tasks that have ended: it keeps a weak handle of each until its metrics are asked for.
const TASK_SWEEP: Duration = Duration::from_secs(10);

/// What came of a run.
pub struct Outcome {
    /// BLAKE3 of the encoded history, 64 hexadecimal digits: equal for equal runs.
    pub digest: String,
    /// How many events the history has.
    pub events: u64,
    /// How many messages the network carried.
    pub messages: u64,
    /// How long the run was, in simulated nanoseconds.
    pub simulated_ns: u64,
    /// By node, in the plan's order: time of its cores that work took while load and faults lasted, in nanoseconds.
    pub busy_ns: Vec<u64>,
    /// The observers, having seen every event.
    pub observers: Vec<Box<dyn Observer>>,
    /// Why the run ended before its time, where it did.
    pub cut_off: Option<CutOff>,
    /// The marks that it reached.
    pub coverage: Coverage,
    /// Every draw of chance, where [`Limits::trace`] asked for it.
    pub trace: Option<Vec<u8>>,
}

/// Runs `stack` as `plan` says, on a thread of its own, since std's hash order differs on one that was used before. The
/// encoded history goes to `sink`; `observers` see each event as it happens.
///
/// # Errors
/// Where the plan's settings are not the stack's.
///
/// # Panics
/// Where hogwash itself has a bug; a panic of the stack is a [`Fact::Panic`].
pub fn run(
    plan: &Plan,
    stack: Arc<dyn Stack>,
    sink: Option<Sink>,
    observers: Vec<Box<dyn Observer>>,
) -> Result<Outcome, SettingError> {
    run_within(plan, stack, sink, observers, Limits::default())
}

/// As [`run`], but ended where it goes past `limits`: the history is then cut short.
///
/// # Errors
/// As [`run`].
///
/// # Panics
/// As [`run`].
pub fn run_within(
    plan: &Plan,
    stack: Arc<dyn Stack>,
    sink: Option<Sink>,
    observers: Vec<Box<dyn Observer>>,
    limits: Limits,
) -> Result<Outcome, SettingError> {
    let plan = Arc::new(plan.clone().to_scale());
    let deployment = Deployment::new(stack.as_ref(), plan.nodes.clone(), &plan.settings)?;
    let thread = std::thread::Builder::new()
        .name(format!("world-{}", plan.seed))
        .stack_size(8 << 20)
        .spawn(move || {
            limits::install(limits);
            run_here(&plan, &stack, Arc::new(deployment), Recorder::new(sink, observers))
        })
        .expect("the machine has a thread to spare");
    Ok(thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload)))
}

fn run_here(
    plan: &Arc<Plan>,
    stack: &Arc<dyn Stack>,
    deployment: Arc<Deployment>,
    recorder: Recorder,
) -> Outcome {
    panics::install();
    reached::begin();
    let scheduler_seed = Stream::named(plan.seed, "scheduler").next_u64();
    let runtime = madsim::runtime::Runtime::with_seed_and_config(scheduler_seed, madsim::Config::default());
    runtime.block_on(async {
        kernel::replace(Some(Kernel::new(plan, recorder)));
    });
    for index in 0..plan.nodes.len() {
        let node = NodeIndex(u32::try_from(index).expect("fewer than 2^32 nodes"));
        let (plan, stack, deployment) = (plan.clone(), stack.clone(), deployment.clone());
        let boot = move || {
            task::on_node(
                node,
                "the node's start",
                process(node, plan.clone(), stack.clone(), deployment.clone()),
            )
        };
        let handle = runtime.create_node().name(plan_name(node)).init(boot).build();
        // madsim starts a node as it is built; ours start together, when the world is whole.
        runtime.handle().kill(handle.id());
        kernel::with(|kernel| kernel.node(node).id = Some(handle.id()));
    }
    let (cut_off, simulated_ns, messages) = runtime.block_on(async {
        let driver = madsim::task::spawn(Driver);
        let sweeper = madsim::task::spawn(sweep_tasks());
        let life = limits::within(live(plan, stack.as_ref(), &deployment)).await;
        let ended = kernel::with(|kernel| (kernel.agenda.now_ns(), kernel.net.messages()));
        driver.abort();
        sweeper.abort();
        end_tasks().await;
        (life.err(), ended.0, ended.1)
    });
    drop(runtime);
    let world = kernel::replace(None).expect("the kernel of this world");
    let busy_ns = world.nodes.iter().map(|node| node.cpu.busy_ns()).collect();
    let (digest, events, observers) = world.recorder.finish();
    let (trace, coverage) = (trace::end(), reached::end());
    Outcome { digest, events, messages, simulated_ns, busy_ns, observers, cut_off, coverage, trace }
}

/// Drops all tasks, while the kernel is still there for their destructors. madsim's tasks hold wakers of themselves, so that
/// those which its runtime leaves waiting are never freed: some 20 KB a world, which a batch of seeds adds up.
async fn end_tasks() {
    let ids: Vec<_> = kernel::with(|kernel| kernel.nodes.iter().filter_map(|node| node.id).collect());
    let madsim = madsim::runtime::Handle::current();
    ids.into_iter().for_each(|id| madsim.kill(id));
    // Time passes once nothing is ready any more, and so not before all that was killed is dropped.
    madsim::time::sleep(TASK_SWEEP).await;
}

fn plan_name(node: NodeIndex) -> String {
    kernel::with(|kernel| kernel.node(node).plan.name.clone())
}

/// The world's life: load and faults, then healing, then draining.
async fn live(plan: &Plan, stack: &dyn Stack, deployment: &Arc<Deployment>) {
    for index in 0..plan.nodes.len() {
        kernel::start(NodeIndex(u32::try_from(index).expect("fewer than 2^32 nodes")));
    }
    kernel::with(|kernel| {
        limits::schedule_fresh_chance(kernel);
        kernel.armed.know(&plan.faults);
        faults::schedule(kernel, &plan.faults);
    });
    time::sleep(Duration::from_nanos(plan.duration_ns)).await;
    // Faults end by the plan's end, so that all are healed one step later.
    task::yield_now().await;
    kernel::with(|kernel| kernel.record(WORLD, Fact::Healed {}));
    let drained = time::timeout(Duration::from_nanos(plan.drain_ns), drain(plan, stack, deployment)).await;
    kernel::with(|kernel| {
        if drained.is_ok() {
            kernel.record(WORLD, Fact::Drained {});
        }
        let end = Fact::End { messages: kernel.net.messages(), steps: kernel.agenda.steps() };
        kernel.record(WORLD, end);
    });
}

/// Waits until no client is at work and the stack says that nothing is left to do, asked from a client's node.
async fn drain(plan: &Plan, stack: &dyn Stack, deployment: &Arc<Deployment>) {
    let asker = plan
        .nodes
        .iter()
        .position(|node| node.is_client())
        .map(|index| NodeIndex(u32::try_from(index).expect("few")));
    loop {
        let clients_rest = kernel::with(|kernel| kernel.clients_at_work == 0);
        if let (true, Some(asker)) = (clients_rest, asker) {
            let answer = Arc::new(AtomicBool::new(false));
            let (told, question) = (answer.clone(), stack.drained(deployment.clone()));
            let id = kernel::with(|kernel| kernel.node(asker).id).expect("the world runs");
            // By its id: a handle from before a restart would spawn on the process that was killed.
            let node = madsim::runtime::Handle::current().get_node(id).expect("the world made it");
            let asked =
                node.spawn(task::on_node(asker, "the drain, to ask whether all is done", async move {
                    told.store(question.await, Ordering::Relaxed);
                }));
            let _ = asked.await;
            if answer.load(Ordering::Relaxed) {
                return;
            }
        }
        time::sleep(DRAIN_POLL).await;
    }
}

/// What runs on a node: the stack's process, or the clients that live there.
async fn process(node: NodeIndex, plan: Arc<Plan>, stack: Arc<dyn Stack>, deployment: Arc<Deployment>) {
    let incarnation = kernel::with(|kernel| kernel.node(node).incarnation);
    let spec = plan.nodes[node.0 as usize].clone();
    if spec.is_client() {
        clients(node, &plan, stack.as_ref(), &deployment).await;
        // Stays: the node may be asked to find out whether the stack has drained.
        return std::future::pending().await;
    }
    stack.boot(Process { node: spec, deployment, incarnation }).await;
    kernel::with(|kernel| kernel.control(move || kernel::returned(node)));
    std::future::pending().await
}

/// Runs the clients of one client node: every so-many-th of all. After a crash each goes on with what is still to come.
async fn clients(node: NodeIndex, plan: &Plan, stack: &dyn Stack, deployment: &Arc<Deployment>) {
    let homes: Vec<_> = (0..)
        .zip(&plan.nodes)
        .filter(|(_, spec)| spec.is_client())
        .map(|(index, _)| NodeIndex(index))
        .collect();
    let place = homes.iter().position(|home| *home == node).expect("it is a client node");
    let now_ns = kernel::with(|kernel| kernel.agenda.now_ns());
    let at_work = AtWork::new();
    let mut tasks = Vec::new();
    for index in (0..plan.workload.clients).skip(place).step_by(homes.len()) {
        let mut operations = workload::operations(&plan.workload, plan.seed, index, plan.duration_ns);
        operations.retain(|operation| operation.at_ns >= now_ns);
        let client = stack.client(Client { index, deployment: deployment.clone(), operations });
        tasks.push(task::spawn_from(&format!("the node's start, as client {index}"), client));
    }
    for task in tasks {
        let _ = task.await;
    }
    drop(at_work);
}

/// Counts a client node as at work until it is dropped, by finishing or by a crash.
struct AtWork;

impl AtWork {
    fn new() -> Self {
        kernel::with(|kernel| kernel.clients_at_work += 1);
        Self
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        kernel::try_with(|kernel| kernel.clients_at_work -= 1);
    }
}

async fn sweep_tasks() {
    loop {
        time::sleep(TASK_SWEEP).await;
        let _ = madsim::runtime::Handle::current().metrics().num_tasks();
    }
}
