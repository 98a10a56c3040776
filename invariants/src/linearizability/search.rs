//! What the searches have in common: they can be stopped after some steps and taken up again, so that several can
//! compete and a budget can end them.

use super::history::OperationId;
use super::model::Model;
use super::problem::{Problem, Transitions};
use super::verdict::Stuck;

/// How a search stands.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// An order explains the history.
    Order(Vec<OperationId>),
    /// No order does.
    Stuck(Stuck),
    /// More steps are needed.
    Unfinished,
}

/// A search for an order that can be interrupted.
pub(crate) trait Search<M: Model> {
    /// Goes on for about `steps_max` steps.
    fn run(
        &mut self,
        problem: &Problem<'_, M>,
        transitions: &mut Transitions<'_, M>,
        steps_max: u64,
    ) -> Outcome;

    /// The steps taken so far.
    fn steps(&self) -> u64;
}
