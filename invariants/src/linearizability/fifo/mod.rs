//! FIFO queues whose items are all different: an exact check in time near linear in the history.
//!
//! Write `enq(x)` and `deq(x)` for the operations that added and took item x. Such a history is linearizable unless
//! it shows one of these patterns (Henzinger, Sezgin and Vafeiadis 2013, here with unknown outcomes):
//! 1. x is taken twice, or was never added, or `deq(x)` returned before `enq(x)` was called;
//! 2. `enq(x)` returned before `enq(y)` was called, but `deq(y)` returned before `deq(x)` was called;
//! 3. `enq(x)` returned before `enq(y)` was called, y is taken, x never is;
//! 4. an answer "empty" during which at every moment some item was certainly inside: added, and not yet taken.
//!
//! Why nothing else can go wrong: see the file `order.rs`, which builds an order whenever no pattern is found.
//!
//! **Unknown outcomes.** An enqueue that never returned and whose item nobody took is left out: nothing needs it. A
//! dequeue that never returned may have taken one item that was added for certain and that nobody is known to have
//! taken. Call such items *left*. A left item x must be gone before the first `deq(y)` with `enq(x)` before
//! `enq(y)` returns: its deadline. Items added later have later deadlines, so an earlier left item never needs a
//! later dequeue, and all is well exactly if at each moment no more deadlines have passed than open dequeues have
//! been called. In the same way the queue can have been empty at a moment only if no more left items had been
//! added by then than open dequeues had been called.

mod order;
mod patterns;
mod survey;

pub use patterns::{Cover, Pattern};

use std::fmt::Debug;
use std::hash::Hash;

use super::models::{QueueCall, QueueReturn};
use super::partition::Partition;
use super::verdict::{Decision, Violation};
use patterns::Found;
use survey::Survey;

/// The history of one queue.
pub type Part<'h, Item> = Partition<'h, QueueCall<Item>, QueueReturn<Item>>;

/// Decides the history of a queue whose items are all different. `None` when some item was added twice, or when a
/// dequeue is known to have returned but not with what: the general search must decide then.
#[must_use]
pub fn decide<Item: Clone + Debug + Eq + Hash>(part: &Part<'_, Item>) -> Option<Decision> {
    Some(match examine(Survey::new(part)?) {
        Ok(order) => {
            Decision::Linearizable(order.into_iter().map(|operation| part.id(operation as usize)).collect())
        }
        Err(found) => Decision::Violated(Violation::Queue(found.pattern(part))),
    })
}

fn examine(survey: Result<Survey<'_>, Found>) -> Result<Vec<u32>, Found> {
    let mut survey = survey?;
    survey.find_out_of_order()?;
    let due = survey.find_lost()?;
    let moments = survey.find_not_empty()?;
    survey.hand_out(due, &moments);
    Ok(order::build(&survey, &moments))
}
