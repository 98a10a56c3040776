//! What a law promises to survive, as data, and what really happened, out of the history.

use sim::duration_text;
use sim::fault::Inject;
use sim::history::{Event, Fact, NodeIndex};
use sim::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One limit on what may happen. Past any of its bounds, a law that is broken is beyond design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Of those nodes' disks, fewer than half lose what was synced.
    MinorityOfDisks(Keepers),
    /// Of those nodes' disks, at most so many lose what was synced.
    Disks {
        /// Whose.
        of: Keepers,
        /// The most.
        most: usize,
    },
    /// No clock runs faster or slower than true time by more than this.
    ClockDrift {
        /// The most, in parts per million.
        parts_per_million_max: u32,
    },
    /// No process stands still for longer.
    Pause {
        /// The longest, in nanoseconds.
        ns_max: u64,
    },
    /// No link is cut, slowed down or lossy for longer.
    Cut {
        /// The longest, in nanoseconds.
        ns_max: u64,
    },
    /// No process is down for longer, by a crash or for want of power.
    Down {
        /// The longest, in nanoseconds.
        ns_max: u64,
    },
}

/// Nodes whose disks hold what a law is about. They are known by what they say, and each stands for all of its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keepers {
    /// Those that enqueue and finish.
    Queue,
    /// Those that accept and choose.
    Replicas,
    /// Those that enter uses in a ledger.
    Ledger,
    /// Those that hold the values of a store.
    Store,
    /// Those that keep copies of what is archived.
    Archive,
}

impl Keepers {
    const ALL: [Self; 5] = [Self::Queue, Self::Replicas, Self::Ledger, Self::Store, Self::Archive];

    /// Whether only a keeper says so.
    fn says(self, fact: &Fact) -> bool {
        match self {
            Self::Queue => {
                matches!(
                    fact,
                    Fact::Enqueue { .. }
                        | Fact::Finish { .. }
                        | Fact::Quarantine { .. }
                        | Fact::Redrive { .. }
                )
            }
            Self::Replicas => matches!(
                fact,
                Fact::Lead { .. } | Fact::Promise { .. } | Fact::Accept { .. } | Fact::Choose { .. }
            ),
            Self::Ledger => matches!(fact, Fact::Count { .. }),
            Self::Store => matches!(fact, Fact::Hold { .. }),
            Self::Archive => {
                matches!(fact, Fact::Archive { .. } | Fact::Discard { .. } | Fact::Inventory { .. })
            }
        }
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|keepers| *keepers == self).expect("ALL holds all")
    }
}

impl fmt::Display for Keepers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Queue => "the queue's nodes",
            Self::Replicas => "the replicas",
            Self::Ledger => "the ledger's nodes",
            Self::Store => "the store's nodes",
            Self::Archive => "the archive's nodes",
        })
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinorityOfDisks(keepers) => {
                write!(formatter, "synced data lost on fewer than half of {keepers}")
            }
            Self::Disks { of, most } => write!(formatter, "synced data lost on {most} of {of}"),
            Self::ClockDrift { parts_per_million_max } => {
                write!(formatter, "clocks that drift by up to {parts_per_million_max} parts per million")
            }
            Self::Pause { ns_max } => {
                write!(formatter, "processes that stand still for up to {}", duration_text::readable(*ns_max))
            }
            Self::Cut { ns_max } => {
                write!(formatter, "links that fail for up to {}", duration_text::readable(*ns_max))
            }
            Self::Down { ns_max } => {
                write!(formatter, "processes that are down for up to {}", duration_text::readable(*ns_max))
            }
        }
    }
}

/// Those of a role that vote, where that changes, and what was lost of them.
///
/// One that is replaced is forgiven the loss of its disk, and one that comes in is none of those that lost theirs: it has learnt
/// before what the others know. So that what counts is how many lost theirs between two changes, and not in all.
#[derive(Default)]
struct Seats {
    since: u64,
    voters: BTreeSet<NodeIndex>,
    lost: BTreeSet<NodeIndex>,
    /// At each loss: who voted, and all that was lost by then and not made good.
    losses: Vec<(BTreeSet<NodeIndex>, BTreeSet<NodeIndex>)>,
}

impl Seats {
    fn lose(&mut self, node: NodeIndex) {
        self.lost.insert(node);
        self.losses.push((self.voters.clone(), self.lost.clone()));
    }

    fn change(&mut self, since: u64, replicas: &[NodeIndex]) {
        let voters: BTreeSet<_> = replicas.iter().copied().collect();
        if self.voters.is_empty() || since > self.since {
            let stay = |node: &NodeIndex| voters.contains(node) == self.voters.contains(node);
            self.lost.retain(stay);
            (self.since, self.voters) = (since, voters);
        }
    }
}

/// What really happened to the nodes of one run, as far as bounds ask.
pub(crate) struct Damage {
    plan: Plan,
    /// By role, where some of its nodes vote and others do not.
    seats: BTreeMap<String, Seats>,
    /// By node, a bit for each kind of keeper that it is.
    keeps: Vec<u8>,
    disks_lost: BTreeSet<NodeIndex>,
    faults: BTreeSet<usize>,
}

impl Damage {
    /// Nothing yet, of a run of `plan`.
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            seats: BTreeMap::new(),
            keeps: vec![0; plan.nodes.len()],
            disks_lost: BTreeSet::new(),
            faults: BTreeSet::new(),
        }
    }

    pub(crate) fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::DiskLoss { synced: true, .. } => {
                self.disks_lost.insert(event.node);
                if let Some(seats) = self.role_of(event.node).and_then(|role| self.seats.get_mut(&role)) {
                    seats.lose(event.node);
                }
            }
            Fact::Members { since, replicas, .. } => {
                if let Some(role) = self.role_of(event.node) {
                    self.seats.entry(role).or_default().change(*since, replicas);
                }
            }
            Fact::FaultStart { fault, .. } => drop(self.faults.insert(*fault as usize)),
            fact => {
                let Some(keeps) = self.keeps.get_mut(event.node.0 as usize) else { return };
                if let Some(keepers) = Keepers::ALL.into_iter().find(|keepers| keepers.says(fact)) {
                    *keeps |= 1 << keepers.index();
                }
            }
        }
    }

    /// What went past `bound`, in words; none where nothing did.
    pub(crate) fn past(&self, bound: Bound) -> Option<String> {
        match bound {
            Bound::MinorityOfDisks(keepers) => self.disks_past(keepers, |lost, of| 2 * lost >= of),
            Bound::Disks { of, most } => self.disks_past(of, |lost, _| lost > most),
            Bound::ClockDrift { parts_per_million_max } => self.drift_past(parts_per_million_max.into()),
            Bound::Pause { ns_max } => {
                self.longer_than(ns_max, "stood still", |inject| matches!(inject, Inject::Pause(_)))
            }
            Bound::Cut { ns_max } => self.longer_than(ns_max, "had bad links", |inject| {
                inject.links().is_some()
                    || matches!(
                        inject,
                        Inject::SwizzleClog(_)
                            | Inject::NoNames(_)
                            | Inject::StaleNames(_)
                            | Inject::WrongNames(_)
                    )
            }),
            Bound::Down { ns_max } => self.longer_than(ns_max, "were down", |inject| {
                matches!(
                    inject,
                    Inject::Crash(_)
                        | Inject::CrashLoop(_)
                        | Inject::GracefulStop(_)
                        | Inject::PowerLoss(_)
                        | Inject::MainsLoss(_)
                        | Inject::LostDisk(_)
                        | Inject::DiskDeath(_)
                        | Inject::StuckDisk(_)
                        | Inject::FullDisk(_)
                        | Inject::DiskError(_)
                )
            }),
        }
    }

    fn longer_than(&self, ns_max: u64, what: &str, is_such: impl Fn(&Inject) -> bool) -> Option<String> {
        let such = self.injected().filter(|(_, _, inject)| is_such(inject));
        let (length_ns, nodes) = such.map(|(nodes, length_ns, _)| (length_ns, nodes)).max()?;
        (length_ns > ns_max).then(|| format!("{nodes} {what} for {}", duration_text::readable(length_ns)))
    }

    fn role_of(&self, node: NodeIndex) -> Option<String> {
        self.plan.nodes.get(node.0 as usize).map(|node| node.role.clone())
    }

    /// Of those who vote. What the queue keeps besides its order, those keep too that do not vote.
    fn seats_past(
        &self,
        keepers: Keepers,
        seats: &Seats,
        is_past: impl Fn(usize, usize) -> bool,
    ) -> Option<String> {
        seats.losses.iter().find_map(|(voters, lost)| {
            let counts = |node: &&NodeIndex| keepers != Keepers::Replicas || voters.contains(node);
            let lost: Vec<_> = lost.iter().filter(counts).map(|node| node.0 as usize).collect();
            let names: Vec<_> = lost.iter().map(|index| self.plan.nodes[*index].name.as_str()).collect();
            let past = !lost.is_empty() && is_past(lost.len(), voters.len());
            past.then(|| format!("{} lost what was synced while {} voted", names.join(" and "), voters.len()))
        })
    }

    fn disks_past(&self, keepers: Keepers, is_past: impl Fn(usize, usize) -> bool) -> Option<String> {
        let bit = 1 << keepers.index();
        let speaks = |index: &usize| self.keeps[*index] & bit != 0;
        let role = |index: usize| self.plan.nodes[index].role.as_str();
        let roles: BTreeSet<_> = (0..self.keeps.len()).filter(speaks).map(role).collect();
        roles.into_iter().find_map(|one| {
            if let Some(seats) = self.seats.get(one) {
                return self.seats_past(keepers, seats, &is_past);
            }
            let nodes: Vec<_> = (0..self.keeps.len()).filter(|index| role(*index) == one).collect();
            let is_lost = |index: &&usize| self.disks_lost.iter().any(|lost| lost.0 as usize == **index);
            let lost: Vec<_> =
                nodes.iter().filter(is_lost).map(|index| self.plan.nodes[*index].name.as_str()).collect();
            let past = !lost.is_empty() && is_past(lost.len(), nodes.len());
            past.then(|| format!("{} of {} lost what was synced", lost.join(" and "), nodes.len()))
        })
    }

    fn drift_past(&self, most: f64) -> Option<String> {
        let always =
            self.plan.nodes.iter().map(|node| (node.clock_drift_parts_per_million, node.name.clone()));
        let injected = self.injected().filter_map(|(nodes, _, inject)| match inject {
            Inject::ClockDrift(drift) => Some((drift.parts_per_million, nodes)),
            // One that stands still loses all of its rate.
            Inject::ClockFreeze(_) => Some((-1e6, nodes)),
            _ => None,
        });
        let past = always.chain(injected).find(|(drift, _)| drift.abs() > most);
        past.map(|(drift, nodes)| format!("the clock of {nodes} drifted by {drift} parts per million"))
    }

    /// The faults that began: on which nodes, for how long, what.
    fn injected(&self) -> impl Iterator<Item = (String, u64, &Inject)> {
        let began = self.faults.iter().filter_map(|fault| self.plan.faults.get(*fault));
        began.map(|fault| {
            let window_ns = fault.end_ns.saturating_sub(fault.start_ns);
            let length_ns = fault.after.as_ref().map_or(window_ns, |after| after.length_ns.min(window_ns));
            (fault.inject.targets().join(" and "), length_ns, &fault.inject)
        })
    }
}
