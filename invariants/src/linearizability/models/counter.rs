//! A counter of integers.

use crate::linearizability::model::{Effect, Model};

/// A counter, zero at first. Sums wrap around, as those of the machine.
///
/// Reads that run beside many additions make the check hard by nature (it is a sum over a subset): let additions
/// return the sum where you can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter;

/// What a client asks of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CounterCall {
    /// Add this much.
    Add(i64),
    /// Tell the sum.
    Read,
}

/// What a counter answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CounterReturn {
    /// To an addition that does not tell the sum.
    Added,
    /// To a read: the sum. To an addition: the sum with it.
    Sum(i64),
}

impl Model for Counter {
    type Call = CounterCall;
    type Return = CounterReturn;
    type State = i64;
    type Key = ();
    type Next = Option<i64>;

    fn initial(&self, (): &()) -> i64 {
        0
    }

    fn key(&self, _: &CounterCall) {}

    fn step(&self, state: &i64, call: &CounterCall, returned: Option<&CounterReturn>) -> Option<i64> {
        let (after, is_silent) = match call {
            CounterCall::Add(amount) => (state.wrapping_add(*amount), true),
            CounterCall::Read => (*state, false),
        };
        let is_answered = match returned {
            None => true,
            Some(CounterReturn::Added) => is_silent,
            Some(CounterReturn::Sum(sum)) => *sum == after,
        };
        is_answered.then_some(after)
    }

    fn effect(&self, call: &CounterCall, _: Option<&CounterReturn>) -> Effect {
        match call {
            CounterCall::Add(_) => Effect::Depends,
            CounterCall::Read => Effect::Observes,
        }
    }
}
