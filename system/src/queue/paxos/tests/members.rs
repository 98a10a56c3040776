//! Replicas come and go: a test for each rule, and all of them under all that may go wrong.

use super::*;

impl Cluster {
    /// Who votes, as the last change says that is known to anybody.
    fn members(&self) -> Members {
        self.groups.last_key_value().expect("those with spares say so").1.clone()
    }

    /// A replica says who votes: all say the same of one slot, and a change is of one replica.
    pub(super) fn reconfigure(&mut self, index: usize, members: Members) {
        self.nodes[index].members = Some(members.clone());
        let before = self.groups.range(..members.since()).next_back().map(|(_, before)| before.clone());
        let known = self.groups.entry(members.since()).or_insert(members.clone());
        assert_eq!(*known, members, "two groups from slot {} on", members.since());
        let Some(before) = before else { return };
        let differ =
            (0..REPLICAS_MAX).filter(|replica| before.has(*replica) != members.has(*replica)).count();
        assert!(differ <= 1, "{before:?} became {members:?} at once");
    }

    /// A slot is known to be chosen: a majority of those who vote on it has accepted it in one ballot.
    pub(super) fn check_majority(&self, slot: Slot) {
        let Some((_, members)) = self.groups.range(..slot).next_back() else { return };
        let ballots = self.accepted.range((slot, Ballot::NONE)..(slot + 1, Ballot::NONE));
        let votes = ballots.map(|(_, voters)| voters.iter().filter(|voter| members.has(**voter)).count());
        let most = votes.max().unwrap_or(0);
        assert!(most >= members.majority() as usize, "slot {slot}: {most} votes of {members:?}");
    }

    /// Whether a change is under way that may make the replica vote: should it forget meanwhile, it would vote from nothing, or
    /// not at all.
    pub(super) fn is_being_added(&self, index: usize) -> bool {
        let since = self.groups.last_key_value().map_or(0, |(since, _)| *since);
        let adds = |value| matches!(Change::of(value), Some(Change::Add { replica, .. }) if replica as usize == index);
        let mut records = self.nodes.iter().flat_map(|node| &node.disk.records);
        let kept = records
            .any(|(_, record)| matches!(record, Record::Accept { slot, value, .. } if *slot > since && adds(value)));
        kept || self
            .flying
            .iter()
            .any(|(_, _, said)| matches!(said, Message::Accept { value, .. } if adds(value)))
    }

    /// Nobody believes any more what the replica said before it lost its disk: that a leader adds it in the moment in which it
    /// does is one loss too many.
    pub(super) fn forget_listener(&mut self, index: usize) {
        let replica = u32::try_from(index).unwrap();
        self.flying.retain(|(from, _, said)| *from != replica || !matches!(said, Message::Listen { .. }));
        for paxos in self.nodes.iter_mut().filter_map(|node| node.paxos.as_mut()) {
            if let Role::Leading(leading) = &mut paxos.role {
                leading.forget_listener(replica);
            }
        }
    }

    /// If the replica leads, it adds or removes another, or itself.
    pub(super) fn try_to_change(&mut self, index: usize) {
        let replica = u32::try_from(self.chance.below(0..self.nodes.len() as u64)).unwrap();
        let now_ns = self.now_ns + self.nodes[index].ahead_ns;
        let Some(paxos) = self.nodes[index].paxos.as_mut().filter(|_| self.spares > 0) else { return };
        let Role::Leading(leading) = &paxos.role else { return };
        let spare = leading.listeners().find(|(spare, _)| *spare == replica);
        let add = spare.map(|(_, listener)| Change::Add { replica, nonce: listener.nonce });
        // Three stay, so that they survive one that loses its disk.
        let (votes, enough) = (paxos.members().has(replica), paxos.members().count() > 3);
        let remove = enough.then_some(Change::Remove { replica });
        if let Some(change) = if votes { remove } else { add } {
            // It may have to wait for another.
            let _ = paxos.change(now_ns, change);
            self.settle(index);
        }
    }

    fn paxos(&mut self, index: usize) -> &mut Paxos {
        self.nodes[index].paxos.as_mut().expect("it lives")
    }

    /// Has the leader make a change, and gives all time to hear of it.
    fn make(&mut self, leader: usize, change: Change) -> Slot {
        let now_ns = self.now_ns;
        let slot = self.paxos(leader).change(now_ns, change).unwrap();
        self.settle(leader);
        slot
    }

    /// All but `dead` go on for a while.
    fn go_on_without(&mut self, dead: &[usize], for_ns: u64) {
        let until_ns = self.now_ns + for_ns;
        dead.iter().for_each(|index| self.crash(*index));
        while self.now_ns < until_ns {
            self.drain_but(None);
            self.step_time();
        }
        self.drain_but(None);
    }
}

/// Healed replicas, of which the last are spares, and their leader.
fn calm_with_spares(seed: u64, replicas: u32, spares: u32) -> (Cluster, usize) {
    let mut cluster = Cluster::with_spares(seed, replicas, spares);
    cluster.heal(3 * TIMEOUT_NS);
    let leader = cluster.leader().unwrap();
    (cluster, leader)
}

fn add(cluster: &Cluster, replica: Replica) -> Change {
    let paxos = cluster.nodes[replica as usize].paxos.as_ref().expect("it lives");
    Change::Add { replica, nonce: paxos.joining.as_ref().map(Joining::nonce) }
}

fn voters(members: &Members) -> Vec<Replica> {
    members.iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn replicas_that_come_and_go_agree_whatever_happens_and_go_on_when_it_ends(seed in any::<u64>()) {
        check(Cluster::with_spares(seed, 5, 2), 4_000);
    }

    #[test]
    fn four_replicas_with_one_spare_agree_whatever_happens(seed in any::<u64>()) {
        check(Cluster::with_spares(seed, 4, 1), 4_000);
    }
}

#[test]
fn the_hostile_runs_change_who_votes_often() {
    let changes = |seed| check(Cluster::with_spares(seed, 5, 2), 4_000).groups.len();
    let changes: usize = (0..20).map(changes).sum();
    assert!(changes > 80, "{changes}: the other tests test little");
}

#[test]
fn a_change_is_refused_until_the_one_before_is_in_force_and_nothing_goes_beyond_it() {
    let (mut cluster, leader) = calm_with_spares(1, 5, 2);
    let (now_ns, change) = (cluster.now_ns, add(&cluster, 3));
    let slot = cluster.make(leader, change);
    let other = add(&cluster, 4);
    assert_eq!(cluster.paxos(leader).change(now_ns, other), Err(ChangeError::UnderWay));
    assert_eq!(cluster.propose(leader), None, "no value either");
    cluster.drain_but(None);
    assert_eq!(cluster.members().since(), slot);
    assert_eq!(voters(&cluster.members()), [0, 1, 2, 3]);
    cluster.make(leader, other);
    cluster.drain_but(None);
    assert_eq!(voters(&cluster.members()), [0, 1, 2, 3, 4]);
    let follower = (leader + 1) % 3;
    assert_eq!(cluster.paxos(follower).change(now_ns, other), Err(ChangeError::NotLeader));
    assert_eq!(cluster.paxos(leader).change(now_ns, other), Err(ChangeError::Idle));
    let nobody = Change::Remove { replica: 9 };
    assert_eq!(cluster.paxos(leader).change(now_ns, nobody), Err(ChangeError::Idle));
}

#[test]
fn who_was_added_is_counted_and_who_was_removed_is_not() {
    let (mut cluster, leader) = calm_with_spares(2, 4, 1);
    let change = add(&cluster, 3);
    cluster.make(leader, change);
    cluster.go_on_without(&[], TIMEOUT_NS);
    let others: Vec<_> = (0..3).filter(|index| *index != leader).collect();
    cluster.make(leader, Change::Remove { replica: u32::try_from(others[0]).unwrap() });
    cluster.go_on_without(&[others[1]], TIMEOUT_NS / 2);
    // The leader and the new one are two of three; the one that was removed hears all of it.
    let (slot, value) = cluster.propose(leader).unwrap();
    cluster.drain_but(None);
    assert_eq!(cluster.chosen.get(&slot), Some(&value));
    cluster.go_on_without(&[3], TIMEOUT_NS / 2);
    let (slot, _) = cluster.propose(leader).unwrap();
    cluster.drain_but(None);
    assert_eq!(cluster.chosen.get(&slot), None, "the one that was removed is no majority with the leader");
}

#[test]
fn a_leader_that_is_removed_steps_down_once_that_is_chosen_and_another_leads() {
    let (mut cluster, leader) = calm_with_spares(3, 4, 1);
    let change = add(&cluster, 3);
    cluster.make(leader, change);
    cluster.drain_but(None);
    let slot = cluster.make(leader, Change::Remove { replica: u32::try_from(leader).unwrap() });
    assert!(cluster.paxos(leader).leads(), "not before it is chosen");
    cluster.drain_but(None);
    assert_eq!(cluster.members().since(), slot);
    assert!(!cluster.paxos(leader).leads());
    cluster.heal(3 * TIMEOUT_NS);
    let next = cluster.leader().expect("another leads");
    assert_ne!(next, leader);
    assert_eq!(cluster.paxos(leader).leader(), u32::try_from(next).ok(), "it sends clients there");
}

#[test]
fn a_replica_that_was_removed_votes_no_more_and_does_not_begin_again_when_it_starts() {
    let (mut cluster, leader) = calm_with_spares(4, 4, 1);
    let removed = (leader + 1) % 3;
    let change = add(&cluster, 3);
    cluster.make(leader, change);
    cluster.drain_but(None);
    cluster.make(leader, Change::Remove { replica: u32::try_from(removed).unwrap() });
    cluster.drain_but(None);
    for turn in 0..2 {
        let voted = cluster.accepted.len();
        let (slot, _) = cluster.propose(leader).unwrap();
        cluster.drain_but(None);
        assert!(cluster.accepted.len() > voted);
        let ballots = cluster.accepted.iter().filter(|((accepted, _), _)| *accepted == slot);
        let votes: BTreeSet<_> = ballots.flat_map(|(_, voters)| voters.iter().copied()).collect();
        assert!(!votes.contains(&u32::try_from(removed).unwrap()), "in turn {turn}: {votes:?}");
        let begun = cluster.leaders.len();
        // It is alone, for long, and then starts anew: it asks nobody to follow it.
        cluster.crash(removed);
        cluster.start(removed);
        let woken_ns = cluster.now_ns + 20 * TIMEOUT_NS;
        cluster.paxos(removed).wake(woken_ns);
        cluster.settle(removed);
        assert!(cluster.flying.is_empty(), "{:?}", cluster.flying);
        assert_eq!(cluster.leaders.len(), begun);
        cluster.heal(TIMEOUT_NS);
    }
}

#[test]
fn a_spare_gives_no_promise_and_no_vote_and_confirms_no_read() {
    let mut spare = Acceptor::with(config(3, 4, 1), Durable::default());
    let ballot = Ballot::NONE.next_of(0);
    let silent = |(before, after): (Vec<Message>, Vec<Message>)| before.is_empty() && after.is_empty();
    assert!(silent(spare.tell(0, Message::Ask { ballot, chosen: 0 })));
    assert!(silent(spare.tell(0, Message::Prepare { ballot, chosen: 0 })));
    assert!(silent(spare.tell(0, accept(ballot, 1, "a", 0))));
    let (before, after) = spare.tell(0, Message::Heartbeat { ballot, chosen: 0, round: 1 });
    assert_eq!(before, [], "what it has drawn must be on disk first");
    let [Message::Listen { chosen: 0, nonce: Some(nonce), .. }] = after[..] else { panic!("{after:?}") };
    let durable = Durable { nonce: Some(nonce), ..Durable::default() };
    let mut again = Acceptor::with(config(3, 4, 1), durable);
    let (before, _) = again.tell(0, Message::Heartbeat { ballot, chosen: 0, round: 2 });
    assert_eq!(before, [Message::Listen { ballot, chosen: 0, nonce: Some(nonce) }], "it stays the same");
}

#[test]
fn a_replica_that_lost_its_disk_after_it_was_added_does_not_vote_when_it_reads_the_change_again() {
    let mut first = Acceptor::with(config(3, 4, 1), Durable::default());
    let nonce = first.paxos.joining.as_ref().map(Joining::nonce);
    let change = Change::Add { replica: 3, nonce };
    let learn = || Message::Learn { first: 1, values: vec![change.value()], chosen: 1 };
    first.tell(0, learn());
    assert!(first.paxos.may_vote(), "it has never voted");
    let chance = Stream::named(1, "another process");
    let paxos = Paxos::recover(config(3, 4, 1), Durable::default(), chance, 0);
    let mut second = Acceptor { paxos, written: 0 };
    second.tell(0, learn());
    assert!(second.paxos.members().has(3));
    assert!(!second.paxos.may_vote(), "it may have voted before");
}

#[test]
fn a_candidate_that_learns_of_others_in_phase_1_needs_a_majority_of_those() {
    let durable = Durable { promised: Ballot::BEGUN, ..Durable::default() };
    let mut candidate = Acceptor::with(config(1, 5, 2), durable);
    candidate.paxos.wake(TIMEOUT_NS);
    let asked = candidate.said();
    let Message::Ask { ballot, .. } = asked[0] else { panic!("{asked:?}") };
    assert_eq!(asked.len(), 2, "the others that vote are asked, and no spare");
    candidate.tell(2, Message::Answer { ballot, granted: true, promised: Ballot::BEGUN });
    // Meanwhile 3 and 4 were added: two of five are no majority.
    let learnt = [3, 4].map(|replica| Change::Add { replica, nonce: None }.value()).to_vec();
    let promise = Message::Promise { ballot, first: 1, learnt, accepted: vec![] };
    let (before, after) = candidate.tell(2, promise);
    assert!(!candidate.paxos.leads());
    let prepares = before.iter().chain(&after).filter(|message| matches!(message, Message::Prepare { .. }));
    assert_eq!(prepares.count(), 2, "the new ones are asked for their promises");
    candidate.tell(4, Message::Promise { ballot, first: 3, learnt: vec![], accepted: vec![] });
    assert!(candidate.paxos.leads(), "three of five");
}

#[test]
fn a_new_leader_that_finds_a_change_proposes_nothing_behind_it_and_is_elected_anew() {
    let durable = Durable { promised: Ballot::BEGUN, ..Durable::default() };
    let mut candidate = Acceptor::with(config(1, 4, 1), durable);
    candidate.paxos.wake(TIMEOUT_NS);
    let Message::Ask { ballot, .. } = candidate.said()[0] else { panic!("it asks") };
    candidate.tell(2, Message::Answer { ballot, granted: true, promised: Ballot::BEGUN });
    let old = |value| Accepted { ballot: Ballot::NONE.next_of(0), value };
    let change = Change::Add { replica: 3, nonce: None };
    let accepted = vec![(1, old(change.value())), (2, old(Bytes::from_static(b"behind")))];
    candidate.tell(2, Message::Promise { ballot, first: 1, learnt: vec![], accepted });
    assert!(candidate.paxos.leads() && candidate.paxos.is_changing());
    assert!(!candidate.paxos.entries.contains_key(&2), "nothing behind the change");
    let (before, after) = candidate.tell(2, Message::Accepted { ballot, slot: 1, round: 0 });
    assert!(candidate.paxos.members().has(3), "the change is chosen");
    assert!(!candidate.paxos.leads(), "those who vote now have not promised anything yet");
    let prepares = before.iter().chain(&after).filter(|message| matches!(message, Message::Prepare { .. }));
    assert_eq!(prepares.count(), 3, "each of the others is asked");
}

#[test]
fn a_leader_that_learns_of_a_change_from_others_leads_no_more() {
    let (mut cluster, leader) = calm_with_spares(5, 4, 1);
    let next = cluster.paxos(leader).chosen() + 1;
    let values = vec![Change::Add { replica: 3, nonce: None }.value()];
    let now_ns = cluster.now_ns;
    let paxos = cluster.paxos(leader);
    paxos.message(
        now_ns,
        u32::try_from((leader + 1) % 3).unwrap(),
        Message::Learn { first: next, values, chosen: next },
    );
    assert!(paxos.members().has(3));
    assert!(!paxos.leads());
}

#[test]
fn who_votes_outlives_restarts_and_snapshots() {
    let (mut cluster, leader) = calm_with_spares(6, 5, 2);
    let change = add(&cluster, 4);
    cluster.make(leader, change);
    cluster.drain_but(None);
    for _ in 0..2 {
        (0..5).for_each(|index| cluster.crash(index));
        cluster.heal(3 * TIMEOUT_NS);
        for index in 0..5 {
            assert_eq!(voters(cluster.paxos(index).members()), [0, 1, 2, 4], "replica {index}");
        }
        // The second time around only the snapshot has it.
        for node in &mut cluster.nodes {
            (node.disk.snapshot, node.disk.members) = (node.applied, node.members.clone());
            node.disk.records.retain(|(_, record)| matches!(record, Record::Promise { .. }));
            node.disk.synced = node.disk.records.len();
        }
    }
}

#[test]
fn a_silent_replica_is_replaced_by_a_spare_and_then_another_by_a_second() {
    for seed in 0..10 {
        let (mut cluster, _) = calm_with_spares(seed, 5, 2);
        cluster.go_on_without(&[0], 8 * TIMEOUT_NS);
        assert_eq!(voters(&cluster.members()), [1, 2, 3], "seed {seed}");
        cluster.go_on_without(&[1], 8 * TIMEOUT_NS);
        assert_eq!(voters(&cluster.members()), [2, 3, 4], "seed {seed}");
        let leader = cluster.leader().expect("two of five replicas are gone, and none of three");
        let (slot, value) = cluster.propose(leader).unwrap();
        cluster.drain_but(None);
        assert_eq!(cluster.chosen.get(&slot), Some(&value));
        // One comes back as it was and one with nothing: both are spares now, and take the next places.
        cluster.lose_disk(1);
        cluster.heal(2 * TIMEOUT_NS);
        assert_eq!(voters(&cluster.members()), [2, 3, 4], "seed {seed}");
        cluster.go_on_without(&[2], 8 * TIMEOUT_NS);
        assert_eq!(voters(&cluster.members()), [0, 3, 4], "seed {seed}");
        cluster.go_on_without(&[3], 8 * TIMEOUT_NS);
        assert_eq!(voters(&cluster.members()), [0, 1, 4], "seed {seed}");
    }
}

#[test]
fn a_silent_replica_keeps_its_place_where_no_spare_has_caught_up() {
    let (mut cluster, _) = calm_with_spares(7, 4, 1);
    let until_ns = cluster.now_ns + 8 * TIMEOUT_NS;
    cluster.crash(0);
    while cluster.now_ns < until_ns {
        // Nothing that the spare says arrives.
        cluster.drain_but(Some(3));
        cluster.step_time();
    }
    assert_eq!(voters(&cluster.members()), [0, 1, 2]);
    cluster.go_on_without(&[], 2 * TIMEOUT_NS);
    assert_eq!(voters(&cluster.members()), [1, 2, 3]);
}
