//! A store seen through its gets: texts that no get will ever tell apart are one state. That leaves few states, and in
//! the one of all texts that no get saw, an append changes nothing. It decides the histories in which equal texts
//! are written more than once, so that [`super::chains`] cannot tell which of them a get saw.

use std::fmt;

use super::checker::Checker;
use super::model::{Effect, Model};
use super::models::{Store, StoreCall, StoreReturn};
use super::partition::Partition;
use super::verdict::Decision;

/// Decides the history of one key within a budget.
pub(crate) fn decide(part: &Partition<'_, StoreCall, StoreReturn>, budget_steps: u64) -> Option<Decision> {
    let mut seen = Vec::new();
    for index in 0..part.len() {
        if let Some(StoreReturn::Value(text)) = part.operation(index).returned() {
            seen.push(text.as_str());
        }
    }
    seen.sort_unstable();
    seen.dedup();
    Checker::new().budget_steps(budget_steps).decide(&Gets { seen }, &String::new(), part.clone())
}

/// The model of such a store.
struct Gets<'h> {
    /// What the gets saw, sorted.
    seen: Vec<&'h str>,
}

/// What is under a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Text<'h> {
    /// The beginning of something that a get saw.
    Seen(&'h str),
    /// Anything else.
    Unseen,
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seen(text) => write!(formatter, "{text:?}"),
            Self::Unseen => write!(formatter, "a text that no get saw"),
        }
    }
}

impl<'h> Gets<'h> {
    fn text(&self, text: &str) -> Text<'h> {
        let place = self.seen.partition_point(|seen| *seen < text);
        match self.seen.get(place).filter(|seen| seen.starts_with(text)) {
            Some(seen) => Text::Seen(&seen[..text.len()]),
            None => Text::Unseen,
        }
    }
}

impl<'h> Model for Gets<'h> {
    type Call = StoreCall;
    type Return = StoreReturn;
    type State = Text<'h>;
    type Key = String;
    type Next = Option<Text<'h>>;

    fn initial(&self, _: &String) -> Text<'h> {
        self.text("")
    }

    fn key(&self, call: &StoreCall) -> String {
        Store.key(call)
    }

    fn step(&self, state: &Text<'h>, call: &StoreCall, returned: Option<&StoreReturn>) -> Option<Text<'h>> {
        match (call, returned) {
            (StoreCall::Get { .. }, None) => Some(*state),
            (StoreCall::Get { .. }, Some(StoreReturn::Value(value))) => {
                (*state == Text::Seen(value.as_str())).then_some(*state)
            }
            (StoreCall::Put { value, .. }, None | Some(StoreReturn::Done)) => Some(self.text(value)),
            (StoreCall::Append { value, .. }, None | Some(StoreReturn::Done)) => Some(match state {
                Text::Seen(text) => self.text(&format!("{text}{value}")),
                Text::Unseen => Text::Unseen,
            }),
            _ => None,
        }
    }

    fn effect(&self, call: &StoreCall, returned: Option<&StoreReturn>) -> Effect {
        Store.effect(call, returned)
    }
}
