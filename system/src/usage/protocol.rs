//! What nodes of the tier ask of each other, and readers of them.

use crate::queue::{Amounts, Line};
use serde::{Deserialize, Serialize};
use sim::history::Digest;
use std::fmt;

/// A batch's name: equal names, equal content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The queue's number.
    pub number: u64,
    /// 0; where batches are not to be known again, a number that nobody else draws.
    pub attempt: u64,
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.attempt {
            0 => write!(formatter, "batch-{}", self.number),
            attempt => write!(formatter, "batch-{}-attempt-{attempt}", self.number),
        }
    }
}

/// A batch and its name.
pub(super) type Named = (Key, Vec<Line>);

/// What is asked. Asking twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// Keep a batch.
    Put {
        /// Its name.
        key: Key,
        /// Its uses.
        lines: Vec<Line>,
        /// The owner that this node stands in for.
        hint: Option<u32>,
    },
    /// Give batches.
    Get(Vec<Key>),
    /// Get a batch from another node, since this one owns it and a reader saw it there.
    Fetch {
        /// Its name.
        key: Key,
        /// Who has it.
        from: u32,
    },
    /// Is what both own the same?
    Compare {
        /// Who asks.
        from: u32,
        /// The hash of what it has.
        root: Digest,
    },
    /// Which batches of these ranges, of those that both own, are there?
    Keys {
        /// Who asks.
        from: u32,
        /// The ranges.
        ranges: Vec<u64>,
    },
    /// What is each account's part of each batch?
    Totals {
        /// The accounts.
        accounts: Vec<u32>,
    },
    /// Which batches have uses that ended in this time, of the queue?
    Ended {
        /// From, in nanoseconds.
        from_ns: u64,
        /// Until, this moment left out.
        until_ns: u64,
    },
    /// Which batches are there, whoever owns them? Answered also by a node that may have lost some.
    Everything,
    /// Say, for whoever reads the history, what is here of these batches, which the node owns.
    Tell(Vec<Key>),
    /// Which accounts are there, and is anything left to do?
    Accounts,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Response {
    /// It is durable, or done.
    Stored,
    /// This node stands in for another owner of the batch already, and can for one only.
    Taken,
    /// This node may be without batches that it once kept, and has not seen yet what the others have.
    Unsure,
    /// The batches, of those that are there.
    Batches(Vec<Named>),
    /// It is.
    Same,
    /// It is not: the hash of each range.
    Ranges(Vec<(u64, Digest)>),
    /// The names.
    Keys(Vec<Key>),
    /// The parts, of each account in turn.
    Parts(Vec<Vec<(Key, Amounts)>>),
    /// The accounts.
    Accounts {
        /// All that are in some batch.
        accounts: Vec<u32>,
        /// When the last use ended, in the queue's time.
        last_ended_ns: u64,
        /// Whether no hint waits for its owner and all other nodes were last found to hold the same.
        settled: bool,
    },
}

#[cfg(test)]
mod message_tests {
    use super::*;
    use crate::wire::messages::{are_no_reason_to_panic, is_never_misread};
    use proptest::prelude::*;
    use sim::history::Id;

    fn named() -> Named {
        let amounts = Amounts { cpu_ns: 100, bytes: 7 };
        (Key { number: 9, attempt: 0 }, vec![Line { id: Id::new(7, 1), ended_ns: 5, amounts }])
    }

    proptest! {
        #[test]
        fn messages_are_read_as_they_were_written_or_not_at_all(
            place: prop::sample::Index,
            bytes in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..80),
        ) {
            for message in [
                Request::Put { key: named().0, lines: named().1, hint: Some(2) },
                Request::Get(vec![named().0]),
                Request::Compare { from: 1, root: Digest([7; 16]) },
                Request::Ended { from_ns: 1, until_ns: u64::MAX },
            ] {
                is_never_misread(&message, place);
            }
            are_no_reason_to_panic::<Request>(&bytes);
            for message in [
                Response::Batches(vec![named()]),
                Response::Ranges(vec![(3, Digest([1; 16]))]),
                Response::Accounts { accounts: vec![7, 8], last_ended_ns: 9, settled: true },
            ] {
                is_never_misread(&message, place);
            }
            are_no_reason_to_panic::<Response>(&bytes);
        }
    }
}
