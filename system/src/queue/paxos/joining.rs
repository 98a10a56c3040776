//! A replica that remembers no promise: it is new, or its disk was lost, and with it what it had promised and accepted. It
//! must not vote from nothing.
//!
//! It asks every other replica how things stand. Where none of them remembers a promise either, nothing was ever chosen, and
//! all begin. Otherwise it takes part again once it knows all slots to be chosen that anybody had accepted anything for by
//! then, and promises no less than the highest promise that it heard of: whatever its lost votes helped to choose is among
//! those slots, for each such vote was asked for by a leader that had promised its own ballot, and had accepted its own
//! proposal, before it asked (van Renesse & Altinbuken 2015, section 4.2, leave this case to a reader; Ongaro 2014, section
//! 11.7.3, on recovery from a lost disk).
//!
//! Of a group with spares, the others that must answer are those that vote, as far as it knows once it has caught up; to begin,
//! spares must answer too, for a group that this replica knows nothing of may have taken the first one's place.

use super::{Ballot, Message, Paxos, Record, Replica, Slot};
use std::collections::BTreeMap;

/// A replica that asks how things stand.
#[derive(Debug)]
pub(super) struct Joining {
    /// Tells answers to this process from answers to an earlier one.
    nonce: u64,
    /// Whether `nonce` is on disk, or on its way there.
    is_kept: bool,
    answers: BTreeMap<Replica, Standing>,
}

/// How things stand for one replica.
#[derive(Clone, Copy, Debug)]
struct Standing {
    promised: Ballot,
    last: Slot,
    joining: bool,
}

impl Joining {
    /// `is_kept` says that the number was found on the disk.
    pub(super) fn new(nonce: u64, is_kept: bool) -> Self {
        Self { nonce, is_kept, answers: BTreeMap::new() }
    }

    pub(super) fn nonce(&self) -> u64 {
        self.nonce
    }

    /// The number, where it must be put on disk yet.
    pub(super) fn take_unkept(&mut self) -> Option<u64> {
        (!std::mem::replace(&mut self.is_kept, true)).then_some(self.nonce)
    }
}

impl Paxos {
    /// Whether this replica may not vote yet.
    pub fn is_joining(&self) -> bool {
        self.joining.is_some()
    }

    /// Asks those who have not answered, and for what is chosen above what this replica knows.
    pub(super) fn join(&mut self, now_ns: u64) {
        let heartbeat_ns = self.config.heartbeat_ns();
        self.sleep(now_ns, heartbeat_ns..2 * heartbeat_ns);
        let Some(joining) = &self.joining else { return };
        let silent: Vec<_> = self.config.peers().filter(|peer| !joining.answers.contains_key(peer)).collect();
        let ask = Message::Join { nonce: joining.nonce };
        let most = joining.answers.iter().max_by_key(|(_, standing)| standing.last);
        let most = most.map(|(peer, standing)| (*peer, standing.last));
        silent.into_iter().for_each(|to| self.send(to, ask.clone()));
        if let Some((peer, last)) = most
            && last > self.chosen
        {
            self.send(peer, Message::Fetch { first: self.chosen + 1 });
        }
    }

    /// A peer asks how things stand: as far as this replica has gone, on disk or not.
    pub(super) fn asked_how_things_stand(&mut self, from: Replica, nonce: u64) {
        let accepted = self.entries.last_key_value().map_or(0, |(slot, _)| *slot);
        let (promised, last) = (self.promised, accepted.max(self.chosen));
        let joining = self.is_joining();
        self.send(from, Message::Standing { nonce, promised, last, joining });
    }

    /// A peer says how things stand.
    pub(super) fn stands(
        &mut self,
        now_ns: u64,
        from: Replica,
        nonce: u64,
        (promised, last, joining): (Ballot, Slot, bool),
    ) {
        if let Some(own) = self.joining.as_mut().filter(|own| own.nonce == nonce) {
            own.answers.entry(from).or_insert(Standing { promised, last, joining });
            self.ahead = self.ahead.max(last);
            self.take_part_if_known(now_ns);
        }
    }

    /// Takes part from now on, where all have answered and all is known that they spoke of.
    pub(super) fn take_part_if_known(&mut self, now_ns: u64) {
        let Some(joining) = &self.joining else { return };
        let answers = || joining.answers.values();
        if !self.members.has(self.config.me)
            || !self.voting_peers().all(|peer| joining.answers.contains_key(&peer))
        {
            return;
        }
        let last = answers().map(|standing| standing.last).max().unwrap_or(0);
        if self.chosen < last {
            return;
        }
        let all_are_new = answers().all(|standing| standing.joining);
        if all_are_new && joining.answers.len() < self.config.peers().count() {
            return;
        }
        let promised = answers().map(|standing| standing.promised).max().unwrap_or(Ballot::NONE);
        let promised = promised.max(Ballot::BEGUN);
        sim::sometimes!(!all_are_new && last > 0, "a replica that lost its disk takes part again");
        self.begin_to_vote(now_ns, promised);
    }

    /// Takes part from now on, in `promised` or above.
    pub(super) fn begin_to_vote(&mut self, now_ns: u64, promised: Ballot) {
        self.joining = None;
        (self.promised, self.highest) = (promised, self.highest.max(promised));
        // Whatever this replica says from here on waits for the disk behind this.
        self.persist(now_ns, Record::Promise { ballot: promised });
        let timeout_ns = self.config.election_timeout_ns;
        self.sleep(now_ns, timeout_ns / 4..timeout_ns);
    }

    /// The leader is heard by a replica that may not vote: it learns how far things are.
    pub(super) fn overhear(&mut self, now_ns: u64, from: Replica, chosen: Slot) {
        self.ahead = self.ahead.max(chosen);
        if self.ahead > self.chosen && now_ns >= self.fetch_after_ns {
            self.fetch_after_ns = now_ns + self.config.heartbeat_ns();
            self.send(from, Message::Fetch { first: self.chosen + 1 });
        }
    }
}
