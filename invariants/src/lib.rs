//! The laws: pure functions of a history.
//!
//! A law reads events in order ([`Invariant::observe`]), online as they happen or afterwards from a stored history,
//! and ends with a [`Finding`]. It knows the vocabulary of histories and the plan, and nothing of any stack, so that
//! it cannot share the bug that it must catch.
//!
//! What is absent: a clock, I/O, randomness, any type of a stack.

pub mod agreement;
pub mod delivery;
mod ids;
pub mod linearizability;
pub mod processes;
pub mod recovers;
pub mod resize;
mod verdict;

pub use verdict::{Finding, UnknownVerdict, Verdict, Violation};

use sim::history::Event;
use sim::plan::Plan;

/// A law at work on one history.
pub trait Invariant: Send {
    /// Reads one event; events come in the order of the history.
    fn observe(&mut self, event: &Event);

    /// Whether what was read so far already breaks the law, whatever may follow.
    fn broken(&self) -> bool;

    /// Ends the history.
    fn finish(self: Box<Self>) -> Finding;
}

/// A law that histories are held to.
#[derive(Clone, Copy)]
pub struct Law {
    /// Its name, as scenarios write it.
    pub name: &'static str,
    /// What it demands, in one sentence.
    pub sentence: &'static str,
    /// What it promises to survive, in one sentence; past that its verdict is [`Verdict::BeyondDesign`].
    pub survives: &'static str,
    /// Begins to watch a run of this plan.
    pub make: fn(&Plan) -> Box<dyn Invariant>,
}

/// All laws.
pub const LAWS: &[Law] = &[delivery::LAW, agreement::LAW, resize::LAW, recovers::LAW, processes::LAW];

/// Holds a whole history, of a run of `plan`, to `law`.
pub fn check<'a>(law: &Law, plan: &Plan, events: impl IntoIterator<Item = &'a Event>) -> Finding {
    let mut invariant = (law.make)(plan);
    events.into_iter().for_each(|event| invariant.observe(event));
    invariant.finish()
}
