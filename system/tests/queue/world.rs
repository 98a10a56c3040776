//! Worlds of a queue, workers and clients that each test scripts.

use crate::system::queue::{self, QueueClient};
use sim::fault::{Cut, Fault, Inject, On};
use sim::history::{Event, Fact, Id, Observer};
use sim::plan::{DiskPlan, NetworkPlan, NodePlan, Objectives, PLAN_VERSION, Plan, Workload};
use sim::stack::{Client, Deployment, Process, Role, Setting, Stack, Task};
use sim::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ROLES: [Role; 2] = [
    Role { name: "queue", why: "keeps jobs", count: 3, cores: 1 },
    Role { name: "worker", why: "runs the test's worker", count: 1, cores: 1 },
];

type Worker = Arc<dyn Fn(Process) -> Task + Send + Sync>;
type Clients = Arc<dyn Fn(Client) -> Task + Send + Sync>;

/// What a test runs beside the queue.
#[derive(Clone)]
pub(crate) struct Script {
    /// Before each start of a replica.
    pub(crate) before_queue: Worker,
    pub(crate) worker: Worker,
    pub(crate) client: Clients,
}

impl Script {
    /// Workers that answer every job with its body reversed, after 20 ms; a client that the test writes.
    pub(crate) fn new(client: impl Fn(Client) -> Task + Send + Sync + 'static) -> Self {
        Self {
            before_queue: Arc::new(|_| Box::pin(async {})),
            worker: Arc::new(|process| Box::pin(reverse(process))),
            client: Arc::new(client),
        }
    }

    pub(crate) fn with_worker(self, worker: impl Fn(Process) -> Task + Send + Sync + 'static) -> Self {
        Self { worker: Arc::new(worker), ..self }
    }
}

impl Stack for Script {
    fn name(&self) -> &'static str {
        "queue-test"
    }

    fn roles(&self) -> &'static [Role] {
        &ROLES
    }

    fn settings(&self) -> &'static [Setting] {
        queue::SETTINGS
    }

    fn boot(&self, process: Process) -> Task {
        if process.node.role == "worker" {
            return (self.worker)(process);
        }
        let before = (self.before_queue)(process.clone());
        Box::pin(async move {
            before.await;
            queue::serve(process).await;
        })
    }

    fn client(&self, client: Client) -> Task {
        (self.client)(client)
    }

    fn drained(&self, deployment: Arc<Deployment>) -> Task<bool> {
        Box::pin(async move {
            let depth = QueueClient::new(&deployment).depth(soon()).await;
            depth.is_ok_and(|depth| depth.waiting == 0 && depth.leased == 0)
        })
    }
}

/// Leases jobs one by one and finishes each with its body reversed.
pub(crate) async fn reverse(process: Process) {
    let queue = QueueClient::new(&process.deployment);
    loop {
        let leases = queue.lease(&process.node.name, 4, Duration::from_secs(5), in_seconds(20)).await;
        for lease in leases.unwrap_or_default() {
            sim::node::record(Fact::Deliver { id: lease.id, delivery: lease.delivery, token: lease.token });
            sim::time::sleep(Duration::from_millis(20)).await;
            let bytes = lease.body.iter().rev().copied().collect::<Vec<_>>().into();
            let outcome = queue::Outcome::Output { content_type: "text/plain".to_owned(), bytes };
            // Where that fails, the lease expires and another tries.
            let _ = queue.finish(&lease, outcome, queue::Amounts::default(), in_seconds(8)).await;
        }
    }
}

pub(crate) fn soon() -> Instant {
    in_seconds(5)
}

pub(crate) fn in_seconds(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

fn node(name: &str, role: &str) -> NodePlan {
    NodePlan {
        name: name.to_owned(),
        role: role.to_owned(),
        cores: 1,
        memory_bytes: 1 << 30,
        domains: BTreeMap::new(),
        clock_offset_ns: 0,
        clock_drift_parts_per_million: 0.0,
    }
}

/// Three replicas, one worker, one client with `rate` requests a second, for `seconds`.
pub(crate) fn plan(seed: u64, seconds: u64, rate: f64, faults: Vec<Fault>) -> Plan {
    plan_of(3, seed, seconds, rate, faults)
}

/// As [`plan`], with so many nodes of the queue.
pub(crate) fn plan_of(replicas: u32, seed: u64, seconds: u64, rate: f64, faults: Vec<Fault>) -> Plan {
    let mut nodes: Vec<_> = (1..=replicas).map(|index| node(&format!("queue-{index}"), "queue")).collect();
    nodes.push(node("worker-1", "worker"));
    nodes.push(node("client-1", "client"));
    Plan {
        version: PLAN_VERSION,
        stack: "queue-test".to_owned(),
        scenario: "test/queue".to_owned(),
        variant: None,
        seed,
        duration_ns: seconds * 1_000_000_000,
        drain_ns: 60_000_000_000,
        expect: BTreeMap::new(),
        objectives: Objectives::default(),
        settings: BTreeMap::new(),
        workload: Workload { clients: 1, rate_per_s: rate, ..Workload::default() },
        network: NetworkPlan::default(),
        disk: DiskPlan::default(),
        byte_scale: 1,
        nodes,
        faults,
    }
}

pub(crate) fn set(mut plan: Plan, name: &str, value: &str) -> Plan {
    plan.settings.insert(name.to_owned(), value.to_owned());
    plan
}

pub(crate) fn fault(start_s: u64, end_s: u64, inject: Inject) -> Fault {
    let (start_ns, end_ns) = (start_s * 1_000_000_000, end_s * 1_000_000_000);
    Fault { name: format!("fault-{start_s}"), start_ns, end_ns, after: None, shared: None, inject }
}

pub(crate) fn on(names: &[&str]) -> On {
    On { nodes: names.iter().map(|name| (*name).to_owned()).collect() }
}

pub(crate) fn cut(from: &[&str], to: &[&str]) -> Inject {
    Inject::Cut(Cut { from: on(from).nodes, to: on(to).nodes, both_ways: true })
}

/// What a run left behind.
pub(crate) struct Run {
    pub(crate) digest: String,
    pub(crate) events: Vec<Event>,
    pub(crate) messages: u64,
}

struct Keep(Arc<Mutex<Vec<Event>>>);

impl Observer for Keep {
    fn observe(&mut self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

pub(crate) fn run(plan: &Plan, script: &Script) -> Run {
    let events = Arc::new(Mutex::new(Vec::new()));
    let observers: Vec<Box<dyn Observer>> = vec![Box::new(Keep(events.clone()))];
    let outcome = sim::world::run(plan, Arc::new(script.clone()), None, observers).expect("its settings");
    let events = std::mem::take(&mut *events.lock().unwrap());
    let run = Run { digest: outcome.digest, events, messages: outcome.messages };
    let panic = run.of("panic").next();
    assert!(panic.is_none(), "{panic:?}");
    run.check_agreement();
    run
}

impl Run {
    /// The events of a kind.
    pub(crate) fn of<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a Event> {
        self.events.iter().filter(move |event| event.fact.word() == word)
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        let text = |event: &Event| match &event.fact {
            Fact::Note { text } => Some(text.clone()),
            _ => None,
        };
        self.events.iter().filter_map(text).collect()
    }

    /// Requests that clients were told are accepted, and those that are done.
    pub(crate) fn acknowledged_and_done(&self) -> (BTreeSet<Id>, BTreeSet<Id>) {
        let (mut acknowledged, mut done) = (BTreeSet::new(), BTreeSet::new());
        for event in &self.events {
            match event.fact {
                Fact::Acknowledge { id } => drop(acknowledged.insert(id)),
                Fact::Finish { id, .. } | Fact::Quarantine { id, .. } => drop(done.insert(id)),
                _ => {}
            }
        }
        (acknowledged, done)
    }

    /// The highest slot that each node of the queue knows to be chosen.
    pub(crate) fn chosen(&self) -> BTreeMap<u32, u64> {
        let mut chosen = BTreeMap::new();
        for event in &self.events {
            if let Fact::Choose { slot, .. } = event.fact {
                let highest = chosen.entry(event.node.0).or_insert(slot);
                *highest = slot.max(*highest);
            }
        }
        chosen
    }

    /// One value a slot, one effect a job; not for the unsafe mode, which forgets.
    fn check_agreement(&self) {
        if self.notes().iter().any(|note| note == UNSAFE) {
            return;
        }
        let (mut values, mut effects) = (BTreeMap::new(), BTreeMap::new());
        for event in &self.events {
            match event.fact {
                Fact::Choose { slot, value, .. } => {
                    assert_eq!(*values.entry(slot).or_insert(value), value, "two values for slot {slot}");
                }
                Fact::Finish { id, position, .. } | Fact::Quarantine { id, position, .. } => {
                    assert_eq!(*effects.entry(id).or_insert(position), position, "{id} ended twice");
                }
                _ => {}
            }
        }
    }
}

/// A client of the unsafe mode notes this, so that what it forgets is no failure of the test.
pub(crate) const UNSAFE: &str = "unsafe mode";
