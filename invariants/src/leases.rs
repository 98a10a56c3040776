//! `mutex` and `fencing`: one holder at a time, and what protects where that cannot be promised.

use crate::names::Names;
use crate::verdict::Violations;
use crate::{Bound, Invariant, Keepers, Law, Outcome};
use sim::duration_text;
use sim::history::{Event, Fact, NodeIndex};
use std::collections::{BTreeMap, VecDeque};

/// No two holders at one moment of true time.
///
/// A lease is a promise about clocks: its holder stops by its own, its giver gives it to another by theirs. It can hold only
/// while clocks agree within its margin and nobody sleeps through his lease's end, which is what the bounds say. What must
/// hold beyond them is for [`FENCING`].
pub const MUTEX: Law = Law {
    name: "mutex",
    sentence: "no two nodes act as the only holder of one thing at one moment",
    needs: "a node that begins to act as the only holder of something",
    survives: &[
        Bound::ClockDrift { parts_per_million_max: 10_000 },
        Bound::Pause { ns_max: 500_000_000 },
        Bound::MinorityOfDisks(Keepers::Queue),
    ],
    make: |plan| {
        Box::new(Mutex {
            names: Names::of(plan),
            holders: BTreeMap::new(),
            violations: Violations::default(),
            acquired: 0,
        })
    },
};

/// What is guarded takes nothing from yesterday's holder. Whoever gives leases out must remember the numbers, and a queue
/// whose disks are lost does not.
pub const FENCING: Law = Law {
    name: "fencing",
    sentence: "a lease's number belongs to one holder, and what it guards takes nothing from a holder once a later one was \
               there",
    needs: "something guarded that takes from a holder",
    survives: &[Bound::MinorityOfDisks(Keepers::Queue)],
    make: |plan| {
        Box::new(Fencing {
            names: Names::of(plan),
            leases: BTreeMap::new(),
            order: VecDeque::new(),
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
                    if holders.is_empty() {
                        self.holders.remove(lease);
                    }
                }
            }
            // The dead hold nothing.
            Fact::Exit { .. } => {
                self.holders.values_mut().for_each(|holders| drop(holders.remove(&event.node)));
                self.holders.retain(|_, holders| !holders.is_empty());
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

/// Leases that are remembered, of those that were seen first last.
const RECENT: usize = 1 << 14;

struct Fencing {
    names: Names,
    leases: BTreeMap<String, Seen>,
    /// The leases, in the order in which they were first seen.
    order: VecDeque<String>,
    violations: Violations,
    taken: u64,
}

/// What was seen of one lease.
#[derive(Default)]
struct Seen {
    /// Who began to act as its holder, by the number.
    owners: BTreeMap<u64, Event>,
    /// What was taken from a holder, by its place: the number that the holder showed.
    taken: BTreeMap<u64, (u64, Event)>,
}

impl Seen {
    /// Somebody with a later number was there when this was taken: something later was taken before, or somebody began to
    /// act with a later number. Who first says that something was taken has just taken it.
    fn later(&self, token: u64, position: u64) -> Option<&Event> {
        let before = self.taken.range(..position).next_back().filter(|(_, (other, _))| *other > token);
        let owner = self.owners.range(token + 1..).next();
        before.map(|(_, (_, event))| event).or(owner.map(|(_, event)| event))
    }

    /// What was taken from somebody with an earlier number, further on.
    fn earlier(&self, token: u64, position: u64) -> Option<(u64, &Event)> {
        let after = self.taken.range(position + 1..).next().filter(|(_, (other, _))| *other < token);
        after.map(|(_, (other, event))| (*other, event))
    }
}

impl Fencing {
    fn seen(&mut self, lease: &str) -> &mut Seen {
        if !self.leases.contains_key(lease) {
            self.order.push_back(lease.to_owned());
            if self.order.len() > RECENT {
                self.order.pop_front().and_then(|oldest| self.leases.remove(&oldest));
            }
        }
        self.leases.entry(lease.to_owned()).or_default()
    }

    fn acquire(&mut self, event: &Event, lease: &str, token: u64) {
        let first = self.seen(lease).owners.entry(token).or_insert_with(|| event.clone());
        if first.node != event.node {
            let first = first.clone();
            let message = format!("two nodes have lease {token} of `{lease}`");
            let lines = vec![self.names.line(&first), self.names.line(event)];
            self.violations.add_all(event.at_ns, "one number for two holders", None, message, lines);
        }
    }

    fn guard(&mut self, event: &Event, lease: &str, token: u64, position: u64) {
        self.taken += 1;
        let seen = self.seen(lease);
        if seen.taken.contains_key(&position) {
            // Another replica takes the same.
            return;
        }
        let (past, other) = match (seen.later(token, position), seen.earlier(token, position)) {
            (Some(later), _) => (token, Some(later.clone())),
            (None, Some((past, event))) => (past, Some(event.clone())),
            (None, None) => (token, None),
        };
        seen.taken.insert(position, (token, event.clone()));
        if let Some(other) = other {
            let message =
                format!("what `{lease}` guards took something from lease {past}, after a later one");
            let lines = vec![self.names.line(&other), self.names.line(event)];
            self.violations.add_all(event.at_ns, "taken from a past holder", None, message, lines);
        }
    }
}

impl Invariant for Fencing {
    fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::Acquire { lease, token } => self.acquire(event, lease, *token),
            Fact::Guard { lease, token, position } => self.guard(event, lease, *token, *position),
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
