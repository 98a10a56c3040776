//! What a sequential object may do: the specification that a concurrent history is held against.

use std::fmt::Debug;
use std::hash::Hash;

use super::partition::Partition;
use super::verdict::Decision;

/// A sequential specification.
///
/// A history is linearizable when its operations can be put in one order that respects real time and in which
/// each operation is a [`step`](Model::step) of this object. Nothing here knows of time or of concurrency.
pub trait Model {
    /// What a client asks for.
    type Call: Clone + Debug + Eq + Hash;
    /// What a client is told.
    type Return: Clone + Debug + Eq + Hash;
    /// All that the object remembers.
    type State: Clone + Debug + Eq + Hash;
    /// Names one of several objects that do not influence each other. `()` when there is only one.
    type Key: Clone + Debug + Ord;
    /// The states after a step: `Option` for an object with one choice at most, `Vec` for one with more.
    type Next: IntoIterator<Item = Self::State>;

    /// The state of the object `key` before anything happened.
    fn initial(&self, key: &Self::Key) -> Self::State;

    /// The object that `call` touches. A call may touch one object only: where calls touch several, those objects
    /// are one, and the key is `()`.
    fn key(&self, call: &Self::Call) -> Self::Key;

    /// The states in which `call` may leave the object if it answers `returned`; none if it could not answer that.
    /// `None` for `returned` means that the answer is not known, so every answer is allowed.
    fn step(&self, state: &Self::State, call: &Self::Call, returned: Option<&Self::Return>) -> Self::Next;

    /// What is known of a step without looking at the state. It only makes the search faster:
    /// [`Effect::Depends`] is always right, and the checker panics when it sees a step that breaks the promise.
    fn effect(&self, call: &Self::Call, returned: Option<&Self::Return>) -> Effect {
        let _ = (call, returned);
        Effect::Depends
    }

    /// A quicker way to decide the history of one object, if there is one for it. It must be exact; `None` sends
    /// the history to the general search, and is also the answer when a shortcut that searches has used its budget.
    fn shortcut(
        &self,
        partition: &Partition<'_, Self::Call, Self::Return>,
        budget_steps: u64,
    ) -> Option<Decision> {
        let _ = (partition, budget_steps);
        None
    }
}

/// How a step and the state may depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Anything.
    Depends,
    /// Allowed in every state, whatever it does there: an append. Where nothing is ever overwritten and no state
    /// stays as it is, this is worth nothing, and [`Effect::Depends`] is quicker.
    Updates,
    /// Allowed in some states, and leaves each of those as it is: a read.
    Observes,
    /// Allowed in every state, and always leaves the same one: a blind write.
    Overwrites,
}
