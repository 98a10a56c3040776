//! What replicas say to one another, and what they must not forget.

use super::Members;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A replica's place among the replicas.
pub type Replica = u32;

/// A place in the replicated order, counting from 1.
pub type Slot = u64;

/// One attempt to lead: a round and the replica that leads in it, so that no two replicas ever share a ballot. The
/// greater round wins; among equals, the greater replica.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ballot(u64);

const REPLICA_BITS: u32 = 8;

impl Ballot {
    /// Below every ballot.
    pub const NONE: Self = Self(0);

    /// Above none and below every ballot in which anybody leads: what a replica promises when it begins, so that one which
    /// remembers no promise has forgotten it.
    pub const BEGUN: Self = Self(1);

    /// `replica`'s first ballot above this one.
    pub fn next_of(self, replica: Replica) -> Self {
        let round = (self.0 >> REPLICA_BITS) + 1;
        Self(round << REPLICA_BITS | u64::from(replica))
    }

    /// Who leads in it.
    pub fn leader(self) -> Replica {
        u32::try_from(self.0 & ((1 << REPLICA_BITS) - 1)).expect("8 bits")
    }

    /// The ballot as one number, in the same order.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Ballot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.0 >> REPLICA_BITS, self.leader())
    }
}

/// A value that was accepted, and the last ballot in which it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The ballot.
    pub ballot: Ballot,
    /// The value.
    pub value: Bytes,
}

/// From one replica to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "Would you promise this ballot?" Binds nobody; keeps a replica that cannot hear the leader from deposing it.
    Ask {
        /// The ballot that would be prepared.
        ballot: Ballot,
        /// All slots up to here are chosen, and the asker knows what.
        chosen: Slot,
    },
    /// The answer to [`Message::Ask`].
    Answer {
        /// The ballot that was asked about.
        ballot: Ballot,
        /// Whether it would be promised.
        granted: bool,
        /// The highest ballot that the answerer has promised.
        promised: Ballot,
    },
    /// Phase 1a.
    Prepare {
        /// The ballot.
        ballot: Ballot,
        /// All slots up to here are chosen, and the sender knows what.
        chosen: Slot,
    },
    /// Phase 1b: no lower ballot will be heard.
    Promise {
        /// The ballot.
        ballot: Ballot,
        /// The slot of the first value of `learnt`.
        first: Slot,
        /// What the preparer does not know and the answerer knows to be chosen, slot by slot.
        learnt: Vec<Bytes>,
        /// What was accepted above.
        accepted: Vec<(Slot, Accepted)>,
    },
    /// "I have promised a higher ballot", to any message of a lower one.
    Refuse {
        /// The higher ballot.
        promised: Ballot,
    },
    /// Phase 2a.
    Accept {
        /// The ballot.
        ballot: Ballot,
        /// The slot.
        slot: Slot,
        /// The value.
        value: Bytes,
        /// All slots up to here are chosen.
        chosen: Slot,
        /// The leader's latest round of confirming that it leads.
        round: u64,
    },
    /// Phase 2b.
    Accepted {
        /// The ballot.
        ballot: Ballot,
        /// The slot.
        slot: Slot,
        /// The round of the message that this answers.
        round: u64,
    },
    /// "I lead."
    Heartbeat {
        /// The ballot.
        ballot: Ballot,
        /// All slots up to here are chosen.
        chosen: Slot,
        /// The leader's latest round of confirming that it leads.
        round: u64,
    },
    /// "You do, for all I know."
    Follow {
        /// The ballot.
        ballot: Ballot,
        /// The round of the message that this answers.
        round: u64,
    },
    /// "What was chosen from here on?"
    Fetch {
        /// The first slot that the asker misses.
        first: Slot,
    },
    /// The answer to [`Message::Fetch`].
    Learn {
        /// The first value's slot.
        first: Slot,
        /// What was chosen, slot by slot.
        values: Vec<Bytes>,
        /// All slots up to here are chosen.
        chosen: Slot,
    },
    /// "How do things stand?", of a replica that remembers no promise.
    Join {
        /// The asking process's own.
        nonce: u64,
    },
    /// The answer to [`Message::Join`].
    Standing {
        /// The asker's.
        nonce: u64,
        /// The highest ballot that the answerer takes part in.
        promised: Ballot,
        /// The highest slot that it knows of.
        last: Slot,
        /// Whether it remembers no promise either.
        joining: bool,
    },
    /// "I do not vote; I learn", to [`Message::Heartbeat`]. Nobody may count on it as on a vote.
    Listen {
        /// The ballot of the leader that was heard.
        ballot: Ballot,
        /// All slots up to here are chosen, and on the listener's disk.
        chosen: Slot,
        /// What it has drawn, where it remembers no promise.
        nonce: Option<u64>,
    },
}

/// What must be on disk before a replica acts upon it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A promise.
    Promise {
        /// The ballot.
        ballot: Ballot,
    },
    /// An acceptance, which is a promise of its ballot as well.
    Accept {
        /// The ballot.
        ballot: Ballot,
        /// The slot.
        slot: Slot,
        /// All slots up to here were known to be chosen, with the values of earlier records.
        chosen: Slot,
        /// The value.
        value: Bytes,
    },
    /// Values known to be chosen, and all below them too.
    Learn {
        /// The first value's slot.
        first: Slot,
        /// Slot by slot.
        values: Vec<Bytes>,
    },
    /// What a replica that remembers no promise has drawn: it has not voted since.
    Draw {
        /// The number.
        nonce: u64,
    },
}

/// What a replica finds on its disk when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// The highest ballot that it took part in.
    pub promised: Ballot,
    /// What it accepted, above the snapshot.
    pub entries: std::collections::BTreeMap<Slot, Accepted>,
    /// All slots up to here are chosen, with the values of `entries` or in the snapshot.
    pub chosen: Slot,
    /// All slots up to here are in the snapshot.
    pub compacted: Slot,
    /// Who votes after the snapshot; none where it does not say so, since nothing has changed that.
    pub members: Option<Members>,
    /// What it has drawn, where it remembers no promise.
    pub nonce: Option<u64>,
}

impl Durable {
    /// Nothing but a snapshot that covers the slots up to `compacted`, after which `members` vote.
    pub fn from_snapshot(compacted: Slot, members: Option<Members>) -> Self {
        Self { compacted, chosen: compacted, members, ..Self::default() }
    }

    /// Takes in the next record of the log.
    pub fn replay(&mut self, record: Record) {
        match record {
            Record::Promise { ballot } => self.promised = self.promised.max(ballot),
            Record::Accept { ballot, slot, chosen, value } => {
                self.promised = self.promised.max(ballot);
                self.insert(slot, Accepted { ballot, value });
                self.chosen = self.chosen.max(chosen);
            }
            Record::Learn { first, values } => {
                for (slot, value) in (first..).zip(values) {
                    self.insert(slot, Accepted { ballot: Ballot::NONE, value });
                    self.chosen = self.chosen.max(slot);
                }
            }
            Record::Draw { nonce } => self.nonce = Some(nonce),
        }
    }

    /// The first slot that is known to be chosen and whose value is missing: the log is damaged.
    pub fn gap(&self) -> Option<Slot> {
        (self.compacted + 1..=self.chosen).find(|slot| !self.entries.contains_key(slot))
    }

    fn insert(&mut self, slot: Slot, accepted: Accepted) {
        if slot > self.compacted {
            self.entries.insert(slot, accepted);
        }
    }
}
