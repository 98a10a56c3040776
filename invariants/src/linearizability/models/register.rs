//! A register: one value that is read, written, and exchanged under a condition.

use std::fmt::Debug;
use std::hash::Hash;

use crate::linearizability::chains;
use crate::linearizability::model::{Effect, Model};
use crate::linearizability::partition::Partition;
use crate::linearizability::verdict::Decision;

/// A register that holds a value or nothing (nil).
///
/// Public collections disagree on two things, so say which you mean. What the register holds at first is
/// [`Register::new`] (nil) or [`Register::holding`]. And a read without a value can be a read of nil, which is
/// `RegisterReturn::Value(None)`, or a read whose answer was lost, which is no return value at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register<Value> {
    initial: Option<Value>,
}

/// What a client asks of a register.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegisterCall<Value> {
    /// Tell the value.
    Read,
    /// Forget the value and take this one.
    Write(Value),
    /// Take `new` if the value is `expected`; keep it otherwise.
    CompareAndSet {
        /// What must be there.
        expected: Option<Value>,
        /// What to put in its place.
        new: Value,
    },
}

/// What a register answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegisterReturn<Value> {
    /// To a read: the value, or nil.
    Value(Option<Value>),
    /// To a write.
    Written,
    /// To a compare-and-set: the value was as expected, and the new one is there.
    Exchanged,
    /// To a compare-and-set: the value was another, and still is.
    Kept,
}

impl<Value> Register<Value> {
    /// A register that holds nothing at first.
    #[must_use]
    pub fn new() -> Self {
        Self { initial: None }
    }

    /// A register that holds `value` at first.
    #[must_use]
    pub fn holding(value: Value) -> Self {
        Self { initial: Some(value) }
    }

    /// What it holds at first.
    #[must_use]
    pub fn initial_value(&self) -> Option<&Value> {
        self.initial.as_ref()
    }
}

impl<Value> Default for Register<Value> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Value: Clone + Debug + Eq + Hash> Model for Register<Value> {
    type Call = RegisterCall<Value>;
    type Return = RegisterReturn<Value>;
    type State = Option<Value>;
    type Key = ();
    type Next = Option<Self::State>;

    fn initial(&self, (): &()) -> Self::State {
        self.initial.clone()
    }

    fn key(&self, _: &Self::Call) {}

    fn step(&self, state: &Self::State, call: &Self::Call, returned: Option<&Self::Return>) -> Self::Next {
        match (call, returned) {
            (RegisterCall::Read, None) => Some(state.clone()),
            (RegisterCall::Read, Some(RegisterReturn::Value(value))) => {
                (value == state).then(|| state.clone())
            }
            (RegisterCall::Write(value), None | Some(RegisterReturn::Written)) => Some(Some(value.clone())),
            (RegisterCall::CompareAndSet { expected, new }, returned) => {
                let is_expected = expected == state;
                let is_answered = match returned {
                    None => true,
                    Some(RegisterReturn::Exchanged) => is_expected,
                    Some(RegisterReturn::Kept) => !is_expected,
                    Some(_) => false,
                };
                is_answered.then(|| if is_expected { Some(new.clone()) } else { state.clone() })
            }
            _ => None,
        }
    }

    fn effect(&self, call: &Self::Call, returned: Option<&Self::Return>) -> Effect {
        match (call, returned) {
            (RegisterCall::Read, _) | (RegisterCall::CompareAndSet { .. }, Some(RegisterReturn::Kept)) => {
                Effect::Observes
            }
            (RegisterCall::Write(_), None | Some(RegisterReturn::Written)) => Effect::Overwrites,
            (RegisterCall::CompareAndSet { .. }, None) => Effect::Updates,
            _ => Effect::Depends,
        }
    }

    fn shortcut(&self, partition: &Partition<'_, Self::Call, Self::Return>, _: u64) -> Option<Decision> {
        chains::decide_register(self, partition)
    }
}
