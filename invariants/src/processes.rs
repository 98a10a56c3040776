//! `processes`: no process of the stack ends by itself, unless its machine fails it.

use crate::names::Names;
use crate::verdict::Violations;
use crate::{Invariant, Law, Outcome};
use sim::fault::Inject;
use sim::history::{Down, Event, Fact, NodeIndex};
use sim::plan::Plan;
use std::collections::{BTreeSet, VecDeque};

/// Faults may end processes; bugs may not.
pub const LAW: Law = Law {
    name: "processes",
    sentence: "no process of the stack ends by itself: none panics, none goes over its memory, none returns early; but for \
               one whose disk fails it, which may end to start anew, and one whose memory others take",
    needs: "a process that starts",
    survives: &[],
    make: |plan| Box::new(Processes::new(plan)),
};

/// How many of a node's last events a violation shows.
const LAST_EVENTS: usize = 20;

struct Processes {
    names: Names,
    /// Faults of the plan that may end a process, and how.
    excuses: Vec<Option<Down>>,
    /// Nodes hit by one of them, and how: what a disk has suffered stays.
    excused: BTreeSet<(NodeIndex, Down)>,
    /// By node; what happens on none is of no interest here.
    last: Vec<VecDeque<Event>>,
    violations: Violations,
    booted: u64,
}

impl Processes {
    fn new(plan: &Plan) -> Self {
        Self {
            names: Names::of(plan),
            excuses: plan.faults.iter().map(|fault| excuse(&fault.inject)).collect(),
            excused: BTreeSet::new(),
            last: vec![VecDeque::with_capacity(LAST_EVENTS); plan.nodes.len()],
            violations: Violations::default(),
            booted: 0,
        }
    }

    fn ended(&mut self, event: &Event, cause: &str, shape: &str) {
        let message = format!("the process of {} ended by itself: {cause}", self.names.name(event.node));
        let last = self.last.get_mut(event.node.0 as usize).map(std::mem::take).unwrap_or_default();
        let evidence = last.iter().chain([event]).map(|event| self.names.line(event)).collect();
        self.violations.add_all(event.at_ns, shape, None, message, evidence);
    }
}

/// How a process may end by itself that suffers this fault. A panic is never the right way.
fn excuse(inject: &Inject) -> Option<Down> {
    match inject {
        Inject::FullDisk(_)
        | Inject::DiskError(_)
        | Inject::FailedSync(_)
        | Inject::BitRot(_)
        | Inject::MisdirectedWrite(_)
        | Inject::TornWrite(_)
        | Inject::DiskDeath(_) => Some(Down::Returned),
        Inject::MemoryPressure(_) => Some(Down::OutOfMemory),
        _ => None,
    }
}

impl Invariant for Processes {
    fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::Boot { .. } => self.booted += 1,
            // The place of the panic is the shape; ids and numbers in its message are not.
            Fact::Panic { message } => {
                let place = message.rsplit_once(" at ").map_or("an unknown place", |(_, place)| place);
                self.ended(event, message, &format!("panic at {place}"));
                return;
            }
            Fact::FaultStart { fault, nodes } => {
                if let Some(Some(cause)) = self.excuses.get(*fault as usize) {
                    self.excused.extend(nodes.iter().map(|node| (*node, *cause)));
                }
            }
            Fact::Exit { cause: cause @ (Down::OutOfMemory | Down::Returned) }
                if !self.excused.contains(&(event.node, *cause)) =>
            {
                self.ended(event, &cause.to_string(), &format!("exit: {cause}"));
                return;
            }
            _ => {}
        }
        let Some(last) = self.last.get_mut(event.node.0 as usize) else { return };
        if last.len() == LAST_EVENTS {
            last.pop_front();
        }
        last.push_back(event.clone());
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        Outcome { violations: self.violations.into_vec(), exercised: self.booted, unknown: None }
    }
}
