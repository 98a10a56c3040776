//! A run as a trace that the viewer of Perfetto and Chrome's `about:tracing` open: the JSON of the Trace Event Format.
//!
//! Groups of nodes are its processes and nodes its threads; faults and requests are asynchronous slices, what happens
//! on a node is a slice of at most a microsecond, and a flow leads from each step of a request to those it led to.

use crate::page::{Down, downs, fault_times, groups};
use crate::past::PastRun;
use crate::ways::{Follower, Place, id_of, is_a_turn};
use crate::words::sentence;
use scenarios::describe;
use serde_json::{Value, json};
use sim::history::{Event, Fact, Id, NodeIndex};
use std::collections::BTreeMap;

/// Steps that a trace holds; what comes after is left out, and the trace says so.
const STEPS_MOST: usize = 250_000;
/// How long a step is drawn, at most: none takes time of its own.
const STEP_NS: u64 = 1_000;
/// The process in which faults are shown.
const FAULTS: usize = 1;

/// The whole file.
pub fn trace(run: &PastRun) -> String {
    let mut trace = Trace { run, threads: BTreeMap::new(), lines: Vec::new() };
    trace.names();
    trace.faults();
    trace.downs();
    trace.requests();
    let left_out = trace.steps();
    trace.violations();
    let capsule = &run.capsule;
    let other = json!({"scenario": capsule.scenario, "variant": capsule.variant, "seed": capsule.seed,
        "digest": capsule.digest, "hogwash": capsule.provenance.hogwash, "steps-left-out": left_out});
    format!(
        "{{\"displayTimeUnit\":\"ns\",\"otherData\":{other},\"traceEvents\":[\n{}\n]}}\n",
        trace.lines.join(",\n")
    )
}

struct Trace<'a> {
    run: &'a PastRun,
    /// The process and the thread of each node.
    threads: BTreeMap<NodeIndex, (usize, u32)>,
    lines: Vec<String>,
}

/// What a step is, before it is known how long it may be drawn.
struct Step {
    event: Event,
    cause: Option<Place>,
}

impl Trace<'_> {
    fn names(&mut self) {
        self.process_name(FAULTS, "faults");
        for (index, group) in groups(&self.run.plan).into_iter().enumerate() {
            let process = FAULTS + 1 + index;
            self.process_name(process, &group.label);
            for lane in group.lanes {
                let (node, thread) = (NodeIndex(lane), lane + 1);
                self.threads.insert(node, (process, thread));
                let name = self.run.node(node);
                let line = json!({"ph": "M", "name": "thread_name", "pid": process, "tid": thread, "args": {"name": name}});
                let order = json!({"ph": "M", "name": "thread_sort_index", "pid": process, "tid": thread, "args": {"sort_index": thread}});
                self.add(&line);
                self.add(&order);
            }
        }
    }

    fn process_name(&mut self, process: usize, name: &str) {
        self.add(
            &json!({"ph": "M", "name": "process_name", "pid": process, "tid": 0, "args": {"name": name}}),
        );
        self.add(&json!({"ph": "M", "name": "process_sort_index", "pid": process, "tid": 0, "args": {"sort_index": process}}));
    }

    fn faults(&mut self) {
        let times = fault_times(self.run);
        for (index, fault) in (0..).zip(&self.run.plan.faults) {
            let Some((start_ns, end_ns)) = times.get(&index) else { continue };
            let args = json!({"what": describe::fault(fault), "shared": fault.shared});
            let id = format!("fault/{}", fault.name);
            let line = |phase: &str, at_ns| {
                json!({"ph": phase, "cat": "fault", "id": id, "name": fault.name, "pid": FAULTS, "tid": 1, "ts": microseconds(at_ns),
                    "args": args})
            };
            let (begin, end) = (line("b", *start_ns), line("e", *end_ns));
            self.add(&begin);
            self.add(&end);
        }
    }

    fn downs(&mut self) {
        for Down { lane, from_ns, to_ns, cause } in downs(self.run.events(), self.run.capsule.sim_ns) {
            let (process, thread) = self.threads[&NodeIndex(lane)];
            self.add(&json!({"ph": "X", "cat": "down", "name": format!("down: {cause}"), "pid": process, "tid": thread,
                "ts": microseconds(from_ns), "dur": microseconds(to_ns - from_ns), "args": {}}));
        }
    }

    /// Each request, from when it was first sent to when its client held the result, was refused or gave up.
    fn requests(&mut self) {
        let mut open: BTreeMap<Id, Place> = BTreeMap::new();
        for event in self.run.events() {
            match event.fact {
                Fact::Submit { id, .. } => {
                    open.entry(id).or_insert((event.at_ns, event.node));
                }
                Fact::Receive { id, .. } | Fact::Refuse { id, .. } | Fact::GiveUp { id } => {
                    if let Some(begun) = open.remove(&id) {
                        self.request(id, begun, event.at_ns, event.fact.word());
                    }
                }
                _ => {}
            }
        }
        for (id, begun) in open {
            self.request(id, begun, self.run.capsule.sim_ns, "open");
        }
    }

    fn request(&mut self, id: Id, (from_ns, node): Place, to_ns: u64, ending: &str) {
        let Some((process, thread)) = self.threads.get(&node).copied() else { return };
        let line = |phase: &str, at_ns| {
            json!({"ph": phase, "cat": "request", "id": format!("request/{id}"), "name": "request", "pid": process, "tid": thread,
                "ts": microseconds(at_ns), "args": {"request": id.to_string(), "ending": ending}})
        };
        let (begin, end) = (line("b", from_ns), line("e", to_ns));
        self.add(&begin);
        self.add(&end);
    }

    /// What happened on nodes, and what led to it; how many steps are left out.
    fn steps(&mut self) -> usize {
        let (mut steps, mut left_out) = (Vec::new(), 0);
        let mut follower = Follower::default();
        for event in self.run.events().filter(|event| self.threads.contains_key(&event.node)) {
            let id = id_of(&event.fact).filter(|_| !matches!(event.fact, Fact::Expect { .. }));
            if id.is_none() && !is_a_turn(&event.fact) {
                continue;
            }
            if steps.len() == STEPS_MOST {
                left_out += 1;
                continue;
            }
            let cause = id.and_then(|id| follower.cause(id, &event));
            steps.push(Step { event, cause });
        }
        // Slices of one thread must not overlap in part: none is drawn beyond the next of its lane.
        let mut next_ns: BTreeMap<NodeIndex, (u64, u64)> = BTreeMap::new();
        let mut lengths_ns = Vec::new();
        for Step { event, .. } in steps.iter().rev() {
            let (at_ns, after_ns) = next_ns.get(&event.node).copied().unwrap_or((u64::MAX, u64::MAX));
            let after_ns = if at_ns == event.at_ns { after_ns } else { at_ns };
            next_ns.insert(event.node, (event.at_ns, after_ns));
            lengths_ns.push(STEP_NS.min(after_ns - event.at_ns));
        }
        for (flow, (step, length_ns)) in steps.iter().zip(lengths_ns.into_iter().rev()).enumerate() {
            self.step(step, length_ns, flow);
        }
        left_out
    }

    fn step(&mut self, Step { event, cause }: &Step, length_ns: u64, flow: usize) {
        let (process, thread) = self.threads[&event.node];
        let fields =
            event.fact.fields().into_iter().map(|(name, value)| (name.to_owned(), Value::String(value)));
        let mut args: serde_json::Map<String, Value> = fields.collect();
        args.insert("what".to_owned(), sentence(&event.fact).into());
        let at = microseconds(event.at_ns);
        self.add(&json!({"ph": "X", "cat": "step", "name": event.fact.word(), "pid": process, "tid": thread, "ts": at,
            "dur": microseconds(length_ns), "args": args}));
        let Some((from_ns, from)) = cause else { return };
        let (from_process, from_thread) = self.threads[from];
        self.add(&json!({"ph": "s", "cat": "way", "name": "leads to", "id": flow, "pid": from_process, "tid": from_thread,
            "ts": microseconds(*from_ns)}));
        self.add(&json!({"ph": "f", "bp": "e", "cat": "way", "name": "leads to", "id": flow, "pid": process, "tid": thread, "ts": at}));
    }

    fn violations(&mut self) {
        for broken in &self.run.capsule.violations {
            self.add(&json!({"ph": "i", "s": "g", "cat": "violation", "name": format!("{} broken", broken.invariant), "pid": FAULTS,
                "tid": 1, "ts": microseconds(broken.at_ns), "args": {"message": broken.message, "fingerprint": broken.fingerprint}}));
        }
    }

    fn add(&mut self, line: &Value) {
        self.lines.push(line.to_string());
    }
}

/// The format's unit of time.
#[expect(clippy::cast_precision_loss, reason = "a hundred days in nanoseconds are exact")]
fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}
