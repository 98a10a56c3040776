//! The stack in a world, with one node more: the tester, whose process runs a test's body.

use sim::history::{Down, Event, Fact, NodeIndex};
use sim::plan::{CLIENT_ROLE, NodePlan};
use sim::stack::{Client, Deployment, Process, Role, Setting, Stack, Task};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, mpsc};
use system::ImageStack;

/// The tester's node.
pub(crate) const TESTER: &str = "tester-1";

/// What to run, and in which world.
#[derive(Clone, Debug)]
#[cfg_attr(
    live,
    expect(dead_code, reason = "the live world has no seed, no users of its own and no set length")
)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) api: u32,
    pub(crate) queue: u32,
    pub(crate) worker: u32,
    pub(crate) balancer: u32,
    pub(crate) config: u32,
    pub(crate) auth: u32,
    pub(crate) identity: u32,
    /// What goes wrong in the simulated world; in the live one nothing does.
    pub(crate) faults: Vec<sim::fault::Fault>,
    pub(crate) worker_memory_bytes: u64,
    /// Nodes of each of the tiers that keep accounts, make bills and archive them.
    pub(crate) accounts: u32,
    /// Simulated users, on a node of their own; none in the live world.
    pub(crate) clients: u32,
    pub(crate) rate_per_s: f64,
    pub(crate) settings: BTreeMap<String, String>,
    /// How long the simulated world lasts; the live one ends with the body.
    pub(crate) duration_s: u64,
}

impl Setup {
    /// The tester alone.
    pub(crate) fn alone() -> Self {
        Self {
            seed: 7,
            api: 0,
            queue: 0,
            worker: 0,
            balancer: 0,
            config: 0,
            auth: 0,
            identity: 0,
            faults: Vec::new(),
            worker_memory_bytes: 4 << 30,
            accounts: 0,
            clients: 0,
            rate_per_s: 0.0,
            settings: BTreeMap::new(),
            duration_s: 120,
        }
    }

    pub(crate) fn nodes(&self) -> Vec<NodePlan> {
        let memory_bytes = |role: &str| if role == "worker" { self.worker_memory_bytes } else { 4 << 30 };
        let users = u32::from(self.clients > 0);
        let counts = [
            ("api", self.api),
            ("queue", self.queue),
            ("worker", self.worker),
            ("usage", self.accounts),
            ("batch", self.accounts),
            ("archive", self.accounts),
            ("balancer", self.balancer),
            ("config", self.config),
            ("auth", self.auth),
            ("identity", self.identity),
            ("tester", 1),
            (CLIENT_ROLE, users),
        ];
        let numbered =
            counts.iter().flat_map(|(role, count)| (1..=*count).map(move |number| (*role, number)));
        numbered.map(|(role, number)| node(role, number, memory_bytes(role))).collect()
    }
}

fn node(role: &str, number: u32, memory_bytes: u64) -> NodePlan {
    NodePlan {
        name: format!("{role}-{number}"),
        role: role.to_owned(),
        cores: 4,
        memory_bytes,
        domains: BTreeMap::new(),
        clock_offset_ns: 0,
        clock_drift_parts_per_million: 0.0,
    }
}

type Body = Box<dyn Fn(Arc<Deployment>) -> Task + Send + Sync>;

/// The image stack and a tester.
struct Tested {
    body: Body,
    through: Mutex<mpsc::Sender<()>>,
}

impl Stack for Tested {
    fn name(&self) -> &'static str {
        "image"
    }

    fn roles(&self) -> &'static [Role] {
        const TESTER: Role = Role { name: "tester", why: "runs a test's body", count: 1, cores: 4 };
        const { &[TESTER] }
    }

    fn settings(&self) -> &'static [Setting] {
        ImageStack.settings()
    }

    fn boot(&self, process: Process) -> Task {
        if process.node.role != "tester" {
            return ImageStack.boot(process);
        }
        let body = (process.incarnation == 1).then(|| (self.body)(process.deployment));
        let through = self.through.lock().unwrap().clone();
        Box::pin(async move {
            if let Some(body) = body {
                body.await;
                through.send(()).unwrap();
            }
            std::future::pending::<()>().await;
        })
    }

    fn client(&self, client: Client) -> Task {
        ImageStack.client(client)
    }

    fn drained(&self, deployment: Arc<Deployment>) -> Task<bool> {
        ImageStack.drained(deployment)
    }
}

/// Runs `body` as the tester's process; all that happened.
pub(crate) fn run<F>(setup: &Setup, body: impl Fn(Arc<Deployment>) -> F + Send + Sync + 'static) -> Vec<Event>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, through) = mpsc::channel();
    let body: Body = Box::new(move |deployment| Box::pin(body(deployment)));
    let stack = Arc::new(Tested { body, through: Mutex::new(sender) });
    let events = run_stack(setup, stack, through);
    for event in &events {
        assert!(!matches!(event.fact, Fact::Panic { .. }), "{event:?}");
    }
    events
}

/// No process of the stack ended by itself.
pub(crate) fn assert_all_live(events: &[Event]) {
    for event in events {
        let ended =
            matches!(event.fact, Fact::Exit { cause: Down::Panic | Down::OutOfMemory | Down::Returned });
        assert!(!ended, "{event:?}");
    }
}

/// The facts of `events` that `pick` picks.
pub(crate) fn pick<T>(events: &[Event], pick: impl Fn(NodeIndex, &Fact) -> Option<T>) -> Vec<T> {
    events.iter().filter_map(|event| pick(event.node, &event.fact)).collect()
}

#[cfg(not(live))]
fn run_stack(setup: &Setup, stack: Arc<Tested>, through: mpsc::Receiver<()>) -> Vec<Event> {
    use sim::plan::{DiskPlan, NetworkPlan, Objectives, PLAN_VERSION, Plan, Workload};
    let plan = Plan {
        version: PLAN_VERSION,
        stack: "image".to_owned(),
        scenario: "test/door".to_owned(),
        variant: None,
        seed: setup.seed,
        duration_ns: setup.duration_s * 1_000_000_000,
        drain_ns: if setup.clients > 0 { 60_000_000_000 } else { 1_000_000_000 },
        expect: BTreeMap::new(),
        objectives: Objectives::default(),
        settings: setup.settings.clone(),
        workload: Workload { clients: setup.clients, rate_per_s: setup.rate_per_s, ..Workload::default() },
        network: NetworkPlan::default(),
        disk: DiskPlan::default(),
        byte_scale: 1,
        nodes: setup.nodes(),
        faults: setup.faults.clone(),
    };
    let history = Arc::new(Mutex::new(Vec::new()));
    let written = history.clone();
    let sink = Box::new(move |bytes: &[u8]| written.lock().unwrap().extend_from_slice(bytes));
    sim::world::run(&plan, stack, Some(sink), Vec::new()).unwrap();
    let events: Vec<_> = sim::history::read(&history.lock().unwrap()).unwrap().map(Result::unwrap).collect();
    if through.try_recv().is_err() {
        let fell = pick(&events, |_, fact| matches!(fact, Fact::Panic { .. }).then(|| format!("{fact:?}")));
        panic!("the body did not come to its end: {fell:?} {:?}", tail(&events));
    }
    events
}

#[cfg(not(live))]
fn tail(events: &[Event]) -> &[Event] {
    &events[events.len().saturating_sub(20)..]
}

#[cfg(live)]
#[expect(clippy::disallowed_methods, reason = "a test of the real world")]
fn run_stack(setup: &Setup, stack: Arc<Tested>, through: mpsc::Receiver<()>) -> Vec<Event> {
    use sim::server::{ServeOptions, serve_until};
    assert!(setup.faults.is_empty(), "nothing injects faults into the machine");
    let nodes = setup.nodes();
    let deployment = Deployment::new(stack.as_ref(), nodes.clone(), &setup.settings).unwrap();
    let data = tempfile::tempdir().unwrap();
    let data = data.path().join("data");
    let options = ServeOptions { data: data.clone(), base_port: free_ports(), nodes: None };
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let waiter = std::thread::spawn(move || {
        let result = through.recv_timeout(std::time::Duration::from_secs(120));
        let _ = stop.send(());
        result
    });
    serve_until(stack, deployment, options, async { drop(stopped.await) }).unwrap();
    let mut events = Vec::new();
    for node in nodes {
        let bytes = std::fs::read(data.join(&node.name).join("history/000001")).unwrap();
        events.extend(sim::history::read(&bytes).unwrap().map(Result::unwrap));
    }
    events.sort_by_key(|event| event.at_ns);
    waiter.join().unwrap().unwrap_or_else(|_| panic!("the body did not come to its end: {events:?}"));
    events
}

/// A base port with free ones above it, of its own among the tests that run at the same time.
#[cfg(live)]
fn free_ports() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    /// Each with room for sixteen nodes, all below the ports that systems give away by themselves.
    const BASES: u16 = 13;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    #[expect(clippy::disallowed_methods, reason = "a test of the real world")]
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    // The next ones each time, and the first again after the last: whoever had them is long gone.
    let next = || 10_000 + 1_600 * (NEXT.fetch_add(1, Ordering::Relaxed) % BASES);
    let mut bases = std::iter::repeat_with(next).take(BASES.into());
    bases.find(|base| (0..16).all(|node| free(base + node * 100 + 80))).expect("ports are free")
}
