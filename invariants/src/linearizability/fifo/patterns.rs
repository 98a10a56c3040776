//! What can go wrong with a FIFO queue, named by the operations that show it.

use std::fmt;

use super::Part;
use crate::linearizability::history::OperationId;

/// Operations of a queue that no order explains, whatever else happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pattern {
    /// One item was taken twice.
    TakenTwice {
        /// The two dequeues.
        dequeues: [OperationId; 2],
    },
    /// An item was taken that nobody added.
    NeverAdded {
        /// The dequeue.
        dequeue: OperationId,
    },
    /// An item was taken before it was added.
    TakenBeforeAdded {
        /// The enqueue, called too late.
        enqueue: OperationId,
        /// The dequeue that had returned by then.
        dequeue: OperationId,
    },
    /// Two items were added one after the other, and taken one after the other in the wrong order.
    OutOfOrder {
        /// The enqueues, in the order of time.
        enqueues: [OperationId; 2],
        /// The dequeues, in the order of time: of the second item, then of the first.
        dequeues: [OperationId; 2],
    },
    /// Items were added before another one, which was taken, and they never were.
    Lost {
        /// The enqueues of the lost items: one more than dequeues of unknown outcome that could have taken them.
        enqueues: Vec<OperationId>,
        /// The enqueue and the dequeue of the item behind them.
        later: [OperationId; 2],
        /// The dequeues of unknown outcome that were called in time to take one of them each.
        open_dequeues: Vec<OperationId>,
    },
    /// A dequeue was told "empty" although something was inside all the time.
    NotEmpty {
        /// That dequeue.
        dequeue: OperationId,
        /// What was inside, from its call to its return without a gap.
        covers: Vec<Cover>,
    },
}

/// What kept a queue from being empty for some time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cover {
    /// An item, from the return of its enqueue to the call of its dequeue.
    Item {
        /// The enqueue.
        enqueue: OperationId,
        /// The dequeue.
        dequeue: OperationId,
    },
    /// Items that are not known to be taken: more than dequeues of unknown outcome that could have.
    Left {
        /// The enqueues.
        enqueues: Vec<OperationId>,
        /// Those dequeues.
        open_dequeues: Vec<OperationId>,
    },
}

impl Pattern {
    /// All operations that the pattern names.
    #[must_use]
    pub fn operations(&self) -> Vec<OperationId> {
        match self {
            Self::TakenTwice { dequeues } => dequeues.to_vec(),
            Self::NeverAdded { dequeue } => vec![*dequeue],
            Self::TakenBeforeAdded { enqueue, dequeue } => vec![*dequeue, *enqueue],
            Self::OutOfOrder { enqueues, dequeues } => [*enqueues, *dequeues].concat(),
            Self::Lost { enqueues, later, open_dequeues } => {
                [enqueues.as_slice(), later.as_slice(), open_dequeues.as_slice()].concat()
            }
            Self::NotEmpty { dequeue, covers } => {
                let mut operations = vec![*dequeue];
                for operation in covers.iter().flat_map(Cover::operations) {
                    if !operations.contains(&operation) {
                        operations.push(operation);
                    }
                }
                operations
            }
        }
    }
}

impl Cover {
    fn operations(&self) -> Vec<OperationId> {
        match self {
            Self::Item { enqueue, dequeue } => vec![*enqueue, *dequeue],
            Self::Left { enqueues, open_dequeues } => {
                [enqueues.as_slice(), open_dequeues.as_slice()].concat()
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TakenTwice { dequeues: [first, second] } => {
                write!(formatter, "operations {first} and {second} took the same item")
            }
            Self::NeverAdded { dequeue } => {
                write!(formatter, "operation {dequeue} took an item that nobody added")
            }
            Self::TakenBeforeAdded { enqueue, dequeue } => {
                write!(
                    formatter,
                    "operation {dequeue} had taken its item before {enqueue} was called to add it"
                )
            }
            Self::OutOfOrder { enqueues: [first, second], dequeues: [early, late] } => {
                write!(formatter, "{first} had added its item before {second} was called to add another, ")?;
                write!(
                    formatter,
                    "but {early} had taken the second before {late} was called to take the first"
                )
            }
            Self::Lost { enqueues, later: [enqueue, dequeue], open_dequeues } => {
                write!(formatter, "the {} lost: added before {enqueue} was called, ", items(enqueues))?;
                write!(formatter, "and not taken when {dequeue} had taken the item behind")?;
                open(formatter, open_dequeues)
            }
            Self::NotEmpty { dequeue, covers } => {
                write!(
                    formatter,
                    "operation {dequeue} was told that the queue was empty, but all the time "
                )?;
                write!(formatter, "something was inside")?;
                covers.iter().try_for_each(|cover| match cover {
                    Cover::Item { enqueue, dequeue } => {
                        write!(formatter, "; the item of {enqueue} until {dequeue} was called")
                    }
                    Cover::Left { enqueues, open_dequeues } => {
                        write!(formatter, "; the {}", items(enqueues))?;
                        open(formatter, open_dequeues)
                    }
                })
            }
        }
    }
}

fn items(enqueues: &[OperationId]) -> String {
    match enqueues {
        [only] => format!("item of {only}"),
        several => format!("items of {}", list(several)),
    }
}

fn open(formatter: &mut fmt::Formatter<'_>, open_dequeues: &[OperationId]) -> fmt::Result {
    match open_dequeues {
        [] => Ok(()),
        some => write!(formatter, ", more than {} of unknown outcome can have taken", list(some)),
    }
}

fn list(operations: &[OperationId]) -> String {
    operations.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A [`Pattern`] with the numbers of one part of a history.
#[derive(Clone, Debug)]
pub(super) enum Found {
    TakenTwice { dequeues: [u32; 2] },
    NeverAdded { dequeue: u32 },
    TakenBeforeAdded { enqueue: u32, dequeue: u32 },
    OutOfOrder { enqueues: [u32; 2], dequeues: [u32; 2] },
    Lost { enqueues: Vec<u32>, later: [u32; 2], open_dequeues: Vec<u32> },
    NotEmpty { dequeue: u32, covers: Vec<FoundCover> },
}

/// A [`Cover`] with the numbers of one part of a history.
#[derive(Clone, Debug)]
pub(super) enum FoundCover {
    Item { enqueue: u32, dequeue: u32 },
    Left { enqueues: Vec<u32>, open_dequeues: Vec<u32> },
}

impl Found {
    /// The same with the identifiers of the whole history.
    pub(super) fn pattern<Item>(self, part: &Part<'_, Item>) -> Pattern {
        let id = |operation: u32| part.id(operation as usize);
        let ids = |operations: Vec<u32>| operations.into_iter().map(id).collect::<Vec<_>>();
        match self {
            Self::TakenTwice { dequeues } => Pattern::TakenTwice { dequeues: dequeues.map(id) },
            Self::NeverAdded { dequeue } => Pattern::NeverAdded { dequeue: id(dequeue) },
            Self::TakenBeforeAdded { enqueue, dequeue } => {
                Pattern::TakenBeforeAdded { enqueue: id(enqueue), dequeue: id(dequeue) }
            }
            Self::OutOfOrder { enqueues, dequeues } => {
                Pattern::OutOfOrder { enqueues: enqueues.map(id), dequeues: dequeues.map(id) }
            }
            Self::Lost { enqueues, later, open_dequeues } => Pattern::Lost {
                enqueues: ids(enqueues),
                later: later.map(id),
                open_dequeues: ids(open_dequeues),
            },
            Self::NotEmpty { dequeue, covers } => {
                let cover = |cover| match cover {
                    FoundCover::Item { enqueue, dequeue } => {
                        Cover::Item { enqueue: id(enqueue), dequeue: id(dequeue) }
                    }
                    FoundCover::Left { enqueues, open_dequeues } => {
                        Cover::Left { enqueues: ids(enqueues), open_dequeues: ids(open_dequeues) }
                    }
                };
                Pattern::NotEmpty { dequeue: id(dequeue), covers: covers.into_iter().map(cover).collect() }
            }
        }
    }
}
