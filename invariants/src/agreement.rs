//! `agreement`: replicas that choose, choose alike and never forget.

use crate::names::{Names, Said};
use crate::verdict::Violations;
use crate::{Bound, Invariant, Keepers, Law, Outcome};
use sim::history::{Digest, Event, Fact, NodeIndex};
use sim::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};

/// One value a slot, chosen by a majority, for ever.
pub const LAW: Law = Law {
    name: "agreement",
    sentence: "no two replicas choose differently for one slot, a value is chosen only once a majority of those who vote \
               accepted it, nobody leads without the promises of a majority, a promise is kept across crashes, a ballot has \
               one leader and one value a slot, and who votes changes by one at a time",
    needs: "a replica that learns that a value is chosen",
    survives: &[Bound::MinorityOfDisks(Keepers::Replicas)],
    make: |plan| Box::new(Agreement::new(plan)),
};

/// Slots of which everything is kept, below the highest; of older ones only a short hash of the value is.
const RECENT_SLOTS: u64 = 4096;
/// Ballots whose leaders are kept, below the highest.
const RECENT_BALLOTS: usize = 1024;

/// The law at work. Sources: Lamport 2001, "Paxos Made Simple", section 2.1 (safety), 2.2 (promises P1a, P2c) and 2.3
/// (phase 1).
///
/// What is chosen stays chosen: that a minority of disks may be lost after it is what [`Law::survives`] says.
struct Agreement {
    names: Names,
    /// How many replicas there are where each node is one: all nodes of its role, unless they say who votes.
    replicas: Vec<usize>,
    groups: BTreeMap<u32, Group>,
    violations: Violations,
    chosen: u64,
}

#[derive(Default)]
struct Group {
    recent: BTreeMap<u64, Slot>,
    /// Of every slot that was chosen, 16 bits of its value's digest, never 0; two bytes a slot keep a long run's memory flat.
    hashes: Vec<u16>,
    leaders: BTreeMap<u64, Said>,
    /// Whether leaders say so at all: then nothing may be accepted in a ballot that nobody leads.
    is_led: bool,
    promised: BTreeMap<NodeIndex, (u64, Said)>,
    /// By ballot: who ever promised it, whatever became of its disk. Where nobody says so at all, leaders need no promises.
    promises: BTreeMap<u64, Vec<Said>>,
    /// Who votes on the slots above each, and who said so first; nothing where all replicas do.
    members: BTreeMap<u64, (BTreeSet<NodeIndex>, Said)>,
    /// What each replica said last of who votes: from which slot on, and whether it does.
    places: BTreeMap<NodeIndex, (u64, bool, Said)>,
}

#[derive(Default)]
struct Slot {
    chosen: Option<(Digest, Said)>,
    /// By ballot: the value that was accepted in it, and by whom.
    accepted: BTreeMap<u64, (Digest, Vec<Said>)>,
}

impl Agreement {
    fn new(plan: &Plan) -> Self {
        let of_role = |role: &str| plan.nodes.iter().filter(|node| node.role == role).count();
        Self {
            names: Names::of(plan),
            replicas: plan.nodes.iter().map(|node| of_role(&node.role)).collect(),
            groups: BTreeMap::new(),
            violations: Violations::default(),
            chosen: 0,
        }
    }

    fn add(&mut self, shape: &str, message: String, earlier: Option<Event>, event: &Event) {
        let lines = earlier.iter().chain([event]).map(|event| self.names.line(event)).collect();
        self.violations.add_all(event.at_ns, shape, None, message, lines);
    }

    /// A replica says who votes: all say the same, and what follows differs by one.
    fn members(&mut self, event: &Event, group: u32, since: u64, replicas: &[NodeIndex]) {
        let state = self.groups.entry(group).or_default();
        let voters: BTreeSet<_> = replicas.iter().copied().collect();
        state.places.insert(event.node, (since, voters.contains(&event.node), Said::of(event)));
        let fact = |since: u64, voters: &BTreeSet<NodeIndex>, said: &Said| {
            said.event(Fact::Members { group, since, replicas: voters.iter().copied().collect() })
        };
        if let Some((first, said)) = state.members.get(&since) {
            if *first != voters {
                let earlier = fact(since, first, said);
                let message = format!("two replicas take others for those who vote from slot {since} on");
                self.add("members disagree", message, Some(earlier), event);
            }
            return;
        }
        let (before, after) = (state.members.range(..since).next_back(), state.members.range(since..).next());
        let mut neighbours = before.into_iter().chain(after);
        let leap = neighbours.find(|(_, (other, _))| other.symmetric_difference(&voters).count() > 1);
        let leap = leap.map(|(slot, (other, said))| fact(*slot, other, said));
        state.members.insert(since, (voters, Said::of(event)));
        if let Some(other) = leap {
            let message = format!("who votes changed by more than one replica at slot {since}");
            self.add("two changes at once", message, Some(other), event);
        }
    }

    /// A replica votes, or leads: it has a place, as far as it said itself, unless it is about a slot before it lost that.
    fn check_place(&mut self, event: &Event, group: u32, slot: Option<u64>) {
        let place = self.groups.get(&group).and_then(|state| state.places.get(&event.node)).copied();
        let Some((since, votes, said)) = place else { return };
        if !votes && slot.is_none_or(|slot| slot > since) {
            let (name, word) = (self.names.name(event.node), event.fact.word());
            let message =
                format!("{name} has no vote above slot {since}, as it said itself, and yet there is: {word}");
            let members = self.groups.get(&group).and_then(|state| state.members.get(&since));
            let replicas = members.map(|(voters, _)| voters.iter().copied().collect()).unwrap_or_default();
            let earlier = said.event(Fact::Members { group, since, replicas });
            self.add("voted without a place", message, Some(earlier), event);
        }
    }

    fn lead(&mut self, event: &Event, group: u32, ballot: u64) {
        self.check_place(event, group, None);
        let state = self.groups.entry(group).or_default();
        state.is_led = true;
        let first = *state.leaders.entry(ballot).or_insert(Said::of(event));
        while state.leaders.len() > RECENT_BALLOTS {
            state.leaders.pop_first();
        }
        if first.node != event.node {
            let (one, other) = (self.names.name(first.node), self.names.name(event.node));
            let message = format!("{one} and {other} both lead with ballot {ballot}");
            let earlier = first.event(Fact::Lead { group, ballot });
            self.add("two leaders of one ballot", message, Some(earlier), event);
        }
        self.check_promises(event, group, ballot);
    }

    /// A replica leads: of those who vote, as it may know them, a majority promised its ballot. It may be behind the latest
    /// change of who votes, so that a majority at any time will do.
    fn check_promises(&mut self, event: &Event, group: u32, ballot: u64) {
        let Some(state) = self.groups.get(&group) else { return };
        // Of ballots so low nothing is kept any more, or never was.
        if state.promises.first_key_value().is_none_or(|(lowest, _)| ballot < *lowest) {
            return;
        }
        let promises = state.promises.get(&ballot).map_or(&[][..], Vec::as_slice);
        let replicas = self.replicas.get(event.node.0 as usize).copied().unwrap_or_default();
        let of = |voters: &BTreeSet<NodeIndex>| {
            (promises.iter().filter(|said| voters.contains(&said.node)).count(), voters.len() / 2 + 1)
        };
        let all = state.members.is_empty().then_some((promises.len(), replicas / 2 + 1));
        let counts: Vec<_> = state.members.values().map(|(voters, _)| of(voters)).chain(all).collect();
        if counts.iter().any(|(count, majority)| count >= majority) {
            return;
        }
        let (count, majority) = counts.into_iter().max().unwrap_or_default();
        let (name, by) = (self.names.name(event.node), self.by(promises.iter().map(|said| said.node)));
        let message = format!(
            "{name} leads with ballot {ballot}, which {count} of those who vote promised{by} where {majority} are a majority"
        );
        let lines = promises.iter().map(|said| said.event(Fact::Promise { group, ballot }));
        let lines = lines.chain([event.clone()]).map(|event| self.names.line(&event)).collect();
        self.violations.add_all(event.at_ns, "leads without a majority", None, message, lines);
    }

    fn promise(&mut self, event: &Event, group: u32, ballot: u64) {
        self.check_place(event, group, None);
        let state = self.groups.entry(group).or_default();
        let promises = state.promises.entry(ballot).or_default();
        if promises.iter().all(|said| said.node != event.node) {
            promises.push(Said::of(event));
        }
        while state.promises.len() > RECENT_BALLOTS {
            state.promises.pop_first();
        }
        let (promised, said) = *state.promised.entry(event.node).or_insert((ballot, Said::of(event)));
        if ballot > promised {
            state.promised.insert(event.node, (ballot, Said::of(event)));
        } else if ballot < promised {
            let name = self.names.name(event.node);
            let message = format!("{name} promised ballot {ballot} after it had promised ballot {promised}");
            let earlier = said.event(Fact::Promise { group, ballot: promised });
            self.add("promise forgotten", message, Some(earlier), event);
        }
    }

    fn accept(&mut self, event: &Event, group: u32, slot: u64, ballot: u64, value: Digest) {
        self.check_place(event, group, Some(slot));
        let state = self.groups.entry(group).or_default();
        let recent = state.recent.entry(slot).or_default();
        let (first, voters) = recent.accepted.entry(ballot).or_insert_with(|| (value, Vec::new()));
        let (first, said) = (*first, voters.first().copied());
        if first == value && voters.iter().all(|said| said.node != event.node) {
            voters.push(Said::of(event));
        }
        let promised = state.promised.get(&event.node).copied().filter(|(promised, _)| *promised > ballot);
        let lowest = state.leaders.first_key_value().map_or(0, |(ballot, _)| *ballot);
        let unled = state.is_led && ballot > lowest && !state.leaders.contains_key(&ballot);
        if let Some((promised, said)) = promised {
            let name = self.names.name(event.node);
            let message =
                format!("{name} accepted slot {slot} in ballot {ballot} after it promised ballot {promised}");
            let earlier = said.event(Fact::Promise { group, ballot: promised });
            self.add("promise forgotten", message, Some(earlier), event);
        }
        if let Some(said) = said.filter(|_| first != value) {
            let message = format!("two values were accepted for slot {slot} in the one ballot {ballot}");
            let earlier = said.event(Fact::Accept { group, slot, ballot, value: first });
            self.add("two values in one ballot", message, Some(earlier), event);
        }
        if unled {
            let name = self.names.name(event.node);
            let message = format!("{name} accepted slot {slot} in ballot {ballot}, which nobody leads");
            self.add("accepted from nobody", message, None, event);
        }
    }

    fn choose(&mut self, event: &Event, group: u32, slot: u64, value: Digest) {
        self.chosen += 1;
        let replicas = self.replicas.get(event.node.0 as usize).copied().unwrap_or_default();
        let short = u16::from_le_bytes([value.0[0], value.0[1]]).max(1);
        let state = self.groups.entry(group).or_default();
        let index = usize::try_from(slot).unwrap_or(usize::MAX);
        // A slot number that no run reaches would only exhaust memory here.
        if index < 1 << 30 {
            if state.hashes.len() <= index {
                state.hashes.resize(index + 1, 0);
            }
            let first = std::mem::replace(&mut state.hashes[index], short);
            if first != 0 && first != short {
                state.hashes[index] = first;
                return self.disagree(event, group, slot, value);
            }
        }
        let highest = state.hashes.len() as u64;
        let voters = state.members.range(..slot).next_back().map(|(_, (voters, _))| voters);
        let majority = voters.map_or(replicas, BTreeSet::len) / 2 + 1;
        let votes = |said: &&Said| voters.is_none_or(|voters| voters.contains(&said.node));
        let recent = state.recent.entry(slot).or_default();
        if recent.chosen.is_none() {
            recent.chosen = Some((value, Said::of(event)));
            let ballots = recent.accepted.iter().filter(|(_, (accepted, _))| *accepted == value);
            let most = ballots.max_by_key(|(_, (_, all))| all.iter().filter(votes).count());
            let count = most.map_or(0, |(_, (_, all))| all.iter().filter(votes).count());
            if count < majority && slot + RECENT_SLOTS >= highest {
                let accept = |ballot, said: &Said| said.event(Fact::Accept { group, slot, ballot, value });
                let most = most.iter().flat_map(|(ballot, (_, all))| {
                    all.iter().filter(votes).map(|said| accept(**ballot, said))
                });
                let most: Vec<Event> = most.collect();
                self.without_majority(event, slot, &most, majority);
            }
        }
        let state = self.groups.entry(group).or_default();
        let oldest = highest.saturating_sub(RECENT_SLOTS);
        while state.recent.first_key_value().is_some_and(|(slot, _)| *slot < oldest) {
            state.recent.pop_first();
        }
    }

    fn disagree(&mut self, event: &Event, group: u32, slot: u64, value: Digest) {
        let chosen = self.groups.get(&group).and_then(|state| state.recent.get(&slot)?.chosen);
        let name = self.names.name(event.node);
        let before = chosen.map_or("another value".to_owned(), |(before, said)| {
            format!("{before} by {}", self.names.name(said.node))
        });
        let message = format!("slot {slot} was chosen twice, differently: {before}, then {value} by {name}");
        let earlier = chosen.map(|(value, said)| said.event(Fact::Choose { group, slot, value }));
        self.add("two values for one slot", message, earlier, event);
    }

    /// Who did something, in parentheses; nothing where nobody did.
    fn by(&self, nodes: impl Iterator<Item = NodeIndex>) -> String {
        let names: Vec<_> = nodes.map(|node| self.names.name(node)).collect();
        if names.is_empty() { String::new() } else { format!(" (by {})", names.join(", ")) }
    }

    fn without_majority(&mut self, event: &Event, slot: u64, votes: &[Event], majority: usize) {
        let (accepted, by) = (votes.len(), self.by(votes.iter().map(|vote| vote.node)));
        let message =
            format!("slot {slot} was chosen with {accepted} acceptances{by} where {majority} are a majority");
        let lines = votes.iter().chain([event]).map(|event| self.names.line(event)).collect();
        self.violations.add_all(event.at_ns, "chosen without a majority", None, message, lines);
    }
}

impl Invariant for Agreement {
    fn observe(&mut self, event: &Event) {
        match event.fact {
            Fact::Lead { group, ballot } => self.lead(event, group, ballot),
            Fact::Promise { group, ballot } => self.promise(event, group, ballot),
            Fact::Accept { group, slot, ballot, value } => self.accept(event, group, slot, ballot, value),
            Fact::Choose { group, slot, value } => self.choose(event, group, slot, value),
            Fact::Members { group, since, ref replicas } => self.members(event, group, since, replicas),
            // Whoever loses its disk loses its promises. That it votes on all the same, or not, is for the others to show.
            Fact::DiskLoss { synced: true, .. } => {
                for group in self.groups.values_mut() {
                    group.promised.remove(&event.node);
                }
            }
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        Outcome { violations: self.violations.into_vec(), exercised: self.chosen, unknown: None }
    }
}
