//! `mutex` and `fencing`: one holder at a time, and what protects where that cannot be promised.

use crate::names::Names;
use crate::verdict::Violations;
use crate::{Bound, Invariant, Law, Outcome};
use sim::duration_text;
use sim::history::{Event, Fact, NodeIndex};
use std::collections::BTreeMap;

/// No two holders at one moment of true time.
///
/// A lease is a promise about clocks: its holder stops by its own, its giver gives it to another by theirs. It can hold only
/// while clocks agree within its margin and nobody sleeps through his lease's end, which is what the bounds say. What must
/// hold beyond them is for [`FENCING`].
pub const MUTEX: Law = Law {
    name: "mutex",
    sentence: "no two nodes act as the only holder of one thing at one moment",
    needs: "a node that begins to act as the only holder of something",
    survives: &[Bound::ClockDrift { parts_per_million_max: 10_000 }, Bound::Pause { ns_max: 500_000_000 }],
    make: |plan| {
        Box::new(Mutex {
            names: Names::of(plan),
            holders: BTreeMap::new(),
            violations: Violations::default(),
            acquired: 0,
        })
    },
};

/// What is guarded takes nothing from yesterday's holder.
pub const FENCING: Law = Law {
    name: "fencing",
    sentence: "a lease's number belongs to one holder, and what it guards takes nothing from a holder once a later one was \
               there",
    needs: "something guarded that takes from a holder",
    survives: &[],
    make: |plan| {
        Box::new(Fencing {
            names: Names::of(plan),
            latest: BTreeMap::new(),
            owners: BTreeMap::new(),
            violations: Violations::default(),
            taken: 0,
        })
    },
};

struct Mutex {
    names: Names,
    /// By lease, who acts as its holder, and since which event.
    holders: BTreeMap<String, BTreeMap<NodeIndex, (u64, Event)>>,
    violations: Violations,
    acquired: u64,
}

impl Invariant for Mutex {
    fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::Acquire { lease, token } => {
                self.acquired += 1;
                let holders = self.holders.entry(lease.clone()).or_default();
                let other = holders.iter().find(|(node, _)| **node != event.node);
                if let Some((node, (_, since))) = other {
                    let (one, two) = (self.names.name(*node), self.names.name(event.node));
                    let since_when = duration_text::readable(since.at_ns);
                    let message =
                        format!("{one} has held `{lease}` since {since_when}, and {two} holds it as well");
                    let lines = vec![self.names.line(since), self.names.line(event)];
                    self.violations.add_all(event.at_ns, "two holders", None, message, lines);
                }
                holders.insert(event.node, (*token, event.clone()));
            }
            Fact::Release { lease, token } => {
                if let Some(holders) = self.holders.get_mut(lease)
                    && holders.get(&event.node).is_some_and(|(held, _)| held == token)
                {
                    holders.remove(&event.node);
                }
            }
            // The dead hold nothing.
            Fact::Exit { .. } => {
                self.holders.values_mut().for_each(|holders| drop(holders.remove(&event.node)));
            }
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        Outcome { violations: self.violations.into_vec(), exercised: self.acquired, unknown: None }
    }
}

struct Fencing {
    names: Names,
    /// By lease, the highest number that what is guarded has seen.
    latest: BTreeMap<String, (u64, Event)>,
    owners: BTreeMap<(String, u64), Event>,
    violations: Violations,
    taken: u64,
}

impl Invariant for Fencing {
    fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::Acquire { lease, token } => {
                let first = self.owners.entry((lease.clone(), *token)).or_insert_with(|| event.clone());
                if first.node != event.node {
                    let message = format!("two nodes have lease {token} of `{lease}`");
                    let lines = vec![self.names.line(first), self.names.line(event)];
                    self.violations.add_all(event.at_ns, "one number for two holders", None, message, lines);
                }
            }
            Fact::Guard { lease, token } => {
                self.taken += 1;
                let (highest, later) =
                    self.latest.entry(lease.clone()).or_insert_with(|| (*token, event.clone()));
                if token < highest {
                    let message = format!(
                        "what `{lease}` guards took something from lease {token} after lease {highest}"
                    );
                    let lines = vec![self.names.line(later), self.names.line(event)];
                    self.violations.add_all(event.at_ns, "taken from a past holder", None, message, lines);
                } else {
                    (*highest, *later) = (*token, event.clone());
                }
            }
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        Outcome { violations: self.violations.into_vec(), exercised: self.taken, unknown: None }
    }
}
