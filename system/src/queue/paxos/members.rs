//! Who votes, and how that changes: one replica at a time, by commands in the order itself.
//!
//! Which replicas vote on a slot is said by the commands in the slots before it (Lamport 2001, "Paxos Made Simple",
//! section 3; Lamport, Malkhi and Zhou 2010, "Reconfiguring a State Machine", whose alpha is 1 here around a change): a leader
//! has nothing in flight beyond a change, so that whoever counts votes for a slot knows all changes before it.
//!
//! Why no ballot before a change can contradict one after it:
//! - Groups that follow one another differ by one replica, so that a majority of one meets every majority of the other.
//! - A leader goes on through a change only where it proposed the change itself, above all that it found when it was elected, and
//!   counted its votes itself. One that comes to a change by any other way is elected anew, by a majority of the new group.
//! - A candidate that learns of a change while it asks for promises needs a majority of the new group.
//! - A replica that does not vote says nothing that anybody may count: it learns, and tells the leader how far it is.

use super::joining::Joining;
use super::votes::Votes;
use super::{Action, Ballot, Held, Message, Paxos, REPLICAS_MAX, Record, Replica, Role, Slot};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the value of a change begins with, and no other value: no number of an entry is written so.
const MARK: [u8; 10] = [0xff; 10];

/// The replicas that vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    voters: Votes,
    /// They vote on the slots above this one, which holds the last change; 0 where there was none.
    since: Slot,
    /// What those had drawn that were added and had no memory of any promise.
    drawn: BTreeMap<Replica, u64>,
}

impl Members {
    /// The first `count` replicas, from the beginning on.
    pub fn first(count: u32) -> Self {
        let mut voters = Votes::default();
        (0..count).for_each(|replica| voters.add(replica));
        Self { voters, since: 0, drawn: BTreeMap::new() }
    }

    /// Whether `replica` votes.
    pub fn has(&self, replica: Replica) -> bool {
        self.voters.has(replica)
    }

    /// How many vote.
    pub fn count(&self) -> u32 {
        self.voters.count()
    }

    /// The slot above which they vote.
    pub fn since(&self) -> Slot {
        self.since
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Replica> + use<> {
        let voters = self.voters;
        (0..REPLICAS_MAX).filter(move |replica| voters.has(*replica))
    }

    /// How many are a majority.
    pub(super) fn majority(&self) -> u32 {
        self.count() / 2 + 1
    }

    /// Whether a majority of them is among `votes`.
    pub(super) fn agree(&self, votes: Votes) -> bool {
        votes.among(self.voters) >= self.majority()
    }

    /// Who votes once `change` is chosen for `slot`.
    pub(super) fn after(&self, slot: Slot, change: Change) -> Self {
        let mut members = self.clone();
        match change {
            Change::Add { replica, nonce } => {
                members.voters.add(replica);
                members.drawn.extend(nonce.map(|nonce| (replica, nonce)));
            }
            Change::Remove { replica } => {
                members.voters.remove(replica);
                members.drawn.remove(&replica);
            }
        }
        members.since = slot;
        members
    }

    /// Whether `replica` votes since it had drawn `nonce`: it has not voted before, and so has forgotten nothing.
    fn admit(&self, replica: Replica, nonce: u64) -> bool {
        self.drawn.get(&replica) == Some(&nonce)
    }
}

/// A change of who votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// One more.
    Add {
        /// It.
        replica: Replica,
        /// What it has drawn, where it remembers no promise: it has not voted since. One that lost its disk after this change
        /// draws another number, and does not take the change that it reads again for leave to vote.
        nonce: Option<u64>,
    },
    /// One less.
    Remove {
        /// It.
        replica: Replica,
    },
}

impl Change {
    /// The change that a slot's value is; none where it is anything else.
    pub fn of(value: &Bytes) -> Option<Self> {
        postcard::from_bytes(value.strip_prefix(&MARK)?).ok()
    }

    /// The value that is this change.
    pub(super) fn value(self) -> Bytes {
        let value = postcard::to_extend(&self, MARK.to_vec());
        value.expect("changes have no types that postcard lacks").into()
    }

    /// Whether it leaves `members` as they are.
    fn is_idle(self, members: &Members) -> bool {
        match self {
            Self::Add { replica, .. } => members.has(replica),
            Self::Remove { replica } => !members.has(replica) || members.count() == 1,
        }
    }
}

/// Why a change is not proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Only a leader changes who votes.
    #[error("this replica does not lead")]
    NotLeader,
    /// One change at a time.
    #[error("another change is under way")]
    UnderWay,
    /// There is nothing to change.
    #[error("it votes already, or does not vote, or is the last that does, or there is no such replica")]
    Idle,
}

impl Paxos {
    /// Who votes on the slot after the last that is known to be chosen.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Proposes a change of who votes; where it will be, should it be chosen.
    ///
    /// # Errors
    /// Where this replica does not lead, another change is not in force yet, or there is nothing to change.
    pub fn change(&mut self, now_ns: u64, change: Change) -> Result<Slot, ChangeError> {
        let (Change::Add { replica, .. } | Change::Remove { replica }) = change;
        if !self.leads() {
            return Err(ChangeError::NotLeader);
        }
        if self.is_changing() {
            return Err(ChangeError::UnderWay);
        }
        if replica >= self.config.replicas || change.is_idle(&self.members) {
            return Err(ChangeError::Idle);
        }
        Ok(self.propose_next(now_ns, change.value()))
    }

    /// Whether this replica may vote: it is one of those who do, and remembers what it promised.
    pub(super) fn may_vote(&self) -> bool {
        self.members.has(self.config.me) && !self.is_joining()
    }

    /// All others that vote.
    pub(super) fn voting_peers(&self) -> impl Iterator<Item = Replica> + use<> {
        let voters = self.members.voters;
        self.config.peers().filter(move |peer| voters.has(*peer))
    }

    /// Others vote from here on. `own` says that this leader proposed the change and counted its votes.
    pub(super) fn reconfigure(&mut self, now_ns: u64, members: Members, own: bool) {
        let before = std::mem::replace(&mut self.members, members);
        let is_member = self.members.has(self.config.me);
        self.vote_if_admitted(now_ns);
        match &self.role {
            Role::Leading(_) if own => {
                self.go_on_leading(now_ns, &before);
                if !is_member {
                    self.follow(now_ns);
                }
            }
            Role::Leading(_) => {
                sim::sometimes!("a leader comes to a change that another proposed");
                self.follow(now_ns);
                if is_member {
                    self.prepare_next(now_ns);
                }
            }
            Role::Preparing(_) if is_member => {
                self.ask_promises(now_ns, |peer| !before.has(peer));
            }
            Role::Preparing(_) | Role::Asking(_) if !is_member => self.follow(now_ns),
            Role::Preparing(_) | Role::Asking(_) | Role::Following => {}
        }
    }

    /// Takes part from now on, where this replica was added since it drew its number.
    pub(super) fn vote_if_admitted(&mut self, now_ns: u64) {
        let nonce = self.joining.as_ref().map(Joining::nonce);
        if nonce.is_some_and(|nonce| self.members.admit(self.config.me, nonce)) {
            sim::sometimes!("a spare takes a place in the group");
            self.begin_to_vote(now_ns, Ballot::BEGUN);
        }
    }

    /// A message arrives at a replica that does not vote: it answers, asks and learns, and no more.
    pub(super) fn message_without_vote(&mut self, now_ns: u64, from: Replica, message: Message) {
        match message {
            Message::Join { nonce } => self.asked_how_things_stand(from, nonce),
            Message::Standing { nonce, promised, last, joining } => {
                self.stands(now_ns, from, nonce, (promised, last, joining));
            }
            Message::Accept { ballot, chosen, .. } => {
                self.overhear(now_ns, from, chosen);
                self.mind_leader(now_ns, from, ballot);
            }
            Message::Heartbeat { ballot, chosen, .. } => {
                self.overhear(now_ns, from, chosen);
                self.mind_leader(now_ns, from, ballot);
                self.say_that_it_listens(now_ns, from, ballot);
            }
            Message::Ask { chosen, .. } | Message::Prepare { chosen, .. } if self.config.spares > 0 => {
                self.share(now_ns, from, chosen);
            }
            Message::Fetch { first } => self.fetch(from, first),
            Message::Learn { first, values, chosen } => {
                self.learn(now_ns, first, values, chosen);
                self.overhear(now_ns, from, chosen);
                self.take_part_if_known(now_ns);
            }
            // Nobody may count on this replica, nor may it lead.
            _ => {}
        }
    }

    /// A replica that does not vote hears a leader: clients that ask it are sent there.
    fn mind_leader(&mut self, now_ns: u64, from: Replica, ballot: Ballot) {
        if self.config.spares > 0 && ballot.leader() == from && ballot >= self.highest {
            (self.highest, self.leader, self.heard_ns) = (ballot, Some(from), Some(now_ns));
        }
    }

    /// Tells the leader how far this replica is, once that is on disk, and with it the number that it has drawn.
    fn say_that_it_listens(&mut self, now_ns: u64, to: Replica, ballot: Ballot) {
        if self.config.spares == 0 || self.members.has(self.config.me) {
            return;
        }
        let nonce = self.joining.as_ref().map(Joining::nonce);
        if let Some(nonce) = self.joining.as_mut().and_then(Joining::take_unkept) {
            self.persist(now_ns, Record::Draw { nonce });
        }
        let listen = Message::Listen { ballot, chosen: self.chosen, nonce };
        self.after_durable(now_ns, Held::Send(to, listen));
    }

    /// A candidate and this replica tell each other what the other does not know: it may be who votes.
    pub(super) fn share(&mut self, now_ns: u64, from: Replica, chosen: Slot) {
        if chosen < self.chosen {
            self.fetch(from, chosen + 1);
        }
        self.overhear(now_ns, from, chosen);
    }

    /// Says who votes, to whoever keeps it beside what is applied. Nobody asks where that never changes.
    pub(super) fn tell_members(&mut self, members: Members) {
        if self.config.spares > 0 {
            self.actions.push_back(Action::Reconfigure(members));
        }
    }
}
