//! `agreement`: replicas that choose, choose alike and never forget.

use crate::verdict::Violations;
use crate::{Finding, Invariant, Law};
use sim::duration_text;
use sim::history::{Digest, Event, Fact, NodeIndex};
use sim::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};

/// One value a slot, chosen by a majority, for ever.
pub const LAW: Law = Law {
    name: "agreement",
    sentence: "no two replicas choose differently for one slot, a value is chosen only once a majority accepted it, a \
               promise is kept across crashes, and a ballot has one leader",
    survives: "any crashes, cuts and losses of power; lost disks on fewer than half of the replicas",
    make: |plan| Box::new(Agreement::new(plan)),
};

/// Slots of which everything is kept, below the highest; of older ones only a short hash of the value is.
const RECENT_SLOTS: u64 = 4096;

/// The law at work. Sources: Lamport 2001, "Paxos Made Simple", section 2.1 (safety) and 2.2 (promises P1a, P2c).
struct Agreement {
    names: Vec<String>,
    roles: Vec<String>,
    groups: BTreeMap<u32, Group>,
    violations: Violations,
    chosen: u64,
    disks_lost: BTreeSet<NodeIndex>,
}

#[derive(Default)]
struct Group {
    replicas: BTreeSet<NodeIndex>,
    recent: BTreeMap<u64, Slot>,
    /// Of every slot that was chosen, 16 bits of its value's digest, never 0; two bytes a slot keep a long run's memory flat.
    hashes: Vec<u16>,
    leaders: BTreeMap<u64, NodeIndex>,
    promised: BTreeMap<NodeIndex, u64>,
}

#[derive(Default)]
struct Slot {
    chosen: Option<(Digest, NodeIndex, u64)>,
    /// Who accepted what, by ballot and value.
    accepted: BTreeMap<(u64, Digest), BTreeSet<NodeIndex>>,
}

impl Agreement {
    fn new(plan: &Plan) -> Self {
        Self {
            names: plan.nodes.iter().map(|node| node.name.clone()).collect(),
            roles: plan.nodes.iter().map(|node| node.role.clone()).collect(),
            groups: BTreeMap::new(),
            violations: Violations::default(),
            chosen: 0,
            disks_lost: BTreeSet::new(),
        }
    }

    fn group(&mut self, group: u32, replica: NodeIndex) -> &mut Group {
        let group = self.groups.entry(group).or_default();
        group.replicas.insert(replica);
        group
    }

    fn name(&self, node: NodeIndex) -> &str {
        self.names.get(node.0 as usize).map_or("world", String::as_str)
    }

    /// How many replicas there are where `node` is one: all nodes of its role.
    fn replicas(&self, node: NodeIndex) -> usize {
        let role = self.roles.get(node.0 as usize);
        self.roles.iter().filter(|other| Some(*other) == role).count()
    }

    fn lead(&mut self, event: &Event, group: u32, ballot: u64) {
        let leader = *self.group(group, event.node).leaders.entry(ballot).or_insert(event.node);
        if leader != event.node {
            let (one, other) = (self.name(leader).to_owned(), self.name(event.node));
            let message = format!("{one} and {other} both lead with ballot {ballot}");
            let line = format!("{} {other} lead ballot={ballot}", duration_text::format(event.at_ns));
            self.violations.add(event.at_ns, "two leaders of one ballot", None, message, line);
        }
        // Ballots far below are history.
        let leaders = &mut self.group(group, event.node).leaders;
        while leaders.len() > 1024 {
            leaders.pop_first();
        }
    }

    fn accept(&mut self, event: &Event, group: u32, slot: u64, ballot: u64, value: Digest) {
        let state = self.group(group, event.node);
        state.recent.entry(slot).or_default().accepted.entry((ballot, value)).or_default().insert(event.node);
        let promised = state.promised.get(&event.node).copied().filter(|promised| *promised > ballot);
        if let Some(promised) = promised {
            let name = self.name(event.node);
            let message =
                format!("{name} accepted slot {slot} in ballot {ballot} after it promised ballot {promised}");
            let line =
                format!("{} {name} accept slot={slot} ballot={ballot}", duration_text::format(event.at_ns));
            self.violations.add(event.at_ns, "promise forgotten", None, message, line);
        }
    }

    fn choose(&mut self, event: &Event, group: u32, slot: u64, value: Digest) {
        self.chosen += 1;
        let majority = self.replicas(event.node) / 2 + 1;
        let short = u16::from_le_bytes([value.0[0], value.0[1]]).max(1);
        let state = self.group(group, event.node);
        let index = usize::try_from(slot).unwrap_or(usize::MAX);
        // A slot number that no run reaches would only exhaust memory here.
        if index < 1 << 30 {
            if state.hashes.len() <= index {
                state.hashes.resize(index + 1, 0);
            }
            let first = *Some(&mut state.hashes[index]).filter(|hash| **hash != 0).unwrap_or(&mut 0);
            if first != 0 && first != short {
                let before = state.recent.get(&slot).and_then(|slot| slot.chosen);
                return self.disagree(event, slot, value, before);
            }
            state.hashes[index] = short;
        }
        let recent = state.recent.entry(slot).or_default();
        let first_choice = recent.chosen.is_none();
        if first_choice {
            recent.chosen = Some((value, event.node, event.at_ns));
            let voters = recent.accepted.iter().filter(|((_, accepted), _)| *accepted == value);
            let most = voters.map(|(_, replicas)| replicas.len()).max().unwrap_or(0);
            let oldest = state.hashes.len() as u64;
            if most < majority && slot + RECENT_SLOTS >= oldest {
                self.without_majority(event, slot, most, majority);
            }
        }
        let state = self.group(group, event.node);
        let oldest = (state.hashes.len() as u64).saturating_sub(RECENT_SLOTS);
        while state.recent.first_key_value().is_some_and(|(slot, _)| *slot < oldest) {
            state.recent.pop_first();
        }
    }

    fn disagree(
        &mut self,
        event: &Event,
        slot: u64,
        value: Digest,
        before: Option<(Digest, NodeIndex, u64)>,
    ) {
        let name = self.name(event.node).to_owned();
        let earlier = before.map_or("another value before".to_owned(), |(digest, node, at_ns)| {
            format!("{digest} chosen by {} at {}", self.name(node), duration_text::readable(at_ns))
        });
        let message = format!("slot {slot} was chosen twice, differently: {earlier}, then {value} by {name}");
        let line = format!("{} {name} choose slot={slot} value={value}", duration_text::format(event.at_ns));
        self.violations.add(event.at_ns, "two values for one slot", None, message, line);
    }

    fn without_majority(&mut self, event: &Event, slot: u64, accepted: usize, majority: usize) {
        let name = self.name(event.node);
        let message =
            format!("slot {slot} was chosen with {accepted} acceptances where {majority} are a majority");
        let line = format!("{} {name} choose slot={slot}", duration_text::format(event.at_ns));
        self.violations.add(event.at_ns, "chosen without a majority", None, message, line);
    }

    /// Whether half or more of some group's disks lost what was synced.
    fn beyond_design(&self) -> bool {
        self.groups.values().any(|group| {
            let replicas = group.replicas.first().map_or(0, |replica| self.replicas(*replica));
            let lost = group.replicas.intersection(&self.disks_lost).count();
            lost > 0 && 2 * lost >= replicas
        })
    }
}

impl Invariant for Agreement {
    fn observe(&mut self, event: &Event) {
        match event.fact {
            Fact::Lead { group, ballot } => self.lead(event, group, ballot),
            Fact::Promise { group, ballot } => {
                let promised = self.group(group, event.node).promised.entry(event.node).or_default();
                *promised = ballot.max(*promised);
            }
            Fact::Accept { group, slot, ballot, value } => self.accept(event, group, slot, ballot, value),
            Fact::Choose { group, slot, value } => self.choose(event, group, slot, value),
            Fact::DiskLoss { synced: true, .. } => {
                self.disks_lost.insert(event.node);
            }
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Finding {
        let beyond_design = self.beyond_design();
        Finding::of(self.violations.into_vec(), beyond_design, self.chosen)
    }
}
