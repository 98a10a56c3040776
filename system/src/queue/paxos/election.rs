//! Who leads: asking first (Ongaro 2014, section 9.6), then phase 1, with random patience against duels.

use super::leader::Leading;
use super::votes::Votes;
use super::{Accepted, Action, Ballot, Change, Held, Message, Paxos, Record, Replica, Role, Slot};
use bytes::Bytes;
use std::collections::BTreeMap;

/// Asks who would promise a ballot.
#[derive(Debug)]
pub(super) struct Asking {
    ballot: Ballot,
    granted: Votes,
}

/// Phase 1 is under way.
#[derive(Debug)]
pub(super) struct Preparing {
    ballot: Ballot,
    promises: Votes,
    /// Of what was reported, the acceptance with the highest ballot, slot by slot.
    reported: BTreeMap<Slot, Accepted>,
}

impl Paxos {
    /// No leader was heard for too long, or an attempt came to nothing: asks whether another is welcome.
    pub(super) fn ask(&mut self, now_ns: u64) {
        if self.is_stuck(now_ns) {
            return self.sleep_before_retry(now_ns);
        }
        let ballot = self.highest.max(self.promised).next_of(self.config.me);
        let mut granted = Votes::default();
        granted.add(self.config.me);
        self.role = Role::Asking(Asking { ballot, granted });
        self.leader = None;
        self.sleep_before_retry(now_ns);
        self.send_voters(&Message::Ask { ballot, chosen: self.chosen });
        self.prepare_if_welcome(now_ns);
    }

    /// A peer asks. Whoever hears a leader, or leads, wants no other; and none that must catch up first, or does not vote.
    pub(super) fn asked(&mut self, now_ns: u64, from: Replica, ballot: Ballot, chosen: Slot) {
        let patience_ns = self.config.election_timeout_ns / 2;
        let content = self.heard_ns.is_some_and(|heard_ns| now_ns.saturating_sub(heard_ns) < patience_ns);
        // One that knows more may know that it votes.
        let votes = self.members.has(from) || chosen > self.chosen;
        let granted = ballot > self.promised && !content && !self.leads() && self.can_teach(chosen) && votes;
        if !votes {
            sim::sometimes!("a replica that was removed wants to lead");
            self.share(now_ns, from, chosen);
        }
        self.send(from, Message::Answer { ballot, granted, promised: self.promised });
    }

    pub(super) fn answered(
        &mut self,
        now_ns: u64,
        from: Replica,
        ballot: Ballot,
        granted: bool,
        promised: Ballot,
    ) {
        self.highest = self.highest.max(promised);
        if let Role::Asking(asking) = &mut self.role
            && asking.ballot == ballot
            && granted
        {
            asking.granted.add(from);
            self.prepare_if_welcome(now_ns);
        }
    }

    /// Begins phase 1 once a majority welcomes it. The ballot is on disk before anybody hears of it: a replica that
    /// crashes now must not use it again.
    fn prepare_if_welcome(&mut self, now_ns: u64) {
        let Role::Asking(Asking { ballot, granted }) = self.role else { return };
        if self.members.agree(granted) && ballot > self.promised {
            self.prepare_with(now_ns, ballot);
        }
    }

    /// Begins phase 1 with a ballot above all that were heard of.
    pub(super) fn prepare_next(&mut self, now_ns: u64) {
        self.prepare_with(now_ns, self.highest.max(self.promised).next_of(self.config.me));
    }

    fn prepare_with(&mut self, now_ns: u64, ballot: Ballot) {
        self.promised = ballot;
        self.highest = self.highest.max(ballot);
        let (promises, reported) = (Votes::default(), BTreeMap::new());
        self.role = Role::Preparing(Preparing { ballot, promises, reported });
        self.sleep_before_retry(now_ns);
        self.persist(now_ns, Record::Promise { ballot });
        self.ask_promises(now_ns, |_| true);
        self.after_durable(now_ns, Held::OwnPromise(ballot));
    }

    /// Phase 1a, to those who vote and are `asked`.
    pub(super) fn ask_promises(&mut self, now_ns: u64, asked: impl Fn(Replica) -> bool) {
        let Role::Preparing(Preparing { ballot, .. }) = self.role else { return };
        for to in self.voting_peers().filter(|peer| asked(*peer)) {
            self.after_durable(now_ns, Held::Send(to, Message::Prepare { ballot, chosen: self.chosen }));
        }
    }

    pub(super) fn own_promise(&mut self, now_ns: u64, ballot: Ballot) {
        self.actions.push_back(Action::Promised(ballot));
        self.promise(now_ns, self.config.me, ballot, (self.chosen + 1, Vec::new()), Vec::new());
    }

    /// Phase 1b arrives. With a majority of them this replica leads.
    pub(super) fn promise(
        &mut self,
        now_ns: u64,
        from: Replica,
        ballot: Ballot,
        (first, learnt): (Slot, Vec<Bytes>),
        accepted: Vec<(Slot, Accepted)>,
    ) {
        let clogged = self.is_clogged();
        let Role::Preparing(preparing) = &mut self.role else { return };
        // What a promise teaches must be kept, or the leader would not know it.
        if preparing.ballot != ballot || clogged {
            return;
        }
        preparing.promises.add(from);
        for (slot, entry) in accepted {
            keep_highest(&mut preparing.reported, slot, entry);
        }
        self.take_values(now_ns, first, learnt);
        // Of those who vote as far as is known by now: what was learnt may have changed that.
        if let Role::Preparing(preparing) = &self.role
            && self.members.agree(preparing.promises)
        {
            self.lead(now_ns);
        }
    }

    /// Phase 1 is complete, and with it this replica knows all that any promiser knows to be chosen. Above that, what was
    /// accepted with the highest ballot may have been chosen and is proposed again; gaps are filled with nothing. But nothing
    /// beyond a change of who votes: for what comes behind it, others must promise.
    fn lead(&mut self, now_ns: u64) {
        let following = std::mem::replace(&mut self.role, Role::Following);
        let Role::Preparing(Preparing { ballot, mut reported, .. }) = following else {
            unreachable!("only phase 1 ends in leading")
        };
        let chosen = self.chosen;
        for (slot, entry) in self.entries.range(chosen + 1..) {
            keep_highest(&mut reported, *slot, entry.clone());
        }
        let last = reported.last_key_value().map_or(chosen, |(slot, _)| chosen.max(*slot));
        let is_change =
            |slot: &Slot| reported.get(slot).is_some_and(|entry| Change::of(&entry.value).is_some());
        let last = (chosen + 1..=last).find(is_change).unwrap_or(last);
        sim::sometimes!(last > chosen, "a new leader proposes again what may have been chosen before it");
        self.role = Role::Leading(Leading::new(&self.config, ballot, chosen + 1, last, now_ns));
        self.actions.push_back(Action::Lead(ballot));
        for slot in chosen + 1..=last {
            let value = reported.remove(&slot).map_or_else(Default::default, |entry| entry.value);
            self.propose_next(now_ns, value);
        }
        self.beat(now_ns);
    }

    /// Some replica has promised a higher ballot.
    pub(super) fn refused(&mut self, now_ns: u64, promised: Ballot) {
        self.highest = self.highest.max(promised);
        if promised > self.promised && matches!(self.role, Role::Preparing(_) | Role::Leading(_)) {
            self.follow(now_ns);
        }
    }

    /// Gives up whatever this replica was trying; waits for a leader, or for its turn.
    pub(super) fn follow(&mut self, now_ns: u64) {
        if self.leads() {
            sim::sometimes!("a leader gives up leading");
            self.actions.push_back(Action::Follow);
        }
        self.role = Role::Following;
        self.leader = None;
        self.sleep_before_election(now_ns);
    }

    /// A ballot of a peer was heard that this replica may take part in: takes part in no lower one from here on.
    /// Whoever calls this makes that durable before it answers.
    pub(super) fn take_part(&mut self, now_ns: u64, ballot: Ballot) {
        if ballot > self.promised {
            self.promised = ballot;
            self.highest = self.highest.max(ballot);
            self.follow(now_ns);
        }
    }

    /// The leader of `ballot`, which this replica takes part in, was heard.
    pub(super) fn heard_leader(&mut self, now_ns: u64, ballot: Ballot, chosen: Slot) {
        self.role = Role::Following;
        self.leader = Some(ballot.leader());
        self.heard_ns = Some(now_ns);
        self.told = self.told.max(chosen);
        self.ahead = self.ahead.max(chosen);
        self.sleep_before_election(now_ns);
    }

    pub(super) fn sleep_before_election(&mut self, now_ns: u64) {
        let timeout_ns = self.config.election_timeout_ns;
        self.sleep(now_ns, timeout_ns..timeout_ns + timeout_ns / 2);
    }

    fn sleep_before_retry(&mut self, now_ns: u64) {
        let timeout_ns = self.config.election_timeout_ns;
        self.sleep(now_ns, timeout_ns / 4..timeout_ns);
    }
}

fn keep_highest(entries: &mut BTreeMap<Slot, Accepted>, slot: Slot, entry: Accepted) {
    match entries.get(&slot) {
        Some(other) if other.ballot >= entry.ballot => {}
        _ => {
            entries.insert(slot, entry);
        }
    }
}
