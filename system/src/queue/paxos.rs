//! Multi-Paxos as a pure machine: messages, durable events and times go in, actions come out.
//!
//! Sources: Lamport 2001, "Paxos Made Simple" (the two phases; section 3 for the sequence of instances and the stable
//! leader); van Renesse and Altinbuken 2015, "Paxos Made Moderately Complex" (slots, catching up, forgetting); Ongaro's
//! thesis 2014 for practical matters (pre-vote, a leader that notices that it has lost its majority, reads by read index,
//! the leader's own write in parallel with its followers').
//!
//! The parts, in reading order: `message` what is said and kept; `election` who leads; `leader` phase 2 and reads;
//! `acceptor` promises and acceptances; `joining` how one without memory comes in; `learner` what is chosen, and catching up;
//! `members` who votes, and how that changes; `replacing` when it does.
//!
//! What is absent: a clock, I/O, a disk. Whoever drives the machine hands it the time, writes each [`Action::Persist`] in
//! order, and says with [`Paxos::durable`] when it is on disk. What must not be said before that is held back in here.

mod acceptor;
mod election;
mod joining;
mod leader;
mod learner;
mod members;
mod message;
mod replacing;
#[cfg(test)]
mod tests;
mod votes;

pub use leader::ReadKind;
pub use members::{Change, ChangeError, Members};
pub use message::{Accepted, Ballot, Durable, Message, Record, Replica, Slot};

use bytes::Bytes;
use election::{Asking, Preparing};
use joining::Joining;
use leader::{Leading, Listener};
use sim::rng::Stream;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// How many slots a leader has open at once. Commands that come meanwhile share the next slot, so that a small number
/// makes large groups; it must only cover what the disk and the network hold at once.
pub const OPEN_SLOTS_MAX: usize = 8;

/// The largest value: with the next limit, it bounds what a promise carries.
pub const VALUE_BYTES_MAX: usize = 32 << 10;

/// How far above what it knows to be chosen a replica accepts, and how far behind one may be that wants to lead. A
/// replica that knows less catches up first.
const AHEAD_SLOTS_MAX: Slot = 256;

/// There are no more of them: sets of them are numbers of 64 bits.
const REPLICAS_MAX: u32 = 64;

/// How many records may wait for the disk. With more, a replica accepts and learns nothing new, so that a disk that is
/// stuck does not fill its memory.
const WRITES_MAX: u64 = 4096;

/// Who takes part, and how patient they are.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// This replica.
    pub me: Replica,
    /// How many replicas there are, spares included.
    pub replicas: u32,
    /// How many of them, the last, do not vote in the beginning. With none, nobody ever takes another's place.
    pub spares: u32,
    /// How long a leader does not hear one that votes before it gives its place to a spare.
    pub replace_after_ns: u64,
    /// How long a follower waits for a leader, at the least.
    pub election_timeout_ns: u64,
    /// Whether a leader counts on no majority without its own disk.
    pub own_write_first: bool,
    /// Whether a leader that hears no majority gives up leading.
    pub steps_down: bool,
}

impl Config {
    fn heartbeat_ns(&self) -> u64 {
        self.election_timeout_ns / 8
    }

    /// How many vote, but for the moments of a change.
    fn group(&self) -> u32 {
        self.replicas - self.spares
    }

    fn peers(self) -> impl Iterator<Item = Replica> {
        (0..self.replicas).filter(move |replica| *replica != self.me)
    }
}

/// What the machine wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a message; it may be lost.
    Send {
        /// To whom.
        to: Replica,
        /// What.
        message: Message,
    },
    /// Write a record behind all earlier ones; the first is number 1.
    Persist(Record),
    /// The next slot's value is chosen for ever: apply it.
    Choose {
        /// The slot: one more than the last.
        slot: Slot,
        /// Its value; empty where a leader filled a gap.
        value: Bytes,
    },
    /// This replica leads now.
    Lead(Ballot),
    /// This replica does not lead any more: what it proposed may be chosen or not.
    Follow,
    /// A promise is durable and about to be sent.
    Promised(Ballot),
    /// An acceptance is durable and about to be sent.
    Accepted {
        /// The slot.
        slot: Slot,
        /// The ballot.
        ballot: Ballot,
        /// The value.
        value: Bytes,
    },
    /// The read with this number may be answered from all that is applied by now.
    Read(u64),
    /// Send the peer a snapshot: what it misses is not in memory any more.
    SendSnapshot {
        /// To whom.
        to: Replica,
    },
    /// These vote, from some slot on. Comes before the slot itself, and only where there are spares.
    Reconfigure(Members),
}

/// What waits for the disk.
#[derive(Debug)]
enum Held {
    Send(Replica, Message),
    OwnPromise(Ballot),
    OwnAcceptance(Slot, Ballot, Bytes),
    /// Another's acceptance is a fact of the history as well.
    Acceptance(Slot, Ballot, Bytes),
    Promise(Ballot),
}

#[derive(Debug)]
enum Role {
    Following,
    Asking(Asking),
    Preparing(Preparing),
    Leading(Leading),
}

/// One replica's part in Multi-Paxos.
#[derive(Debug)]
pub struct Paxos {
    config: Config,
    chance: Stream,
    role: Role,
    /// While it remembers no promise: what it has heard of how things stand.
    joining: Option<Joining>,
    /// Who votes on the slot after `chosen`.
    members: Members,
    /// The highest ballot that this replica takes part in.
    promised: Ballot,
    /// What it accepted, above `compacted`.
    entries: BTreeMap<Slot, Accepted>,
    /// All slots up to here are chosen, and known.
    chosen: Slot,
    /// All slots up to here are forgotten; a snapshot has them.
    compacted: Slot,
    /// The leader of `promised`, once it has been heard.
    leader: Option<Replica>,
    /// All slots up to here are chosen, said the leader of `promised` or of a lower ballot.
    told: Slot,
    /// All slots up to here are chosen, says anybody.
    ahead: Slot,
    /// The highest ballot that was ever heard of.
    highest: Ballot,
    /// When a leader was last heard.
    heard_ns: Option<u64>,
    /// When [`Paxos::wake`] has something to do.
    wake_ns: u64,
    /// Not to fetch again before.
    fetch_after_ns: u64,
    /// How many records were given out to be written.
    written: u64,
    /// How many of them are durable.
    durable: u64,
    /// Since when the disk has had something to do and done nothing.
    disk_waits_ns: Option<u64>,
    held: VecDeque<(u64, Held)>,
    actions: VecDeque<Action>,
}

impl Paxos {
    /// A replica that starts with what its disk holds. What it knows to be chosen is given out first.
    pub fn recover(config: Config, durable: Durable, mut chance: Stream, now_ns: u64) -> Self {
        assert!(config.me < config.replicas && config.replicas <= REPLICAS_MAX, "replica {config:?}");
        assert!(config.spares < config.replicas, "somebody must vote: {config:?}");
        assert!(durable.gap().is_none(), "chosen slots are missing: the log should have said so");
        let is_new = durable.promised == Ballot::NONE && config.replicas > 1;
        let joining = is_new.then(|| {
            let nonce = durable.nonce.unwrap_or_else(|| chance.next_u64());
            Joining::new(nonce, durable.nonce.is_some())
        });
        let mut paxos = Self {
            config,
            chance,
            role: Role::Following,
            joining,
            members: durable.members.unwrap_or_else(|| Members::first(config.group())),
            promised: durable.promised,
            entries: durable.entries,
            chosen: durable.chosen,
            compacted: durable.compacted,
            leader: None,
            told: 0,
            ahead: 0,
            highest: durable.promised,
            heard_ns: None,
            wake_ns: 0,
            fetch_after_ns: 0,
            written: 0,
            durable: 0,
            disk_waits_ns: None,
            held: VecDeque::new(),
            actions: VecDeque::new(),
        };
        paxos.tell_members(paxos.members.clone());
        paxos.vote_if_admitted(now_ns);
        let known = paxos.entries.range(..=durable.chosen);
        let known: Vec<_> = known.map(|(slot, entry)| (*slot, entry.value.clone())).collect();
        for (slot, value) in known {
            paxos.give_out(now_ns, slot, value, false);
        }
        if paxos.is_joining() {
            paxos.sleep(now_ns, 0..config.heartbeat_ns());
            return paxos;
        }
        // Sooner than a follower that has heard a leader: where there is one, asking does no harm.
        let timeout_ns = config.election_timeout_ns;
        paxos.sleep(now_ns, timeout_ns / 4..timeout_ns);
        paxos
    }

    /// Takes in a message.
    pub fn message(&mut self, now_ns: u64, from: Replica, message: Message) {
        if from >= self.config.replicas || from == self.config.me {
            return;
        }
        if !self.may_vote() {
            return self.message_without_vote(now_ns, from, message);
        }
        match message {
            Message::Join { nonce } => self.asked_how_things_stand(from, nonce),
            Message::Standing { .. } => {}
            Message::Ask { ballot, chosen } => self.asked(now_ns, from, ballot, chosen),
            Message::Answer { ballot, granted, promised } => {
                self.answered(now_ns, from, ballot, granted, promised);
            }
            Message::Prepare { ballot, chosen } => self.prepare(now_ns, from, ballot, chosen),
            Message::Promise { ballot, first, learnt, accepted } => {
                self.promise(now_ns, from, ballot, (first, learnt), accepted);
            }
            Message::Refuse { promised } => self.refused(now_ns, promised),
            Message::Accept { ballot, slot, value, chosen, round } => {
                self.accept(now_ns, from, (ballot, slot, value), chosen, round);
            }
            Message::Accepted { ballot, slot, round } => self.accepted(now_ns, from, ballot, slot, round),
            Message::Heartbeat { ballot, chosen, round } => {
                self.heartbeat(now_ns, from, ballot, chosen, round);
            }
            Message::Follow { ballot, round } => self.followed(now_ns, from, ballot, round),
            Message::Fetch { first } => self.fetch(from, first),
            Message::Learn { first, values, chosen } => self.learn(now_ns, first, values, chosen),
            Message::Listen { ballot, chosen, nonce } => {
                self.listened(from, ballot, Listener { heard_ns: now_ns, chosen, nonce });
            }
        }
    }

    /// Takes in that all records up to number `written` are on disk.
    pub fn durable(&mut self, now_ns: u64, written: u64) {
        debug_assert!(written <= self.written, "record {written} of {} was never given out", self.written);
        self.durable = self.durable.max(written);
        self.disk_waits_ns = (self.durable < self.written).then_some(now_ns);
        while self.held.front().is_some_and(|(number, _)| *number <= self.durable) {
            let (_, held) = self.held.pop_front().expect("it was there");
            self.release(now_ns, held);
        }
    }

    /// Does what is due at `now_ns`. To be called at [`Paxos::wake_ns`], or later.
    pub fn wake(&mut self, now_ns: u64) {
        if now_ns < self.wake_ns {
            return;
        }
        match &self.role {
            // A spare waits until it hears something.
            _ if !self.members.has(self.config.me) => self.sleep_before_election(now_ns),
            _ if self.is_joining() => self.join(now_ns),
            Role::Leading(_) => self.beat(now_ns),
            _ => self.ask(now_ns),
        }
    }

    /// When [`Paxos::wake`] should be called.
    pub fn wake_ns(&self) -> u64 {
        self.wake_ns
    }

    /// What is to be done next; none where nothing is.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Forgets entries up to `slot`, which a durable snapshot covers.
    pub fn compact(&mut self, slot: Slot) {
        assert!(slot <= self.chosen, "slot {slot} is not known to be chosen");
        if slot > self.compacted {
            self.entries = self.entries.split_off(&(slot + 1));
            self.compacted = slot;
        }
    }

    /// Takes in that a snapshot which covers all slots up to `slot` took the place of what was applied. It may say who
    /// votes after it.
    pub fn installed(&mut self, now_ns: u64, slot: Slot, members: Option<Members>) {
        if slot > self.chosen {
            self.chosen = slot;
            self.close(slot);
            self.compact(slot);
            if let Some(members) = members.filter(|members| *members != self.members) {
                self.tell_members(members.clone());
                self.reconfigure(now_ns, members, false);
            }
            self.advance(now_ns);
            self.seek(now_ns);
            self.take_part_if_known(now_ns);
        }
    }

    /// Whether this replica leads.
    pub fn leads(&self) -> bool {
        matches!(self.role, Role::Leading(_))
    }

    /// Who leads, as far as this replica knows.
    pub fn leader(&self) -> Option<Replica> {
        if self.leads() { Some(self.config.me) } else { self.leader }
    }

    /// All slots up to here are chosen, and were given out.
    pub fn chosen(&self) -> Slot {
        self.chosen
    }

    /// All slots up to here are forgotten.
    pub fn compacted(&self) -> Slot {
        self.compacted
    }

    fn send(&mut self, to: Replica, message: Message) {
        self.actions.push_back(Action::Send { to, message });
    }

    fn send_all(&mut self, message: &Message) {
        for to in self.config.peers() {
            self.send(to, message.clone());
        }
    }

    fn send_voters(&mut self, message: &Message) {
        for to in self.voting_peers() {
            self.send(to, message.clone());
        }
    }

    fn persist(&mut self, now_ns: u64, record: Record) {
        self.written += 1;
        self.disk_waits_ns.get_or_insert(now_ns);
        self.actions.push_back(Action::Persist(record));
    }

    /// Whether the disk is too far behind to take more.
    fn is_clogged(&self) -> bool {
        self.written - self.durable >= WRITES_MAX
    }

    /// Whether the disk has done nothing for so long that another replica should lead.
    fn is_stuck(&self, now_ns: u64) -> bool {
        let patience_ns = 2 * self.config.election_timeout_ns;
        self.disk_waits_ns.is_some_and(|since_ns| now_ns.saturating_sub(since_ns) > patience_ns)
    }

    /// Does `held` once all that was written so far is durable.
    fn after_durable(&mut self, now_ns: u64, held: Held) {
        if self.durable == self.written {
            self.release(now_ns, held);
        } else {
            self.held.push_back((self.written, held));
        }
    }

    fn release(&mut self, now_ns: u64, held: Held) {
        // What was meant as a vote is none any more.
        if !self.may_vote() && !matches!(held, Held::Send(_, Message::Listen { .. })) {
            return;
        }
        match held {
            Held::Send(to, message) => self.send(to, message),
            Held::Promise(ballot) => self.actions.push_back(Action::Promised(ballot)),
            Held::Acceptance(slot, ballot, value) => {
                self.actions.push_back(Action::Accepted { slot, ballot, value });
            }
            Held::OwnPromise(ballot) => self.own_promise(now_ns, ballot),
            Held::OwnAcceptance(slot, ballot, value) => {
                self.actions.push_back(Action::Accepted { slot, ballot, value });
                self.vote(now_ns, self.config.me, ballot, slot);
            }
        }
    }

    /// Wakes after a time drawn from `range`.
    fn sleep(&mut self, now_ns: u64, range: Range<u64>) {
        self.wake_ns = now_ns.saturating_add(self.chance.below(range));
    }
}
