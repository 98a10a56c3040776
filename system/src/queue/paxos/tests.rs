//! What replicas do, one rule at a time, and what holds whatever happens to them.

mod cluster;
mod members;

use super::*;
use cluster::{Cluster, TIMEOUT_NS, check, check_run, config};
use proptest::prelude::*;
use std::collections::BTreeSet;

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
