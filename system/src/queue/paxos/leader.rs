//! Phase 2, reads, and noticing that the majority is gone.

use super::votes::Votes;
use super::{
    Action, Ballot, Change, Config, Held, Members, Message, OPEN_SLOTS_MAX, Paxos, Record, Replica, Role,
    Slot,
};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// What only a leader knows.
#[derive(Debug)]
pub(super) struct Leading {
    ballot: Ballot,
    /// The slot of the next proposal.
    next: Slot,
    /// All that may have been chosen before this leader's time is at or below this slot.
    inherited: Slot,
    open: BTreeMap<Slot, Open>,
    /// Rounds of confirming that a majority still follows: the latest, and each replica's latest answer.
    round: u64,
    answered: Vec<u64>,
    /// When each replica was last heard.
    heard_ns: Vec<u64>,
    reads: VecDeque<Pending>,
    /// The latest round that a prompt read waits for.
    wanted: u64,
    /// A change of who votes that is not in force yet: nothing is proposed beyond it.
    change: Option<Slot>,
    /// Since when this replica leads.
    since_ns: u64,
    /// Those who do not vote, as they spoke last.
    listeners: BTreeMap<Replica, Listener>,
}

/// A replica that does not vote and learns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listener {
    pub(super) heard_ns: u64,
    /// All slots up to here are on its disk.
    pub(super) chosen: Slot,
    /// What it has drawn, where it remembers no promise.
    pub(super) nonce: Option<u64>,
}

/// How soon a read is to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadKind {
    /// At once, by messages of its own if need be.
    Prompt,
    /// By what is sent anyway: the next proposal, or the next heartbeat.
    Patient,
}

/// A slot that is not known to be chosen yet.
#[derive(Debug)]
struct Open {
    votes: Votes,
    sent_ns: u64,
}

/// A read that waits to be confirmed.
#[derive(Debug)]
struct Pending {
    number: u64,
    /// The round that confirms it.
    round: u64,
    /// All slots up to here must be applied.
    index: Slot,
}

impl Leading {
    pub(super) fn new(config: &Config, ballot: Ballot, next: Slot, inherited: Slot, now_ns: u64) -> Self {
        let replicas = config.replicas as usize;
        Self {
            ballot,
            next,
            inherited,
            open: BTreeMap::new(),
            round: 0,
            answered: vec![0; replicas],
            heard_ns: vec![now_ns; replicas],
            reads: VecDeque::new(),
            wanted: 0,
            change: None,
            since_ns: now_ns,
            listeners: BTreeMap::new(),
        }
    }

    /// The latest round that a majority answered.
    fn confirmed(&self, me: Replica, members: &Members) -> u64 {
        let answered = |replica| if replica == me { self.round } else { self.answered[replica as usize] };
        let mut rounds: Vec<_> = members.iter().map(answered).collect();
        rounds.sort_unstable_by(|one, other| other.cmp(one));
        rounds[members.majority() as usize - 1]
    }

    /// For how long `replica` has not answered.
    pub(super) fn silence_ns(&self, now_ns: u64, replica: Replica) -> u64 {
        now_ns.saturating_sub(self.heard_ns[replica as usize])
    }

    /// For how long this replica has led.
    pub(super) fn age_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.since_ns)
    }

    #[cfg(test)]
    pub(super) fn forget_listener(&mut self, replica: Replica) {
        self.listeners.remove(&replica);
    }

    /// Those who do not vote, as they spoke last.
    pub(super) fn listeners(&self) -> impl Iterator<Item = (Replica, Listener)> + '_ {
        self.listeners.iter().map(|(replica, listener)| (*replica, *listener))
    }
}

impl Paxos {
    /// Whether this replica leads and has room for a proposal.
    pub fn has_room(&self) -> bool {
        matches!(&self.role, Role::Leading(leading) if leading.open.len() < OPEN_SLOTS_MAX)
            && !self.is_changing()
            && !self.is_clogged()
    }

    /// Whether this replica leads and has proposals that are not known to be chosen yet.
    pub fn has_open(&self) -> bool {
        matches!(&self.role, Role::Leading(leading) if !leading.open.is_empty())
    }

    /// Whether this replica leads and waits for a change of who votes.
    pub fn is_changing(&self) -> bool {
        matches!(&self.role, Role::Leading(leading) if leading.change.is_some())
    }

    /// Proposes `value`; where it will be, should it be chosen. None where this replica does not lead, or waits for a change
    /// of who votes.
    pub fn propose(&mut self, now_ns: u64, value: Bytes) -> Option<Slot> {
        (self.leads() && !self.is_changing()).then(|| self.propose_next(now_ns, value))
    }

    pub(super) fn propose_next(&mut self, now_ns: u64, value: Bytes) -> Slot {
        let Role::Leading(leading) = &mut self.role else { unreachable!("only a leader proposes") };
        // Whoever accepts follows: the proposal is a round of its own for the reads that wait for one.
        if leading.reads.back().is_some_and(|read| read.round > leading.round) {
            leading.round += 1;
        }
        let (slot, ballot, round) = (leading.next, leading.ballot, leading.round);
        leading.next += 1;
        if Change::of(&value).is_some() {
            leading.change = Some(slot);
        }
        leading.open.insert(slot, Open { votes: Votes::default(), sent_ns: now_ns });
        let chosen = self.chosen;
        let accepted = super::Accepted { ballot, value: value.clone() };
        self.entries.insert(slot, accepted);
        self.persist(now_ns, Record::Accept { ballot, slot, chosen, value: value.clone() });
        // Followers write at the same time; this replica's own vote counts once it is on disk, like any other.
        self.send_voters(&Message::Accept { ballot, slot, value: value.clone(), chosen, round });
        self.after_durable(now_ns, Held::OwnAcceptance(slot, ballot, value));
        slot
    }

    /// Asks for a linearizable read; [`Action::Read`] says when it may take place. None where this replica does not lead.
    ///
    /// Ongaro 2014, section 6.4: the read sees all that was chosen when it was asked for, once a majority has confirmed,
    /// in a round that began later, that no other leader can have chosen anything more by then.
    pub fn read(&mut self, number: u64, kind: ReadKind) -> Option<()> {
        let chosen = self.chosen;
        let Role::Leading(leading) = &mut self.role else { return None };
        let index = chosen.max(leading.inherited);
        let round = leading.round + 1;
        leading.reads.push_back(Pending { number, round, index });
        if kind == ReadKind::Prompt {
            leading.wanted = round;
        }
        self.confirm_reads();
        Some(())
    }

    /// Begins a round for reads that wait for one, unless one is under way.
    fn confirm_reads(&mut self) {
        self.pass_reads();
        let Role::Leading(leading) = &self.role else { return };
        let waiting = leading.wanted > leading.round;
        if waiting && leading.confirmed(self.config.me, &self.members) == leading.round {
            self.begin_round();
            self.pass_reads();
        }
    }

    fn begin_round(&mut self) {
        let chosen = self.chosen;
        let Role::Leading(leading) = &mut self.role else { return };
        leading.round += 1;
        let heartbeat = Message::Heartbeat { ballot: leading.ballot, chosen, round: leading.round };
        self.send_all(&heartbeat);
    }

    /// Lets reads take place that are confirmed and whose slots were given out.
    pub(super) fn pass_reads(&mut self) {
        let Role::Leading(leading) = &mut self.role else { return };
        if leading.reads.is_empty() {
            return;
        }
        let confirmed = leading.confirmed(self.config.me, &self.members);
        let passes = |read: &Pending| read.round <= confirmed && read.index <= self.chosen;
        while leading.reads.front().is_some_and(passes) {
            let read = leading.reads.pop_front().expect("it was there");
            self.actions.push_back(Action::Read(read.number));
        }
    }

    /// Phase 2b arrives.
    pub(super) fn accepted(&mut self, now_ns: u64, from: Replica, ballot: Ballot, slot: Slot, round: u64) {
        self.followed(now_ns, from, ballot, round);
        self.vote(now_ns, from, ballot, slot);
    }

    /// A replica that does not vote says how far it is.
    pub(super) fn listened(&mut self, from: Replica, ballot: Ballot, listener: Listener) {
        let Role::Leading(leading) = &mut self.role else { return };
        if leading.ballot == ballot {
            leading.listeners.insert(from, listener);
        }
    }

    /// This leader's own change is in force, and with it other members than `before`. All hear of it at once.
    pub(super) fn go_on_leading(&mut self, now_ns: u64, before: &Members) {
        let new: Vec<_> = self.members.iter().filter(|replica| !before.has(*replica)).collect();
        let Role::Leading(leading) = &mut self.role else { return };
        leading.change = None;
        new.into_iter().for_each(|replica| leading.heard_ns[replica as usize] = now_ns);
        self.begin_round();
    }

    /// A replica still follows.
    pub(super) fn followed(&mut self, now_ns: u64, from: Replica, ballot: Ballot, round: u64) {
        let Role::Leading(leading) = &mut self.role else { return };
        if leading.ballot == ballot {
            let (answered, heard_ns) =
                (&mut leading.answered[from as usize], &mut leading.heard_ns[from as usize]);
            *answered = (*answered).max(round);
            *heard_ns = now_ns;
            self.confirm_reads();
        }
    }

    /// Counts a vote, this replica's own or another's.
    pub(super) fn vote(&mut self, now_ns: u64, from: Replica, ballot: Ballot, slot: Slot) {
        let Role::Leading(leading) = &mut self.role else { return };
        if leading.ballot == ballot
            && let Some(open) = leading.open.get_mut(&slot)
        {
            open.votes.add(from);
            self.advance(now_ns);
            self.confirm_reads();
        }
    }

    /// Whether a majority has accepted this leader's proposal for `slot`: any majority, so that a slow disk of its own
    /// holds nobody up, unless its own vote is asked for.
    pub(super) fn decided(&self, slot: Slot) -> bool {
        let Role::Leading(leading) = &self.role else { return false };
        leading.open.get(&slot).is_some_and(|open| {
            let own = !self.config.own_write_first || open.votes.has(self.config.me);
            own && self.members.agree(open.votes)
        })
    }

    /// Whether a majority has accepted what this leader proposed for `slot` of its own accord, and not for another before it.
    pub(super) fn is_own(&self, slot: Slot) -> bool {
        matches!(&self.role, Role::Leading(leading) if slot > leading.inherited) && self.decided(slot)
    }

    /// What is chosen up to `slot` needs no votes any more.
    pub(super) fn close(&mut self, slot: Slot) {
        if let Role::Leading(leading) = &mut self.role {
            while leading.open.first_key_value().is_some_and(|(open, _)| *open <= slot) {
                leading.open.pop_first();
            }
        }
    }

    /// A leader's regular work: steps down where its majority is gone or its disk is stuck, says that it leads, repeats what got no answer.
    pub(super) fn beat(&mut self, now_ns: u64) {
        let Role::Leading(leading) = &self.role else { return };
        let patience_ns = self.config.election_timeout_ns;
        let heard = |peer: &Replica| leading.silence_ns(now_ns, *peer) <= patience_ns;
        let present = 1 + self.voting_peers().filter(heard).count();
        sim::sometimes!(present < self.members.majority() as usize, "a leader hears no majority");
        let alone = self.config.steps_down && present < self.members.majority() as usize;
        if alone || self.is_stuck(now_ns) {
            return self.follow(now_ns);
        }
        self.wake_ns = now_ns + self.config.heartbeat_ns();
        self.begin_round();
        self.repeat_proposals(now_ns);
        self.pass_reads();
        self.replace_the_silent(now_ns);
    }

    fn repeat_proposals(&mut self, now_ns: u64) {
        let heartbeat_ns = self.config.heartbeat_ns();
        let (peers, chosen) = (self.voting_peers().collect::<Vec<_>>(), self.chosen);
        let Role::Leading(leading) = &mut self.role else { return };
        let (ballot, round) = (leading.ballot, leading.round);
        for (slot, open) in &mut leading.open {
            if now_ns.saturating_sub(open.sent_ns) < heartbeat_ns {
                continue;
            }
            open.sent_ns = now_ns;
            let value = &self.entries[slot].value;
            for to in peers.iter().copied().filter(|peer| !open.votes.has(*peer)) {
                let message = Message::Accept { ballot, slot: *slot, value: value.clone(), chosen, round };
                self.actions.push_back(Action::Send { to, message });
            }
        }
    }
}
