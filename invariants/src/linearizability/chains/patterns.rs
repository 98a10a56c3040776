//! What can go wrong with reads and writes, named by the operations that show it.

use std::fmt;

use crate::linearizability::history::OperationId;

/// Operations on a register or on one key of a store that no order explains, whatever else happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pattern<Id = OperationId> {
    /// An operation saw what no writes, in any order, can have put there.
    Unwritten {
        /// That operation.
        operation: Id,
    },
    /// Two operations saw things that no single order of the writes gives.
    Disagree {
        /// The two operations.
        operations: [Id; 2],
    },
    /// What one operation saw or built upon includes another one, which was called only after the first had
    /// returned; or it misses that other one although it comes later.
    Backwards {
        /// The operation that must come first, called too late.
        first: Id,
        /// The operation that must come behind it, but had returned by then.
        second: Id,
        /// Operations that show where the named ones belong, if those do not show it themselves.
        told_by: Vec<Id>,
    },
    /// An operation saw the initial value although a write, or a read of one, had returned by then.
    Stale {
        /// That operation.
        operation: Id,
        /// What had returned before it was called.
        before: Id,
        /// Operations that show where the named ones belong, if those do not show it themselves.
        told_by: Vec<Id>,
    },
    /// Two writes wipe each other out: from the operations that saw one, or built upon it, some must come before
    /// the other and some behind.
    Interleaved {
        /// Of the one: an operation that returned early, and one that was called late.
        one: [Id; 2],
        /// The same of the other. Each early operation returned before the late one of the other was called.
        other: [Id; 2],
        /// Operations that show where the named ones belong, if those do not show it themselves.
        told_by: Vec<Id>,
    },
}

/// A pattern with the numbers of one part of a history.
pub(super) type Found = Pattern<u32>;

impl<Id: Copy> Pattern<Id> {
    /// All operations that the pattern names.
    #[must_use]
    pub fn operations(&self) -> Vec<Id> {
        let (named, told_by) = match self {
            Self::Unwritten { operation } => (vec![*operation], [].as_slice()),
            Self::Disagree { operations } => (operations.to_vec(), [].as_slice()),
            Self::Backwards { first, second, told_by } => (vec![*second, *first], told_by.as_slice()),
            Self::Stale { operation, before, told_by } => (vec![*before, *operation], told_by.as_slice()),
            Self::Interleaved { one, other, told_by } => ([*one, *other].concat(), told_by.as_slice()),
        };
        [&named, told_by].concat()
    }

    pub(super) fn pattern<Other>(self, id: impl Fn(Id) -> Other) -> Pattern<Other> {
        let ids = |operations: Vec<Id>| operations.into_iter().map(&id).collect();
        match self {
            Self::Unwritten { operation } => Pattern::Unwritten { operation: id(operation) },
            Self::Disagree { operations } => Pattern::Disagree { operations: operations.map(id) },
            Self::Backwards { first, second, told_by } => {
                Pattern::Backwards { first: id(first), second: id(second), told_by: ids(told_by) }
            }
            Self::Stale { operation, before, told_by } => {
                Pattern::Stale { operation: id(operation), before: id(before), told_by: ids(told_by) }
            }
            Self::Interleaved { one, other, told_by } => {
                Pattern::Interleaved { one: one.map(&id), other: other.map(&id), told_by: ids(told_by) }
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwritten { operation } => {
                write!(
                    formatter,
                    "operation {operation} saw what no writes, in any order, can have put there"
                )
            }
            Self::Disagree { operations: [one, other] } => {
                write!(formatter, "no single order of the writes gives what {one} and what {other} saw")
            }
            Self::Backwards { first, second, .. } => {
                write!(formatter, "by what they saw, {first} comes before {second}, ")?;
                write!(formatter, "but {second} had returned before {first} was called")
            }
            Self::Stale { operation, before, .. } => {
                write!(
                    formatter,
                    "operation {operation} saw the initial value, but {before}, which comes behind all "
                )?;
                write!(formatter, "that saw it, had returned before {operation} was called")
            }
            Self::Interleaved { one: [early, late], other: [other_early, other_late], .. } => {
                write!(
                    formatter,
                    "{early} and {late} saw or made one value, {other_early} and {other_late} another, "
                )?;
                write!(
                    formatter,
                    "and one must be gone before the other comes, but {early} had returned before "
                )?;
                write!(formatter, "{other_late} was called, and {other_early} before {late} was")
            }
        }
    }
}
