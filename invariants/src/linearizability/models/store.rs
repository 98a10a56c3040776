//! A store of texts under keys, with put, append and get.

use crate::linearizability::chains;
use crate::linearizability::model::{Effect, Model};
use crate::linearizability::partition::Partition;
use crate::linearizability::texts;
use crate::linearizability::verdict::Decision;

/// A key-value store. A key that was never put holds the empty text. Keys do not influence each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Store;

/// What a client asks of a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StoreCall {
    /// Tell the text under a key.
    Get {
        /// The key.
        key: String,
    },
    /// Replace the text under a key.
    Put {
        /// The key.
        key: String,
        /// The text from now on.
        value: String,
    },
    /// Add to the end of the text under a key.
    Append {
        /// The key.
        key: String,
        /// What to add.
        value: String,
    },
}

/// What a store answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StoreReturn {
    /// To a get: the text.
    Value(String),
    /// To a put or an append.
    Done,
}

impl StoreCall {
    /// The key that is concerned.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Get { key } | Self::Put { key, .. } | Self::Append { key, .. } => key,
        }
    }
}

impl Model for Store {
    type Call = StoreCall;
    type Return = StoreReturn;
    type State = String;
    type Key = String;
    type Next = Option<String>;

    fn initial(&self, _: &String) -> String {
        String::new()
    }

    fn key(&self, call: &StoreCall) -> String {
        call.key().to_owned()
    }

    fn step(&self, state: &String, call: &StoreCall, returned: Option<&StoreReturn>) -> Option<String> {
        match (call, returned) {
            (StoreCall::Get { .. }, None) => Some(state.clone()),
            (StoreCall::Get { .. }, Some(StoreReturn::Value(value))) => {
                (value == state).then(|| state.clone())
            }
            (StoreCall::Put { value, .. }, None | Some(StoreReturn::Done)) => Some(value.clone()),
            (StoreCall::Append { value, .. }, None | Some(StoreReturn::Done)) => {
                Some(format!("{state}{value}"))
            }
            _ => None,
        }
    }

    fn effect(&self, call: &StoreCall, returned: Option<&StoreReturn>) -> Effect {
        match (call, returned) {
            (StoreCall::Get { .. }, _) => Effect::Observes,
            (StoreCall::Put { .. }, None | Some(StoreReturn::Done)) => Effect::Overwrites,
            (StoreCall::Append { .. }, None | Some(StoreReturn::Done)) => Effect::Updates,
            _ => Effect::Depends,
        }
    }

    fn shortcut(
        &self,
        partition: &Partition<'_, StoreCall, StoreReturn>,
        budget_steps: u64,
    ) -> Option<Decision> {
        chains::decide_store(partition).or_else(|| texts::decide(partition, budget_steps))
    }
}
