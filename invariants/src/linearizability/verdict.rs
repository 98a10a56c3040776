//! What a check found, and how to say it to a person.

use std::fmt::{self, Debug};

use super::history::{History, OperationId};
use super::{chains, fifo};

/// The answer of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order that explains everything that clients were told.
    Linearizable {
        /// That order. An operation with an unknown outcome that is not in it did not need to happen.
        order: Vec<OperationId>,
    },
    /// There is none.
    Violated(Violation),
    /// The budget ran out first.
    Undecided {
        /// The steps that were taken.
        steps: u64,
    },
}

/// What is found about the part of a history that concerns one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// An order that explains it.
    Linearizable(Vec<OperationId>),
    /// Why there is none.
    Violated(Violation),
}

/// Why no order explains a history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// Everything up to one return can be explained, that return cannot.
    Stuck(Stuck),
    /// A FIFO queue misbehaved.
    Queue(fifo::Pattern),
    /// Reads spell out an order of the writes that cannot be.
    Chain(chains::Pattern),
}

/// The longest prefix that can be explained and the operation that cannot be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// An order of everything that returned before `operation` did (and of whatever else it needed).
    pub prefix: Vec<OperationId>,
    /// The first operation, by its return, that fits in no order.
    pub operation: OperationId,
    /// States in which the object could have been just before; at most [`Stuck::STATES_MAX`] are kept.
    pub states: Vec<String>,
}

impl Stuck {
    /// The largest number of states that are kept for the explanation.
    pub const STATES_MAX: usize = 8;
}

impl Verdict {
    /// Whether the history is linearizable, if that was decided.
    #[must_use]
    pub fn is_linearizable(&self) -> Option<bool> {
        match self {
            Self::Linearizable { .. } => Some(true),
            Self::Violated(_) => Some(false),
            Self::Undecided { .. } => None,
        }
    }
}

impl Violation {
    /// The operations that contradict each other; for [`Violation::Stuck`] the one that cannot be placed.
    #[must_use]
    pub fn operations(&self) -> Vec<OperationId> {
        match self {
            Self::Stuck(stuck) => vec![stuck.operation],
            Self::Queue(pattern) => pattern.operations(),
            Self::Chain(pattern) => pattern.operations(),
        }
    }

    /// The violation for a person: one sentence, then each operation concerned on a line of its own.
    pub fn describe<'a, Call: Debug, Return: Debug>(
        &'a self,
        history: &'a History<Call, Return>,
    ) -> impl fmt::Display + 'a {
        Description { violation: self, history }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stuck(stuck) => {
                write!(formatter, "operation {} fits in no order", stuck.operation)?;
                write!(
                    formatter,
                    " (all that returned before it does, in an order of {}",
                    stuck.prefix.len()
                )?;
                write!(formatter, "); just before, the state could be {}", stuck.states.join(" or "))
            }
            Self::Queue(pattern) => write!(formatter, "{pattern}"),
            Self::Chain(pattern) => write!(formatter, "{pattern}"),
        }
    }
}

struct Description<'a, Call, Return> {
    violation: &'a Violation,
    history: &'a History<Call, Return>,
}

impl<Call: Debug, Return: Debug> fmt::Display for Description<'_, Call, Return> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.violation)?;
        for id in self.violation.operations() {
            let Some(operation) = self.history.get(id) else { continue };
            write!(formatter, "\n  {id} {:?}", operation.call())?;
            match (operation.returned(), operation.returned_at()) {
                (Some(returned), _) => write!(formatter, " -> {returned:?}")?,
                (None, Some(_)) => write!(formatter, " -> something")?,
                (None, None) => write!(formatter, " -> unknown")?,
            }
            write!(formatter, ", called at event {}", operation.called_at())?;
            match operation.returned_at() {
                Some(position) => write!(formatter, ", returned at event {position}")?,
                None => write!(formatter, ", never returned")?,
            }
        }
        Ok(())
    }
}
