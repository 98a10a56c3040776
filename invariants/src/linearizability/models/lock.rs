//! A lock that one owner holds at a time.

use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;

use crate::linearizability::model::{Effect, Model};

/// A lock, free at first. With `()` as owner anyone may release it; with a real owner only the one who holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock<Owner = ()> {
    owner: PhantomData<Owner>,
}

/// What a client asks of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LockCall<Owner = ()> {
    /// Take the lock.
    Acquire(Owner),
    /// Give it back.
    Release(Owner),
}

/// What a lock answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockReturn {
    /// It was done.
    Done,
    /// It could not be done: someone else holds the lock, or the lock is not yours to release.
    Refused,
}

impl<Owner> Lock<Owner> {
    /// A free lock.
    #[must_use]
    pub fn new() -> Self {
        Self { owner: PhantomData }
    }
}

impl<Owner> Default for Lock<Owner> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Owner: Clone + Debug + Eq + Hash> Model for Lock<Owner> {
    type Call = LockCall<Owner>;
    type Return = LockReturn;
    type State = Option<Owner>;
    type Key = ();
    type Next = Option<Self::State>;

    fn initial(&self, (): &()) -> Self::State {
        None
    }

    fn key(&self, _: &Self::Call) {}

    fn step(&self, state: &Self::State, call: &Self::Call, returned: Option<&Self::Return>) -> Self::Next {
        let done = match call {
            LockCall::Acquire(owner) => state.is_none().then(|| Some(owner.clone())),
            LockCall::Release(owner) => (state.as_ref() == Some(owner)).then_some(None),
        };
        match returned {
            Some(LockReturn::Done) => done,
            Some(LockReturn::Refused) => done.is_none().then(|| state.clone()),
            None => done.or_else(|| Some(state.clone())),
        }
    }

    fn effect(&self, _: &Self::Call, returned: Option<&Self::Return>) -> Effect {
        match returned {
            Some(LockReturn::Refused) => Effect::Observes,
            _ => Effect::Depends,
        }
    }
}
