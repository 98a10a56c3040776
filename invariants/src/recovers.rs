//! `recovers`: once all is healed, the stack drains within its bound.

use crate::ids::IdSet;
use crate::names::{Names, Said};
use crate::verdict::Violations;
use crate::{Bound, Invariant, Keepers, Law, Outcome};
use sim::duration_text;
use sim::history::{Event, Fact, Id};
use sim::plan::Plan;
use std::collections::BTreeMap;

/// What ends well once its causes have ended.
pub const LAW: Law = Law {
    name: "recovers",
    sentence: "after the faults end and all is healed, the stack drains within the plan's bound",
    needs: "the faults' end, after which all is healed",
    survives: &[Bound::MinorityOfDisks(Keepers::Queue)],
    make: |plan| Box::new(Recovers::new(plan)),
};

struct Recovers {
    names: Names,
    bound_ns: u64,
    /// Requests that clients wait for, and jobs acknowledged and not done.
    waiting: BTreeMap<Id, (u32, Said)>,
    /// With the event that began the wait: an acknowledgement, or that it was put back.
    undone: BTreeMap<Id, Event>,
    /// A client may hear of its job's acceptance after the job is done.
    done: IdSet,
    /// Where requests that were set aside were last put back.
    put_back: BTreeMap<Id, u64>,
    healed_ns: Option<u64>,
    drained: bool,
    violations: Violations,
}

impl Recovers {
    fn new(plan: &Plan) -> Self {
        Self {
            names: Names::of(plan),
            bound_ns: plan.drain_ns,
            waiting: BTreeMap::new(),
            undone: BTreeMap::new(),
            done: IdSet::default(),
            put_back: BTreeMap::new(),
            healed_ns: None,
            drained: false,
            violations: Violations::default(),
        }
    }

    fn not_drained(&mut self, at_ns: u64) {
        let bound = duration_text::format(self.bound_ns);
        let message = format!(
            "not drained {bound} after all was healed: requests without an answer: {}, acknowledged jobs not done: {}",
            self.waiting.len(),
            self.undone.len(),
        );
        let undone = self.undone.iter().map(|(id, event)| (*id, event.clone()));
        let submit = |(id, (attempt, said)): (&Id, &(u32, Said))| {
            (*id, said.event(Fact::Submit { id: *id, attempt: *attempt }))
        };
        let waiting = self.waiting.iter().map(submit);
        let evidence: Vec<_> = undone.chain(waiting).collect();
        if evidence.is_empty() {
            // A shape of its own: a run in which somebody waits must not be shrunk to one in which nobody does.
            let line = "nobody waits, and yet the stack does not say that it is idle".to_owned();
            self.violations.add(at_ns, "not idle in time", None, message, line);
            return;
        }
        for (id, event) in evidence {
            let line = self.names.line(&event);
            self.violations.add(at_ns, "not drained in time", Some(id), message.clone(), line);
        }
    }
}

impl Invariant for Recovers {
    fn observe(&mut self, event: &Event) {
        match event.fact {
            Fact::Submit { id, attempt } => {
                self.waiting.insert(id, (attempt, Said::of(event)));
            }
            Fact::Acknowledge { id } if !self.done.contains(id) => {
                self.undone.insert(id, event.clone());
            }
            Fact::Receive { id, .. } | Fact::Refuse { id, .. } | Fact::GiveUp { id } => {
                self.waiting.remove(&id);
            }
            Fact::Finish { id, position, .. } | Fact::Quarantine { id, position, .. }
                // A replica that lags repeats how it was set aside.
                if self.put_back.get(&id).is_none_or(|back| *back < position) =>
            {
                self.undone.remove(&id);
                self.done.insert(id);
            }
            Fact::Redrive { id, position, .. }
                if self.put_back.get(&id).is_none_or(|back| *back < position) =>
            {
                self.put_back.insert(id, position);
                self.undone.insert(id, event.clone());
            }
            Fact::Healed {} => self.healed_ns = Some(event.at_ns),
            Fact::Drained {} => self.drained = true,
            Fact::End { .. } if self.healed_ns.is_some() && !self.drained => self.not_drained(event.at_ns),
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        Outcome {
            violations: self.violations.into_vec(),
            exercised: u64::from(self.healed_ns.is_some()),
            unknown: None,
        }
    }
}
