//! The state of one world. One thread holds one world, so the kernel is the thread's.

use super::agenda::{Agenda, Step};
use super::clock::Clock;
use super::cpu::Cpu;
use super::disk::Disk;
use super::faults::{self, Armed};
use super::names::Names;
use super::net::{self, Network};
use super::profile::{self, Part};
use super::time::Timers;
use crate::history::{Down, Event, Fact, NodeIndex, Recorder, WORLD};
use crate::plan::{NodePlan, Plan};
use crate::rng::Stream;
use crate::trace;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;

/// How long a process that ended by itself takes to be started again, as by a supervisor.
pub(crate) const SUPERVISOR_DELAY_NS: u64 = 1_000_000_000;

thread_local! {
    static KERNEL: RefCell<Option<Kernel>> = const { RefCell::new(None) };
    static CURRENT: Cell<NodeIndex> = const { Cell::new(WORLD) };
}

/// Everything that one world is.
pub(crate) struct Kernel {
    pub(crate) seed: u64,
    pub(crate) agenda: Agenda,
    pub(crate) timers: Timers,
    pub(crate) nodes: Vec<Node>,
    pub(crate) net: Network,
    pub(crate) recorder: Recorder,
    /// The last node that recorded [`Fact::Lead`], by role.
    pub(crate) leaders: Vec<(String, NodeIndex)>,
    /// Client nodes with requests still to make or to be answered.
    pub(crate) clients_at_work: u32,
    /// Faults that wait for what sets them off.
    pub(crate) armed: Armed,
}

/// One simulated machine.
pub(crate) struct Node {
    pub(crate) plan: NodePlan,
    /// madsim's name for it, once the world runs.
    pub(crate) id: Option<madsim::task::NodeId>,
    /// Whether its process runs.
    pub(crate) running: bool,
    /// How often its process was started.
    pub(crate) incarnation: u32,
    pub(crate) clock: Clock,
    pub(crate) cpu: Cpu,
    pub(crate) disk: Disk,
    pub(crate) memory_used_bytes: u64,
    /// Faults under way that hold its process still.
    pub(crate) paused_by: BTreeSet<u32>,
    /// Faults under way that keep its process down.
    pub(crate) crashed_by: BTreeSet<u32>,
    /// Faults under way that keep power from it.
    pub(crate) dark_by: BTreeSet<u32>,
    /// Memory that others on the host take, by the fault that has them do so.
    pub(crate) memory_taken_bytes: BTreeMap<u32, u64>,
    /// What looking names up from here comes to.
    pub(crate) names: Names,
    /// Whether its process was asked to stop, and who waits to hear of it.
    pub(crate) stopping: bool,
    pub(crate) stop_wakers: Vec<Waker>,
}

impl Kernel {
    /// The world of `plan`, all nodes powered and nothing started. Must be called within madsim's runtime.
    pub(crate) fn new(plan: &Plan, recorder: Recorder) -> Self {
        let nodes = plan.nodes.iter().map(|node| Node::new(node, plan)).collect();
        Self {
            seed: plan.seed,
            agenda: Agenda::new(),
            timers: Timers::default(),
            nodes,
            net: Network::new(plan),
            recorder,
            leaders: Vec::new(),
            clients_at_work: 0,
            armed: Armed::default(),
        }
    }

    /// The node at `index`; [`WORLD`] is none.
    pub(crate) fn node(&mut self, index: NodeIndex) -> &mut Node {
        &mut self.nodes[index.0 as usize]
    }

    /// The place of the node called `name`.
    pub(crate) fn index_of(&self, name: &str) -> Option<NodeIndex> {
        let position = self.nodes.iter().position(|node| node.plan.name == name)?;
        Some(NodeIndex(u32::try_from(position).expect("fewer than 2^32 nodes")))
    }

    /// Adds an event, now, on `node`.
    pub(crate) fn record(&mut self, node: NodeIndex, fact: Fact) {
        if let Fact::Lead { .. } = fact {
            let role = self.node(node).plan.role.clone();
            self.leaders.retain(|(of, _)| *of != role);
            self.leaders.push((role, node));
        }
        let at_ns = self.agenda.now_ns();
        let event = Event { at_ns, node, fact };
        trace::event(&event);
        let set_off = self.armed.hear(&event, &self.nodes);
        self.recorder.record(event);
        faults::set_off(self, set_off);
    }

    /// Plans something that must run outside the kernel's borrow, at once.
    pub(crate) fn control(&mut self, control: impl FnOnce() + Send + 'static) {
        let now_ns = self.agenda.now_ns();
        self.agenda.push(now_ns, Step::Control(Box::new(control)));
    }
}

impl Node {
    fn new(plan: &NodePlan, world: &Plan) -> Self {
        Self {
            id: None,
            running: false,
            incarnation: 0,
            clock: Clock::new(plan.clock_offset_ns, plan.clock_drift_parts_per_million),
            cpu: Cpu::new(plan.cores, world.duration_ns),
            disk: Disk::new(&world.disk, Stream::named(world.seed, &format!("disk/{}", plan.name))),
            memory_used_bytes: 0,
            paused_by: BTreeSet::new(),
            crashed_by: BTreeSet::new(),
            dark_by: BTreeSet::new(),
            memory_taken_bytes: BTreeMap::new(),
            names: Names::default(),
            stopping: false,
            stop_wakers: Vec::new(),
            plan: plan.clone(),
        }
    }

    /// Whether its host has power.
    pub(crate) fn powered(&self) -> bool {
        self.dark_by.is_empty()
    }

    /// Memory that its process may have.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.plan.memory_bytes.saturating_sub(self.memory_taken_bytes.values().sum())
    }

    fn id(&self) -> madsim::task::NodeId {
        self.id.expect("the world runs")
    }
}

/// Lends this thread's kernel. Must not be called from within itself.
pub(crate) fn with<T>(use_it: impl FnOnce(&mut Kernel) -> T) -> T {
    let _at_work = profile::during(Part::Kernel);
    KERNEL.with_borrow_mut(|kernel| {
        use_it(kernel.as_mut().expect("called outside a world: run the code under sim::world::run"))
    })
}

/// As [`with`], where there is a world at all: for destructors, which also run while a world is taken down.
pub(crate) fn try_with<T>(use_it: impl FnOnce(&mut Kernel) -> T) -> Option<T> {
    KERNEL.try_with(|kernel| kernel.try_borrow_mut().ok()?.as_mut().map(use_it)).ok().flatten()
}

/// Sets this thread's kernel; gives the one before.
pub(crate) fn replace(kernel: Option<Kernel>) -> Option<Kernel> {
    KERNEL.replace(kernel)
}

/// The node of the running task.
#[inline]
pub(crate) fn current() -> NodeIndex {
    CURRENT.get()
}

/// Runs `run` as the node `node`.
pub(crate) fn enter<T>(node: NodeIndex, run: impl FnOnce() -> T) -> T {
    struct Leave(NodeIndex);
    impl Drop for Leave {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _leave = Leave(CURRENT.replace(node));
    let _at_work = profile::during(if node == WORLD { Part::Outside } else { Part::Node(node) });
    run()
}

/// Starts the process of `node`, unless it runs, has no power or is kept down by a fault.
pub(crate) fn start(node: NodeIndex) {
    let id = with(|kernel| {
        let machine = kernel.node(node);
        if machine.running || !machine.powered() || !machine.crashed_by.is_empty() {
            return None;
        }
        machine.running = true;
        machine.stopping = false;
        machine.incarnation += 1;
        let (incarnation, id) = (machine.incarnation, machine.id());
        kernel.record(node, Fact::Boot { incarnation });
        Some(id)
    });
    if let Some(id) = id {
        let madsim = madsim::runtime::Handle::current();
        madsim.restart(id);
        if with(|kernel| !kernel.node(node).paused_by.is_empty()) {
            madsim.pause(id);
        }
    }
}

/// Ends the process of `node`: its tasks are dropped, its sockets and files go as `cause` has it. One that ended by
/// itself is started again by its supervisor.
pub(crate) fn stop(node: NodeIndex, cause: Down) {
    let id = with(|kernel| {
        let now_ns = kernel.agenda.now_ns();
        let machine = kernel.node(node);
        if !machine.running {
            return None;
        }
        machine.running = false;
        machine.memory_used_bytes = 0;
        machine.stop_wakers.clear();
        machine.cpu.clear(now_ns);
        machine.disk.process_ended();
        let id = machine.id();
        kernel.record(node, Fact::Exit { cause });
        if cause == Down::PowerLoss {
            net::host_lost(kernel, node);
        } else {
            net::process_ended(kernel, node);
        }
        if matches!(cause, Down::Panic | Down::OutOfMemory | Down::Returned | Down::Abort | Down::Restart) {
            let again_ns = kernel.agenda.now_ns() + SUPERVISOR_DELAY_NS;
            kernel.agenda.push(again_ns, Step::Control(Box::new(move || start(node))));
        }
        Some(id)
    });
    if let Some(id) = id {
        madsim::runtime::Handle::current().kill(id);
    }
}

/// Has `fault` kill the process of `node` and keep it down.
pub(crate) fn crash(node: NodeIndex, fault: u32) {
    stop(node, Down::Crash);
    with(|kernel| kernel.node(node).crashed_by.insert(fault));
}

/// Ends `fault`'s crash of `node`.
pub(crate) fn uncrash(node: NodeIndex, fault: u32) {
    with(|kernel| kernel.node(node).crashed_by.remove(&fault));
    start(node);
}

/// Has `fault` ask the process of `node` to stop within `grace_ns`, and keep it down. One that does not listen ends at
/// once, as by SIGTERM.
pub(crate) fn ask_to_stop(node: NodeIndex, fault: u32, grace_ns: u64) {
    let listens = with(|kernel| {
        let machine = kernel.node(node);
        machine.crashed_by.insert(fault);
        machine.stopping = machine.running;
        !machine.stop_wakers.is_empty()
    });
    if !listens {
        return stop(node, Down::Stop);
    }
    let wakers = with(|kernel| {
        let machine = kernel.node(node);
        let (incarnation, wakers) = (machine.incarnation, std::mem::take(&mut machine.stop_wakers));
        let late = move || {
            if with(|kernel| kernel.node(node).incarnation == incarnation) {
                stop(node, Down::Crash);
            }
        };
        let late_ns = kernel.agenda.now_ns().saturating_add(grace_ns);
        kernel.agenda.push(late_ns, Step::Control(Box::new(late)));
        wakers
    });
    wakers.into_iter().for_each(Waker::wake);
}

/// Ends the process of `node`, which has come to its end by itself: as it was asked to, or not.
pub(crate) fn returned(node: NodeIndex) {
    let asked = with(|kernel| kernel.node(node).stopping);
    stop(node, if asked { Down::Stop } else { Down::Returned });
}

/// Has `fault` take memory of the host of `node` away: a process that has more than what is left is killed.
pub(crate) fn take_memory(node: NodeIndex, fault: u32, bytes: u64) {
    let over = with(|kernel| {
        let machine = kernel.node(node);
        machine.memory_taken_bytes.insert(fault, bytes);
        machine.memory_used_bytes > machine.memory_bytes()
    });
    if over {
        stop(node, Down::OutOfMemory);
    }
}

/// Has `fault` put a machine with an empty disk in the place of `node`; it stays without power.
pub(crate) fn lose_disk(node: NodeIndex, fault: u32) {
    power_off(node, fault);
    with(|kernel| {
        kernel.node(node).disk.replace();
        kernel.record(node, Fact::DiskLoss { unsynced_bytes: 0, synced: true });
    });
}

/// Has `fault` take the power of `node` away: its process ends, its disk keeps what chance leaves of unsynced writes.
pub(crate) fn power_off(node: NodeIndex, fault: u32) {
    stop(node, Down::PowerLoss);
    with(|kernel| {
        let now_ns = kernel.agenda.now_ns();
        let machine = kernel.node(node);
        if machine.powered() {
            let unsynced_bytes = machine.disk.power_loss(now_ns);
            // A process that had ended before leaves sockets of its host behind.
            net::host_lost(kernel, node);
            let synced = kernel.node(node).disk.take_damage();
            kernel.record(node, Fact::DiskLoss { unsynced_bytes, synced });
        }
        kernel.node(node).dark_by.insert(fault);
    });
}

/// Ends `fault`'s loss of power at `node`.
pub(crate) fn power_on(node: NodeIndex, fault: u32) {
    with(|kernel| {
        kernel.node(node).dark_by.remove(&fault);
        if kernel.node(node).powered() {
            net::host_restored(kernel, node);
        }
    });
    start(node);
}

/// Has `fault` hold the process of `node` still.
pub(crate) fn pause(node: NodeIndex, fault: u32) {
    let id = with(|kernel| {
        let machine = kernel.node(node);
        machine.paused_by.insert(fault);
        machine.id()
    });
    madsim::runtime::Handle::current().pause(id);
}

/// Ends `fault`'s pause of `node`.
pub(crate) fn resume(node: NodeIndex, fault: u32) {
    let id = with(|kernel| {
        let machine = kernel.node(node);
        machine.paused_by.remove(&fault);
        machine.paused_by.is_empty().then(|| machine.id())
    });
    if let Some(id) = id {
        madsim::runtime::Handle::current().resume(id);
    }
}
