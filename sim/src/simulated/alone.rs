//! A world of one node that runs one future: for tests and examples.

use super::limits::Limits;
use super::world::run_within;
use crate::history::{Event, Fact, Observer};
use crate::plan::{DiskPlan, NetworkPlan, NodePlan, Objectives, PLAN_VERSION, Plan, Workload};
use crate::stack::{Client, Deployment, Process, Role, Setting, Stack, Task};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How long the body may take, in simulated time.
const DURATION_NS: u64 = 3_600_000_000_000;
const ROLES: [Role; 1] = [Role { name: "node", why: "runs the body", count: 1, cores: 1 }];

/// Runs `body` on the only node, `node-1`, of a world made from `seed`, and gives its output: the shortest way to try code
/// that uses this crate.
///
/// ```
/// # extern crate hogwash_sim as sim;
/// use std::time::Duration;
///
/// let took = sim::world::alone(7, async {
///     let begun = sim::time::Instant::now();
///     sim::time::sleep(Duration::from_secs(60)).await;
///     begun.elapsed()
/// });
/// assert_eq!(took.as_secs(), 60);
/// ```
///
/// # Panics
/// Where `body` does, or does not end within an hour of simulated time.
pub fn alone<T: Send + 'static>(seed: u64, body: impl Future<Output = T> + Send + 'static) -> T {
    let output = Arc::new(Mutex::new(None));
    let over = Arc::new(AtomicBool::new(false));
    let panic = Arc::new(Mutex::new(None));
    let (told, ends) = (output.clone(), over.clone());
    let body: Task = Box::pin(async move {
        let value = body.await;
        *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        ends.store(true, Ordering::Relaxed);
    });
    let watch = PanicWatch { panic: panic.clone(), over: over.clone() };
    let limits = Limits { stop: Some(over), ..Limits::default() };
    let stack = Arc::new(Alone(Mutex::new(Some(body))));
    run_within(&plan(seed), stack, None, vec![Box::new(watch)], limits).expect("it has no settings");
    if let Some(message) = panic.lock().unwrap_or_else(PoisonError::into_inner).take() {
        panic!("{message}");
    }
    let output = output.lock().unwrap_or_else(PoisonError::into_inner).take();
    output.expect("the body ends within an hour of simulated time")
}

fn plan(seed: u64) -> Plan {
    let node = NodePlan {
        name: "node-1".to_owned(),
        role: "node".to_owned(),
        cores: 1,
        memory_bytes: 1 << 30,
        domains: BTreeMap::new(),
        clock_offset_ns: 0,
        clock_drift_parts_per_million: 0.0,
    };
    Plan {
        version: PLAN_VERSION,
        stack: "alone".to_owned(),
        scenario: "alone".to_owned(),
        variant: None,
        seed,
        duration_ns: DURATION_NS,
        drain_ns: 0,
        expect: BTreeMap::new(),
        objectives: Objectives::default(),
        settings: BTreeMap::new(),
        workload: Workload { clients: 0, rate_per_s: 0.0, ..Workload::default() },
        network: NetworkPlan::default(),
        disk: DiskPlan::default(),
        byte_scale: 1,
        nodes: vec![node],
        faults: Vec::new(),
    }
}

/// A stack whose only process is a future that runs once.
struct Alone(Mutex<Option<Task>>);

impl Stack for Alone {
    fn name(&self) -> &'static str {
        "alone"
    }

    fn roles(&self) -> &'static [Role] {
        &ROLES
    }

    fn settings(&self) -> &'static [Setting] {
        &[]
    }

    fn boot(&self, _: Process) -> Task {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        body.unwrap_or_else(|| Box::pin(std::future::pending()))
    }

    fn client(&self, _: Client) -> Task {
        Box::pin(async {})
    }

    fn drained(&self, _: Arc<Deployment>) -> Task<bool> {
        Box::pin(async { true })
    }
}

/// Ends the world at the first panic, and keeps its message.
struct PanicWatch {
    panic: Arc<Mutex<Option<String>>>,
    over: Arc<AtomicBool>,
}

impl Observer for PanicWatch {
    fn observe(&mut self, event: &Event) {
        if let Fact::Panic { message } = &event.fact {
            let mut panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
            panic.get_or_insert_with(|| message.clone());
            self.over.store(true, Ordering::Relaxed);
        }
    }
}
