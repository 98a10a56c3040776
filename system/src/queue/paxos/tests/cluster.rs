//! A cluster in a hostile world: messages lost, doubled and reordered, crashes that take what was not synced; and everything
//! that must stay true of it.

use super::*;

pub(super) const TIMEOUT_NS: u64 = 1_000_000_000;

/// A disk: records in order, of which some are durable, behind a snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    /// Records with their numbers since the process started.
    pub(super) records: Vec<(u64, Record)>,
    /// How many of `records` are durable.
    pub(super) synced: usize,
    pub(super) snapshot: Slot,
    /// Who votes after the snapshot, where it says so.
    pub(super) members: Option<Members>,
}

/// A replica of so many, of which the last are spares.
pub(super) fn config(me: Replica, replicas: u32, spares: u32) -> Config {
    let election_timeout_ns = TIMEOUT_NS;
    let replace_after_ns = 4 * TIMEOUT_NS;
    Config {
        me,
        replicas,
        spares,
        replace_after_ns,
        election_timeout_ns,
        own_write_first: false,
        steps_down: true,
    }
}

pub(super) struct Node {
    pub(super) paxos: Option<Paxos>,
    pub(super) disk: Disk,
    pub(super) next_record: u64,
    /// What was given out, which a snapshot or a crash may cut at the front.
    pub(super) applied: Slot,
    /// Who votes after `applied`, where it was told.
    pub(super) members: Option<Members>,
    /// How far its clock is ahead.
    pub(super) ahead_ns: u64,
}

pub(super) struct Read {
    pub(super) node: usize,
    pub(super) number: u64,
    /// The highest slot that anybody had given out when it was asked for.
    pub(super) at_least: Slot,
}

/// How often each event is: a message, a sync, a proposal, a read, a crash, a start, a snapshot, a rising against the
/// leader, a cut, a lost disk, a change of who votes, time. And of a hundred messages, how many are lost, how many doubled.
pub(super) type Weights = ([u64; 12], [u64; 2]);

pub(super) const CALM: Weights = ([650, 150, 70, 30, 0, 40, 5, 0, 0, 0, 0, 50], [0, 0]);

/// A world's own weights: some kinds of trouble much more often, some not at all, so that each meets each.
pub(super) fn weights(chance: &mut Stream) -> Weights {
    let mut one_of = |choices: [u64; 4]| *chance.pick(&choices).unwrap();
    let events = [
        650,
        one_of([30, 100, 200, 600]),
        one_of([20, 70, 70, 150]),
        30,
        one_of([0, 2, 5, 20]),
        one_of([10, 40, 100, 100]),
        one_of([0, 5, 5, 20]),
        one_of([0, 5, 10, 40]),
        one_of([0, 5, 5, 10]),
        one_of([0, 0, 5, 20]),
        one_of([0, 20, 50, 100]),
        50,
    ];
    (events, [one_of([0, 1, 5, 10]), one_of([0, 0, 2, 10])])
}

/// A cluster and everything that must stay true of it.
pub(super) struct Cluster {
    pub(super) chance: Stream,
    pub(super) weights: Weights,
    pub(super) now_ns: u64,
    pub(super) nodes: Vec<Node>,
    /// Messages from and to this replica stay in the air.
    pub(super) cut: Option<u32>,
    pub(super) flying: Vec<(Replica, Replica, Message)>,
    pub(super) chosen: BTreeMap<Slot, Bytes>,
    pub(super) proposed: BTreeSet<Bytes>,
    pub(super) leaders: BTreeMap<Ballot, usize>,
    pub(super) promised: Vec<Ballot>,
    /// How many of the nodes, the last, are spares.
    pub(super) spares: u32,
    /// Who votes, by the slot above which they do.
    pub(super) groups: BTreeMap<Slot, Members>,
    /// Who accepted, where there are spares.
    pub(super) accepted: BTreeMap<(Slot, Ballot), BTreeSet<Replica>>,
    pub(super) reads: Vec<Read>,
    pub(super) reads_done: usize,
    pub(super) next_value: u64,
}

impl Cluster {
    pub(super) fn new(seed: u64, replicas: u32) -> Self {
        Self::with_spares(seed, replicas, 0)
    }

    pub(super) fn with_spares(seed: u64, replicas: u32, spares: u32) -> Self {
        let disk = Disk::default();
        let node = || Node {
            paxos: None,
            disk: disk.clone(),
            next_record: 1,
            applied: 0,
            members: None,
            ahead_ns: 0,
        };
        let nodes = (0..replicas).map(|_| node()).collect();
        let mut cluster = Self {
            chance: Stream::named(seed, "cluster"),
            weights: weights(&mut Stream::named(seed, "weights")),
            now_ns: 0,
            nodes,
            cut: None,
            flying: Vec::new(),
            chosen: BTreeMap::new(),
            proposed: BTreeSet::from([Bytes::new()]),
            leaders: BTreeMap::new(),
            promised: vec![Ballot::NONE; replicas as usize],
            spares,
            groups: BTreeMap::new(),
            accepted: BTreeMap::new(),
            reads: Vec::new(),
            reads_done: 0,
            next_value: 0,
        };
        // Three of four clusters have begun before; the others do so among all that goes wrong.
        if !seed.is_multiple_of(4) {
            for node in &mut cluster.nodes[..(replicas - spares) as usize] {
                node.disk.records.push((0, Record::Promise { ballot: Ballot::BEGUN }));
                node.disk.synced = 1;
            }
        }
        (0..replicas as usize).for_each(|node| cluster.start(node));
        cluster
    }

    pub(super) fn start(&mut self, index: usize) {
        let replicas = u32::try_from(self.nodes.len()).unwrap();
        let node = &mut self.nodes[index];
        let mut durable = Durable::from_snapshot(node.disk.snapshot, node.disk.members.clone());
        node.disk.records.iter().for_each(|(_, record)| durable.replay(record.clone()));
        let config = config(u32::try_from(index).unwrap(), replicas, self.spares);
        let chance = Stream::named(self.chance.next_u64(), "node");
        (node.applied, node.members) = (node.disk.snapshot, None);
        node.next_record = 1;
        node.disk.records.iter_mut().for_each(|(number, _)| *number = 0);
        node.paxos = Some(Paxos::recover(config, durable, chance, self.now_ns + node.ahead_ns));
        self.settle(index);
    }

    /// The process dies; of what was not durable, some of the front may have reached the disk.
    pub(super) fn crash(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.paxos.take().is_some() {
            let kept = self.chance.below(node.disk.synced as u64..node.disk.records.len() as u64 + 1);
            node.disk.records.truncate(usize::try_from(kept).unwrap());
            node.disk.synced = node.disk.records.len();
            self.reads.retain(|read| read.node != index);
        }
    }

    /// The process dies and its disk with it; one at a time, until it is back.
    pub(super) fn lose_disk(&mut self, index: usize) {
        // Who never took part has nothing to lose, and those that are left must remember that they do: all that vote, or did
        // before the last change. Of two that vote, none may go.
        let remembers = |node: &Node| {
            let synced = &node.disk.records[..node.disk.synced];
            synced.iter().any(|(_, record)| !matches!(record, Record::Learn { .. } | Record::Draw { .. }))
        };
        let first = Members::first(u32::try_from(self.nodes.len()).unwrap() - self.spares);
        let groups: Vec<_> = [first].into_iter().chain(self.groups.values().cloned()).rev().take(2).collect();
        let voters = groups.iter().flat_map(|members| members.iter());
        let all_remember = voters.map(|replica| &self.nodes[replica as usize]).all(remembers);
        let too_few = groups.iter().any(|members| members.count() < 3);
        let votes = groups.iter().any(|members| members.has(u32::try_from(index).unwrap()));
        if votes && (too_few || !all_remember) || self.is_being_added(index) {
            return;
        }
        self.forget_listener(index);
        let node = &mut self.nodes[index];
        (node.paxos, node.disk, node.applied) = (None, Disk::default(), 0);
        self.reads.retain(|read| read.node != index);
        self.promised[index] = Ballot::NONE;
    }

    pub(super) fn sync(&mut self, index: usize, all: bool) {
        let node = &mut self.nodes[index];
        let Some(paxos) = &mut node.paxos else { return };
        let (synced, written) = (node.disk.synced as u64, node.disk.records.len() as u64);
        let until = if all { written } else { self.chance.below(synced..written + 1) };
        node.disk.synced = usize::try_from(until).unwrap();
        let number = node.disk.records[..node.disk.synced].last().map_or(0, |(number, _)| *number);
        paxos.durable(self.now_ns + node.ahead_ns, number);
        self.settle(index);
    }

    pub(super) fn deliver(&mut self, place: usize) {
        let (from, to, message) = self.flying.swap_remove(place);
        let index = to as usize;
        let now_ns = self.now_ns + self.nodes[index].ahead_ns;
        if let Some(paxos) = &mut self.nodes[index].paxos {
            paxos.message(now_ns, from, message);
            self.settle(index);
        }
    }

    pub(super) fn wake(&mut self, index: usize) {
        let now_ns = self.now_ns + self.nodes[index].ahead_ns;
        if let Some(paxos) = &mut self.nodes[index].paxos {
            paxos.wake(now_ns);
            self.settle(index);
        }
    }

    pub(super) fn propose(&mut self, index: usize) -> Option<(Slot, Bytes)> {
        self.next_value += 1;
        let value = Bytes::from(self.next_value.to_string());
        let now_ns = self.now_ns + self.nodes[index].ahead_ns;
        let paxos = self.nodes[index].paxos.as_mut()?;
        let slot = if paxos.has_room() { paxos.propose(now_ns, value.clone()) } else { None };
        self.proposed.insert(value.clone());
        self.settle(index);
        slot.map(|slot| (slot, value))
    }

    pub(super) fn read(&mut self, index: usize, kind: ReadKind) {
        let number = self.chance.next_u64();
        let at_least = self.chosen.last_key_value().map_or(0, |(slot, _)| *slot);
        let Some(paxos) = &mut self.nodes[index].paxos else { return };
        if paxos.read(number, kind).is_some() {
            self.reads.push(Read { node: index, number, at_least });
            self.settle(index);
        }
    }

    /// Snapshots what is applied and forgets up to a slot at or below.
    pub(super) fn compact(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let Some(paxos) = &mut node.paxos else { return };
        let slot = self.chance.below(node.disk.snapshot..paxos.chosen() + 1);
        // A snapshot holds who votes after it: all slots, where that has changed since.
        let slot = if node.members.as_ref().is_some_and(|members| members.since() > slot) {
            node.applied
        } else {
            slot
        };
        node.disk.snapshot = slot.max(node.disk.snapshot);
        node.disk.members = node.members.clone();
        paxos.compact(slot.max(paxos.compacted()));
    }

    /// Does what the machine of `index` wants, and checks each thing that must hold.
    pub(super) fn settle(&mut self, index: usize) {
        let me = u32::try_from(index).unwrap();
        while let Some(action) = self.nodes[index].paxos.as_mut().unwrap().next_action() {
            let node = &mut self.nodes[index];
            match action {
                Action::Send { to, message } => self.flying.push((me, to, message)),
                Action::Persist(record) => {
                    node.disk.records.push((node.next_record, record));
                    node.next_record += 1;
                }
                Action::Choose { slot, value } => {
                    assert_eq!(slot, node.applied + 1, "in order, without gaps");
                    node.applied = slot;
                    assert!(
                        Change::of(&value).is_some() || self.proposed.contains(&value),
                        "{value:?} was never proposed"
                    );
                    self.check_majority(slot);
                    let before = self.chosen.entry(slot).or_insert_with(|| value.clone());
                    assert_eq!(*before, value, "two values for slot {slot}");
                }
                Action::Lead(ballot) => {
                    let leader = *self.leaders.entry(ballot).or_insert(index);
                    assert_eq!(leader, index, "two leaders of one ballot");
                }
                Action::Follow => self.reads.retain(|read| read.node != index),
                Action::Promised(ballot) => self.promised[index] = self.promised[index].max(ballot),
                Action::Accepted { slot, ballot, .. } => {
                    assert!(ballot >= self.promised[index], "a promise was forgotten");
                    assert!(
                        node.members.as_ref().is_none_or(|members| members.has(me)),
                        "{me} does not vote"
                    );
                    self.accepted.entry((slot, ballot)).or_default().insert(me);
                }
                Action::Reconfigure(members) => self.reconfigure(index, members),
                Action::Read(number) => self.answer(index, number),
                Action::SendSnapshot { to } => self.send_snapshot(index, to as usize),
            }
        }
    }

    pub(super) fn answer(&mut self, index: usize, number: u64) {
        let place = self.reads.iter().position(|read| read.node == index && read.number == number);
        let read = self.reads.swap_remove(place.expect("a read is answered once"));
        let applied = self.nodes[index].applied;
        assert!(applied >= read.at_least, "a read missed slot {} at {applied}", read.at_least);
        self.reads_done += 1;
    }

    pub(super) fn send_snapshot(&mut self, from: usize, to: usize) {
        let (slot, members) = (self.nodes[from].applied, self.nodes[from].members.clone());
        let node = &mut self.nodes[to];
        let Some(paxos) = &mut node.paxos else { return };
        if slot > node.applied {
            (node.applied, node.members) = (slot, members.clone());
            (node.disk.snapshot, node.disk.members) = (slot, members.clone());
            paxos.installed(self.now_ns + node.ahead_ns, slot, members);
            self.settle(to);
        }
    }

    /// One step of chance. `hostile` lets messages and processes get lost.
    pub(super) fn step(&mut self, hostile: bool) {
        let index = usize::try_from(self.chance.below(0..self.nodes.len() as u64)).unwrap();
        let weights = if hostile { self.weights } else { CALM };
        let (chances, fates) = weights;
        let mut drawn = self.chance.below(0..chances.iter().sum());
        let event = chances.iter().position(|weight| {
            let hit = drawn < *weight;
            drawn = drawn.wrapping_sub(*weight);
            hit
        });
        match event.expect("within the sum") {
            0 if !self.flying.is_empty() => self.let_one_fly(fates),
            0 | 1 => self.sync(index, false),
            2 => drop(self.propose(index)),
            3 => {
                let kinds = [ReadKind::Prompt, ReadKind::Patient];
                self.read(index, kinds[self.reads.len() % kinds.len()]);
            }
            4 => self.crash(index),
            5 if self.nodes[index].paxos.is_none() => self.start(index),
            6 => self.compact(index),
            7 => self.rise_against_the_leader(index),
            8 => {
                let cut = self.chance.below(0..2 * self.nodes.len() as u64);
                self.cut = u32::try_from(cut).ok().filter(|cut| (*cut as usize) < self.nodes.len());
            }
            9 => self.lose_disk(index),
            10 => self.try_to_change(index),
            _ => {
                self.now_ns += self.chance.below(0..TIMEOUT_NS / 10);
                self.wake(index);
            }
        }
    }

    /// One message arrives, or gets lost or doubled.
    pub(super) fn let_one_fly(&mut self, [lost, doubled]: [u64; 2]) {
        let place = usize::try_from(self.chance.below(0..self.flying.len() as u64)).unwrap();
        let (from, to, _) = self.flying[place];
        if self.cut.is_some_and(|cut| from == cut || to == cut) {
            return;
        }
        let fate = self.chance.below(0..100);
        if fate < lost {
            self.flying.swap_remove(place);
        } else {
            let copy = (fate < lost + doubled).then(|| self.flying[place].clone());
            self.deliver(place);
            self.flying.extend(copy);
        }
    }

    /// Everybody's clock leaps so that nobody has heard a leader of late, and this replica's so that it acts on it.
    pub(super) fn rise_against_the_leader(&mut self, index: usize) {
        self.nodes.iter_mut().for_each(|node| node.ahead_ns += TIMEOUT_NS / 2);
        let Node { paxos: Some(paxos), ahead_ns, .. } = &mut self.nodes[index] else { return };
        if !paxos.leads() {
            *ahead_ns = (*ahead_ns).max(paxos.wake_ns().saturating_sub(self.now_ns));
            self.wake(index);
        }
    }

    /// No more faults: everything that flies arrives, everything is synced, time goes on.
    pub(super) fn heal(&mut self, for_ns: u64) {
        let until_ns = self.now_ns + for_ns;
        self.cut = None;
        for index in 0..self.nodes.len() {
            if self.nodes[index].paxos.is_none() {
                self.start(index);
            }
        }
        while self.now_ns < until_ns {
            self.drain_but(None);
            self.step_time();
        }
        self.drain_but(None);
    }

    /// Lets time pass until the next replica that lives has something to do.
    pub(super) fn step_time(&mut self) {
        let wake_ns = |node: &Node| Some(node.paxos.as_ref()?.wake_ns().saturating_sub(node.ahead_ns));
        self.now_ns = self.nodes.iter().filter_map(wake_ns).min().unwrap().max(self.now_ns);
        (0..self.nodes.len()).for_each(|index| self.wake(index));
    }

    /// Delivers all that flies and follows from it, but from and to the replica that is `cut` off.
    pub(super) fn drain_but(&mut self, cut: Option<usize>) {
        loop {
            (0..self.nodes.len()).for_each(|index| self.sync(index, true));
            self.flying.retain(|(from, to, _)| ![*from, *to].iter().any(|end| cut == Some(*end as usize)));
            if self.flying.is_empty() {
                return;
            }
            while !self.flying.is_empty() {
                self.deliver(self.flying.len() - 1);
            }
        }
    }

    pub(super) fn leader(&self) -> Option<usize> {
        let leads = |node: &Node| node.paxos.as_ref().is_some_and(Paxos::leads);
        let leaders: Vec<_> = (0..self.nodes.len()).filter(|index| leads(&self.nodes[*index])).collect();
        (leaders.len() == 1).then(|| leaders[0])
    }
}

/// A run of chance with faults, then without: nothing is ever chosen twice, and all is well in the end.
pub(super) fn check_run(seed: u64, replicas: u32, steps: u32) -> (usize, usize) {
    let cluster = check(Cluster::new(seed, replicas), steps);
    (cluster.chosen.len(), cluster.reads_done)
}

pub(super) fn check(mut cluster: Cluster, steps: u32) -> Cluster {
    (0..steps).for_each(|_| cluster.step(true));
    cluster.heal(5 * TIMEOUT_NS);
    let leader = cluster.leader().expect("one leader once all is healed");
    let (slot, value) = cluster.propose(leader).expect("a leader takes proposals");
    cluster.heal(TIMEOUT_NS);
    assert_eq!(cluster.chosen.get(&slot), Some(&value));
    for node in &cluster.nodes {
        assert!(node.applied >= slot, "a replica did not catch up: {} of {slot}", node.applied);
    }
    cluster
}
