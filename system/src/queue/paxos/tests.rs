//! Replicas in a hostile world: messages lost, doubled and reordered, crashes that take what was not synced.

mod members;

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const TIMEOUT_NS: u64 = 1_000_000_000;

/// A disk: records in order, of which some are durable, behind a snapshot.
#[derive(Clone, Debug, Default)]
struct Disk {
    /// Records with their numbers since the process started.
    records: Vec<(u64, Record)>,
    /// How many of `records` are durable.
    synced: usize,
    snapshot: Slot,
    /// Who votes after the snapshot, where it says so.
    members: Option<Members>,
}

/// A replica of so many, of which the last are spares.
fn config(me: Replica, replicas: u32, spares: u32) -> Config {
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

struct Node {
    paxos: Option<Paxos>,
    disk: Disk,
    next_record: u64,
    /// What was given out, which a snapshot or a crash may cut at the front.
    applied: Slot,
    /// Who votes after `applied`, where it was told.
    members: Option<Members>,
    /// How far its clock is ahead.
    ahead_ns: u64,
}

struct Read {
    node: usize,
    number: u64,
    /// The highest slot that anybody had given out when it was asked for.
    at_least: Slot,
}

/// How often each event is: a message, a sync, a proposal, a read, a crash, a start, a snapshot, a rising against the
/// leader, a cut, a lost disk, a change of who votes, time. And of a hundred messages, how many are lost, how many doubled.
type Weights = ([u64; 12], [u64; 2]);

const CALM: Weights = ([650, 150, 70, 30, 0, 40, 5, 0, 0, 0, 0, 50], [0, 0]);

/// A world's own weights: some kinds of trouble much more often, some not at all, so that each meets each.
fn weights(chance: &mut Stream) -> Weights {
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
struct Cluster {
    chance: Stream,
    weights: Weights,
    now_ns: u64,
    nodes: Vec<Node>,
    /// Messages from and to this replica stay in the air.
    cut: Option<u32>,
    flying: Vec<(Replica, Replica, Message)>,
    chosen: BTreeMap<Slot, Bytes>,
    proposed: BTreeSet<Bytes>,
    leaders: BTreeMap<Ballot, usize>,
    promised: Vec<Ballot>,
    /// How many of the nodes, the last, are spares.
    spares: u32,
    /// Who votes, by the slot above which they do.
    groups: BTreeMap<Slot, Members>,
    /// Who accepted, where there are spares.
    accepted: BTreeMap<(Slot, Ballot), BTreeSet<Replica>>,
    reads: Vec<Read>,
    reads_done: usize,
    next_value: u64,
}

impl Cluster {
    fn new(seed: u64, replicas: u32) -> Self {
        Self::with_spares(seed, replicas, 0)
    }

    fn with_spares(seed: u64, replicas: u32, spares: u32) -> Self {
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

    fn start(&mut self, index: usize) {
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
    fn crash(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.paxos.take().is_some() {
            let kept = self.chance.below(node.disk.synced as u64..node.disk.records.len() as u64 + 1);
            node.disk.records.truncate(usize::try_from(kept).unwrap());
            node.disk.synced = node.disk.records.len();
            self.reads.retain(|read| read.node != index);
        }
    }

    /// The process dies and its disk with it; one at a time, until it is back.
    fn lose_disk(&mut self, index: usize) {
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

    fn sync(&mut self, index: usize, all: bool) {
        let node = &mut self.nodes[index];
        let Some(paxos) = &mut node.paxos else { return };
        let (synced, written) = (node.disk.synced as u64, node.disk.records.len() as u64);
        let until = if all { written } else { self.chance.below(synced..written + 1) };
        node.disk.synced = usize::try_from(until).unwrap();
        let number = node.disk.records[..node.disk.synced].last().map_or(0, |(number, _)| *number);
        paxos.durable(self.now_ns + node.ahead_ns, number);
        self.settle(index);
    }

    fn deliver(&mut self, place: usize) {
        let (from, to, message) = self.flying.swap_remove(place);
        let index = to as usize;
        let now_ns = self.now_ns + self.nodes[index].ahead_ns;
        if let Some(paxos) = &mut self.nodes[index].paxos {
            paxos.message(now_ns, from, message);
            self.settle(index);
        }
    }

    fn wake(&mut self, index: usize) {
        let now_ns = self.now_ns + self.nodes[index].ahead_ns;
        if let Some(paxos) = &mut self.nodes[index].paxos {
            paxos.wake(now_ns);
            self.settle(index);
        }
    }

    fn propose(&mut self, index: usize) -> Option<(Slot, Bytes)> {
        self.next_value += 1;
        let value = Bytes::from(self.next_value.to_string());
        let now_ns = self.now_ns + self.nodes[index].ahead_ns;
        let paxos = self.nodes[index].paxos.as_mut()?;
        let slot = if paxos.has_room() { paxos.propose(now_ns, value.clone()) } else { None };
        self.proposed.insert(value.clone());
        self.settle(index);
        slot.map(|slot| (slot, value))
    }

    fn read(&mut self, index: usize, kind: ReadKind) {
        let number = self.chance.next_u64();
        let at_least = self.chosen.last_key_value().map_or(0, |(slot, _)| *slot);
        let Some(paxos) = &mut self.nodes[index].paxos else { return };
        if paxos.read(number, kind).is_some() {
            self.reads.push(Read { node: index, number, at_least });
            self.settle(index);
        }
    }

    /// Snapshots what is applied and forgets up to a slot at or below.
    fn compact(&mut self, index: usize) {
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
    fn settle(&mut self, index: usize) {
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

    fn answer(&mut self, index: usize, number: u64) {
        let place = self.reads.iter().position(|read| read.node == index && read.number == number);
        let read = self.reads.swap_remove(place.expect("a read is answered once"));
        let applied = self.nodes[index].applied;
        assert!(applied >= read.at_least, "a read missed slot {} at {applied}", read.at_least);
        self.reads_done += 1;
    }

    fn send_snapshot(&mut self, from: usize, to: usize) {
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
    fn step(&mut self, hostile: bool) {
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
    fn let_one_fly(&mut self, [lost, doubled]: [u64; 2]) {
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
    fn rise_against_the_leader(&mut self, index: usize) {
        self.nodes.iter_mut().for_each(|node| node.ahead_ns += TIMEOUT_NS / 2);
        let Node { paxos: Some(paxos), ahead_ns, .. } = &mut self.nodes[index] else { return };
        if !paxos.leads() {
            *ahead_ns = (*ahead_ns).max(paxos.wake_ns().saturating_sub(self.now_ns));
            self.wake(index);
        }
    }

    /// No more faults: everything that flies arrives, everything is synced, time goes on.
    fn heal(&mut self, for_ns: u64) {
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
    fn step_time(&mut self) {
        let wake_ns = |node: &Node| Some(node.paxos.as_ref()?.wake_ns().saturating_sub(node.ahead_ns));
        self.now_ns = self.nodes.iter().filter_map(wake_ns).min().unwrap().max(self.now_ns);
        (0..self.nodes.len()).for_each(|index| self.wake(index));
    }

    /// Delivers all that flies and follows from it, but from and to the replica that is `cut` off.
    fn drain_but(&mut self, cut: Option<usize>) {
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

    fn leader(&self) -> Option<usize> {
        let leads = |node: &Node| node.paxos.as_ref().is_some_and(Paxos::leads);
        let leaders: Vec<_> = (0..self.nodes.len()).filter(|index| leads(&self.nodes[*index])).collect();
        (leaders.len() == 1).then(|| leaders[0])
    }
}

/// A run of chance with faults, then without: nothing is ever chosen twice, and all is well in the end.
fn check_run(seed: u64, replicas: u32, steps: u32) -> (usize, usize) {
    let cluster = check(Cluster::new(seed, replicas), steps);
    (cluster.chosen.len(), cluster.reads_done)
}

fn check(mut cluster: Cluster, steps: u32) -> Cluster {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn three_replicas_agree_whatever_happens_and_go_on_when_it_ends(seed in any::<u64>()) {
        check_run(seed, 3, 4_000);
    }

    #[test]
    fn five_replicas_agree_whatever_happens_and_go_on_when_it_ends(seed in any::<u64>()) {
        check_run(seed, 5, 4_000);
    }
}

#[test]
fn the_hostile_runs_choose_and_read_much() {
    let (chosen, reads) = (0..20)
        .map(|seed| check_run(seed, 3, 4_000))
        .fold((0, 0), |(chosen, reads), (more, read)| (chosen + more, reads + read));
    assert!(chosen > 600 && reads > 150, "{chosen} chosen, {reads} read: the other tests test little");
}

#[test]
fn a_lone_replica_leads_at_once_and_chooses_once_it_is_durable() {
    let mut cluster = Cluster::new(1, 1);
    cluster.now_ns = TIMEOUT_NS;
    cluster.wake(0);
    assert_eq!(cluster.leader(), None, "its own promise is not durable yet");
    cluster.sync(0, true);
    assert_eq!(cluster.leader(), Some(0));
    let (slot, value) = cluster.propose(0).unwrap();
    assert_eq!(cluster.chosen.get(&slot), None);
    cluster.sync(0, true);
    assert_eq!(cluster.chosen.get(&slot), Some(&value));
}

/// Three healed replicas and their leader.
fn calm(seed: u64) -> (Cluster, usize) {
    let mut cluster = Cluster::new(seed, 3);
    cluster.heal(3 * TIMEOUT_NS);
    let leader = cluster.leader().unwrap();
    (cluster, leader)
}

#[test]
fn a_new_leader_leads_within_two_election_timeouts_of_the_old_ones_death() {
    for seed in 0..50 {
        let (mut cluster, leader) = calm(seed);
        cluster.crash(leader);
        let died_ns = cluster.now_ns;
        while cluster.leader().is_none() {
            cluster.step_time();
            cluster.drain_but(None);
        }
        let took_ns = cluster.now_ns - died_ns;
        assert!(took_ns <= 2 * TIMEOUT_NS, "seed {seed}: it took {took_ns} ns");
    }
}

#[test]
fn a_leader_that_hears_nobody_steps_down_and_its_reads_are_never_answered() {
    let (mut cluster, leader) = calm(3);
    cluster.read(leader, ReadKind::Prompt);
    cluster.read(leader, ReadKind::Patient);
    assert_eq!(cluster.reads.len(), 2);
    while cluster.leader() == Some(leader) {
        cluster.flying.clear();
        cluster.now_ns = cluster.nodes[leader].paxos.as_ref().unwrap().wake_ns();
        cluster.wake(leader);
    }
    assert_eq!((cluster.reads.len(), cluster.reads_done), (0, 0));
}

#[test]
fn a_patient_read_sends_nothing_and_takes_place_with_the_next_proposal_or_heartbeat() {
    let (mut cluster, leader) = calm(6);
    cluster.read(leader, ReadKind::Patient);
    assert_eq!((cluster.flying.len(), cluster.reads_done), (0, 0));
    cluster.propose(leader).unwrap();
    assert_eq!(cluster.flying.len(), 2, "the proposal to each follower, and nothing else");
    cluster.drain_but(None);
    assert_eq!(cluster.reads_done, 1);

    cluster.read(leader, ReadKind::Patient);
    cluster.now_ns = cluster.nodes[leader].paxos.as_ref().unwrap().wake_ns();
    cluster.wake(leader);
    cluster.drain_but(None);
    assert_eq!(cluster.reads_done, 2);
}

#[test]
fn a_replica_that_was_cut_off_does_not_depose_the_leader_when_it_comes_back() {
    let (mut cluster, leader) = calm(4);
    let ballot = *cluster.leaders.last_key_value().unwrap().0;
    let lonely = (leader + 1) % 3;
    let until_ns = cluster.now_ns + 20 * TIMEOUT_NS;
    while cluster.now_ns < until_ns {
        cluster.step_time();
        cluster.drain_but(Some(lonely));
    }
    assert!(cluster.nodes[lonely].paxos.as_ref().unwrap().leader().is_none());
    cluster.heal(2 * TIMEOUT_NS);
    assert_eq!(cluster.leader(), Some(leader));
    assert_eq!(*cluster.leaders.last_key_value().unwrap().0, ballot, "no other ballot was needed");
}

/// Replica 1 of three, fresh, all records durable as soon as they are written where `disk` says so.
struct Acceptor {
    paxos: Paxos,
    written: u64,
}

impl Acceptor {
    fn new() -> Self {
        let durable = Durable { promised: Ballot::BEGUN, ..Durable::default() };
        Self::with(config(1, 3, 0), durable)
    }

    fn with(config: Config, durable: Durable) -> Self {
        let paxos = Paxos::recover(config, durable, Stream::named(0, "acceptor"), 0);
        Self { paxos, written: 0 }
    }

    /// The messages that follow from `message`, before and after the disk has what was to be written.
    fn tell(&mut self, from: Replica, message: Message) -> (Vec<Message>, Vec<Message>) {
        self.paxos.message(0, from, message);
        let before = self.said();
        self.paxos.durable(0, self.written);
        (before, self.said())
    }

    fn said(&mut self) -> Vec<Message> {
        let actions: Vec<_> = std::iter::from_fn(|| self.paxos.next_action()).collect();
        self.written += actions.iter().filter(|action| matches!(action, Action::Persist(_))).count() as u64;
        let message = |action| match action {
            Action::Send { message, .. } => Some(message),
            _ => None,
        };
        actions.into_iter().filter_map(message).collect()
    }
}

fn accept(ballot: Ballot, slot: Slot, value: &'static str, chosen: Slot) -> Message {
    Message::Accept { ballot, slot, value: Bytes::from_static(value.as_bytes()), chosen, round: 0 }
}

#[test]
fn nothing_is_promised_or_accepted_before_the_disk_has_it() {
    let mut acceptor = Acceptor::new();
    let ballot = Ballot::NONE.next_of(0);
    let (before, after) = acceptor.tell(0, Message::Prepare { ballot, chosen: 0 });
    assert_eq!(before, []);
    assert_eq!(after, [Message::Promise { ballot, first: 1, learnt: vec![], accepted: vec![] }]);
    let (before, after) = acceptor.tell(0, accept(ballot, 1, "a", 0));
    assert_eq!(before, []);
    assert_eq!(after, [Message::Accepted { ballot, slot: 1, round: 0 }]);
}

#[test]
fn a_replica_without_memory_votes_for_nobody_until_it_knows_what_the_others_know() {
    let mut acceptor = Acceptor::with(config(1, 3, 0), Durable::default());
    let ballot = Ballot::NONE.next_of(0).next_of(2);
    acceptor.paxos.wake(TIMEOUT_NS);
    let asked = acceptor.said();
    let Message::Join { nonce } = asked[0] else { panic!("{asked:?}") };
    assert_eq!(asked.len(), 2, "each of the others is asked");
    let silent = |(before, after): (Vec<Message>, Vec<Message>)| before.is_empty() && after.is_empty();
    assert!(silent(acceptor.tell(2, Message::Prepare { ballot, chosen: 0 })));
    assert!(silent(acceptor.tell(2, Message::Ask { ballot, chosen: 0 })));
    assert!(silent(acceptor.tell(2, accept(ballot, 1, "a", 0))));
    let standing = |nonce, promised, last| Message::Standing { nonce, promised, last, joining: false };
    acceptor.tell(0, standing(nonce, Ballot::NONE.next_of(0), 1));
    acceptor.tell(2, standing(nonce + 1, ballot, 2));
    assert!(acceptor.paxos.is_joining(), "an answer to an earlier process says nothing");
    acceptor.tell(2, standing(nonce, ballot, 2));
    assert!(acceptor.paxos.is_joining(), "slots 1 and 2 may be chosen, by a vote of its own too");
    acceptor.tell(2, Message::Learn { first: 1, values: vec![Bytes::new(), Bytes::new()], chosen: 2 });
    assert!(!acceptor.paxos.is_joining());
    let low = Message::Prepare { ballot: Ballot::NONE.next_of(0), chosen: 2 };
    assert_eq!(
        acceptor.tell(0, low).0,
        [Message::Refuse { promised: ballot }],
        "as if it had promised what others did"
    );
}

#[test]
fn a_lower_ballot_than_the_promised_one_is_refused() {
    let mut acceptor = Acceptor::new();
    let low = Ballot::NONE.next_of(0);
    let high = low.next_of(2);
    acceptor.tell(2, Message::Prepare { ballot: high, chosen: 0 });
    let refusal = vec![Message::Refuse { promised: high }];
    assert_eq!(acceptor.tell(0, Message::Prepare { ballot: low, chosen: 0 }).0, refusal);
    assert_eq!(acceptor.tell(0, accept(low, 1, "a", 0)).0, refusal);
    assert_eq!(acceptor.tell(0, Message::Heartbeat { ballot: low, chosen: 0, round: 0 }).0, refusal);
}

#[test]
fn what_was_accepted_is_not_taken_for_chosen_because_another_says_that_something_is() {
    let mut acceptor = Acceptor::new();
    let ballot = Ballot::NONE.next_of(0);
    acceptor.tell(0, accept(ballot, 2, "never chosen", 0));
    // Replica 2 has learnt from a later leader, whom this replica has not heard, that slot 2 is chosen.
    acceptor.tell(2, Message::Learn { first: 1, values: vec![Bytes::from_static(b"a")], chosen: 2 });
    acceptor.tell(0, accept(ballot, 3, "also never chosen", 0));
    assert_eq!(acceptor.paxos.chosen(), 1);
    // The leader of the ballot itself may say so.
    acceptor.tell(0, Message::Heartbeat { ballot, chosen: 2, round: 0 });
    assert_eq!(acceptor.paxos.chosen(), 2);
}

#[test]
fn a_leader_whose_disk_is_stuck_makes_way_and_takes_no_more_than_it_can_hold() {
    let (mut cluster, leader) = calm(5);
    let until_ns = cluster.now_ns + 6 * TIMEOUT_NS;
    let mut written = 0;
    while cluster.now_ns < until_ns {
        for index in 0..3 {
            while cluster.propose(index).is_some() {
                written += 1;
            }
        }
        // All disks but the leader's work.
        while !cluster.flying.is_empty() {
            cluster.deliver(cluster.flying.len() - 1);
            (0..3).filter(|index| *index != leader).for_each(|index| cluster.sync(index, true));
        }
        cluster.step_time();
    }
    let now_leads = cluster.leader().expect("another leads");
    assert_ne!(now_leads, leader);
    assert!(written > 100, "{written}");
    let node = &cluster.nodes[leader];
    assert!(node.disk.records.len() - node.disk.synced <= 2 * usize::try_from(WRITES_MAX).unwrap());
}
