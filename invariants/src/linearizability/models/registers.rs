//! Several registers that are read and written together, in transactions of one round each.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

use crate::linearizability::model::{Effect, Model};

/// Registers by name, each holding the same value at first. A call is a list of reads and writes that take effect
/// at once, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers<Value> {
    initial: Option<Value>,
}

/// One read or write of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegistersStep<Value> {
    /// Tell the value of the register with this name.
    Read(String),
    /// Give the register with this name a value.
    Write(String, Value),
}

/// What one read of a transaction saw.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Seen<Value> {
    /// This value, or nil.
    Value(Option<Value>),
    /// Something that is not known.
    Unknown,
}

impl<Value> Registers<Value> {
    /// Registers that all hold `initial` at first; `None` for nil.
    #[must_use]
    pub fn holding(initial: Option<Value>) -> Self {
        Self { initial }
    }
}

impl<Value: Clone + Debug + Eq + Hash> Model for Registers<Value> {
    type Call = Vec<RegistersStep<Value>>;
    /// What the reads saw, in their order.
    type Return = Vec<Seen<Value>>;
    /// The registers that were written.
    type State = BTreeMap<String, Value>;
    type Key = ();
    type Next = Option<Self::State>;

    fn initial(&self, (): &()) -> Self::State {
        BTreeMap::new()
    }

    fn key(&self, _: &Self::Call) {}

    fn step(&self, state: &Self::State, call: &Self::Call, returned: Option<&Self::Return>) -> Self::Next {
        let mut state = state.clone();
        let mut seen = Vec::new();
        for step in call {
            match step {
                RegistersStep::Read(name) => seen.push(state.get(name).or(self.initial.as_ref()).cloned()),
                RegistersStep::Write(name, value) => {
                    state.insert(name.clone(), value.clone());
                }
            }
        }
        let agrees = |(answer, seen): (&Seen<Value>, &Option<Value>)| match answer {
            Seen::Value(value) => value == seen,
            Seen::Unknown => true,
        };
        let is_answered = returned
            .is_none_or(|answers| answers.len() == seen.len() && answers.iter().zip(&seen).all(agrees));
        is_answered.then_some(state)
    }

    fn effect(&self, call: &Self::Call, _: Option<&Self::Return>) -> Effect {
        let writes = call.iter().any(|step| matches!(step, RegistersStep::Write(..)));
        if writes { Effect::Depends } else { Effect::Observes }
    }
}
