//! A world of one server that runs a script.

use crate::sim::fault::{Fault, Inject, On};
use crate::sim::history::{Event, Fact, Observer};
use crate::sim::plan::{DiskPlan, NetworkPlan, NodePlan, Objectives, PLAN_VERSION, Plan, Workload};
use crate::sim::stack::{Client, Deployment, Process, Role, Setting, Stack, Task};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A stack whose one server runs one async function at each start.
struct Scripted<F>(F);

const ROLES: [Role; 1] = [Role { name: "server", why: "runs the script", count: 1, cores: 1 }];

impl<F> Stack for Scripted<F>
where
    F: Fn(Process) -> Task + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn roles(&self) -> &'static [Role] {
        &ROLES
    }

    fn settings(&self) -> &'static [Setting] {
        &[]
    }

    fn boot(&self, process: Process) -> Task {
        (self.0)(process)
    }

    fn client(&self, _: Client) -> Task {
        Box::pin(async {})
    }

    fn drained(&self, _: Arc<Deployment>) -> Task<bool> {
        Box::pin(async { true })
    }
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

pub(crate) fn plan(disk: DiskPlan, faults: Vec<Fault>) -> Plan {
    Plan {
        version: PLAN_VERSION,
        stack: "scripted".to_owned(),
        scenario: "test/scripted".to_owned(),
        variant: None,
        seed: 7,
        duration_ns: 100_000_000_000,
        drain_ns: 5_000_000_000,
        expect: BTreeMap::new(),
        objectives: Objectives::default(),
        settings: BTreeMap::new(),
        workload: Workload { clients: 0, rate_per_s: 0.0, ..Workload::default() },
        network: NetworkPlan::default(),
        disk,
        byte_scale: 1,
        nodes: vec![node("server-1", "server"), node("client-1", "client")],
        faults,
    }
}

pub(crate) fn fault(start_ns: u64, end_ns: u64, inject: Inject) -> Fault {
    Fault { name: format!("fault-{start_ns}"), start_ns, end_ns, after: None, shared: None, inject }
}

pub(crate) fn server() -> On {
    On { nodes: vec!["server-1".to_owned()] }
}

struct Keep(Arc<Mutex<Vec<Event>>>);

impl Observer for Keep {
    fn observe(&mut self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// Runs `script` on every start of `server-1`; gives the digest and all events.
pub(crate) fn run<F>(plan: &Plan, script: F) -> (String, Vec<Event>)
where
    F: Fn(Process) -> Task + Send + Sync + 'static,
{
    let events = Arc::new(Mutex::new(Vec::new()));
    let outcome =
        crate::sim::world::run(plan, Arc::new(Scripted(script)), None, vec![Box::new(Keep(events.clone()))]);
    let outcome = outcome.expect("no settings");
    let events = std::mem::take(&mut *events.lock().unwrap());
    let panics: Vec<_> = events.iter().filter(|event| event.fact.word() == "panic").collect();
    assert!(panics.is_empty(), "{panics:?}");
    (outcome.digest, events)
}

pub(crate) fn note(text: impl ToString) {
    crate::sim::node::record(Fact::Note { text: text.to_string() });
}

pub(crate) fn notes(events: &[Event]) -> Vec<String> {
    let note = |event: &Event| match &event.fact {
        Fact::Note { text } => Some(text.clone()),
        _ => None,
    };
    events.iter().filter_map(note).collect()
}
