//! A world of chosen tiers, and what happened in it.

use sim::fault::{Cut, Fault, Inject, On};
use sim::history::{Event, Observer};
use sim::plan::{DiskPlan, NetworkPlan, NodePlan, Objectives, PLAN_VERSION, Plan, Workload};
use sim::stack::Stack;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use system::ImageStack;

pub(crate) const SECOND_NS: u64 = 1_000_000_000;

/// A run of `duration_s` seconds of so many nodes of each role, for `clients` who ask as often as `rate_per_s`.
pub(crate) fn plan(
    seed: u64,
    duration_s: u64,
    roles: &[(&str, u32)],
    (clients, rate_per_s): (u32, f64),
    settings: &[(&str, &str)],
    faults: Vec<Fault>,
) -> Plan {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Plan {
        version: PLAN_VERSION,
        stack: "image".to_owned(),
        scenario: "test/tiers".to_owned(),
        variant: None,
        seed,
        duration_ns: duration_s * SECOND_NS,
        drain_ns: 60 * SECOND_NS,
        expect: BTreeMap::new(),
        objectives: Objectives::default(),
        settings: settings.collect(),
        workload: Workload { clients, rate_per_s, ..Workload::default() },
        network: NetworkPlan::default(),
        disk: DiskPlan::default(),
        byte_scale: 1,
        nodes: roles
            .iter()
            .flat_map(|(role, count)| (1..=*count).map(move |index| node(role, index)))
            .collect(),
        faults,
    }
}

fn node(role: &str, index: u32) -> NodePlan {
    NodePlan {
        name: format!("{role}-{index}"),
        role: role.to_owned(),
        cores: 4,
        memory_bytes: 8 << 30,
        domains: BTreeMap::new(),
        clock_offset_ns: 0,
        clock_drift_parts_per_million: 0.0,
    }
}

pub(crate) fn fault(start_s: u64, end_s: u64, inject: Inject) -> Fault {
    let (start_ns, end_ns) = (start_s * SECOND_NS, end_s * SECOND_NS);
    Fault { name: format!("fault-{start_s}"), start_ns, end_ns, after: None, shared: None, inject }
}

pub(crate) fn on(names: &[&str]) -> On {
    On { nodes: names.iter().map(|name| (*name).to_owned()).collect() }
}

pub(crate) fn cut(from: &[&str], to: &[&str]) -> Inject {
    Inject::Cut(Cut { from: on(from).nodes, to: on(to).nodes, both_ways: true })
}

/// Everything that happens in a run of `plan`.
pub(crate) fn events(plan: &Plan) -> Vec<Event> {
    events_of(plan, Arc::new(ImageStack))
}

/// As [`events`], with a stack that the test makes.
pub(crate) fn events_of(plan: &Plan, stack: Arc<dyn Stack>) -> Vec<Event> {
    let events = Arc::new(Mutex::new(Vec::new()));
    let observers: Vec<Box<dyn Observer>> = vec![Box::new(Keep(events.clone()))];
    sim::world::run(plan, stack, None, observers).unwrap();
    std::mem::take(&mut *events.lock().unwrap())
}

struct Keep(Arc<Mutex<Vec<Event>>>);

impl Observer for Keep {
    fn observe(&mut self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}
