//! Is there an order of the operations that explains what concurrent clients were told?
//!
//! A concurrent history is *linearizable* when its operations can be put in one order that respects real time (what
//! returned before another was called comes before it) and that a sequential object could have gone through
//! (Herlihy and Wing 1990). This module decides that for any object that implements [`Model`], and stands alone: it
//! knows nothing of a simulated world.
//!
//! ```
//! use hogwash_invariants::linearizability::models::{Register, RegisterCall, RegisterReturn};
//! use hogwash_invariants::linearizability::{History, Verdict, check, validate};
//!
//! let mut history = History::new();
//! let write = history.call(RegisterCall::Write(1));
//! let read = history.call(RegisterCall::Read);
//! history.returned(read, RegisterReturn::Value(Some(1)))?;
//! // The write never returns: it may happen at any time after its call, or never.
//! let late_read = history.call(RegisterCall::Read);
//!
//! // The write must have happened, since its value was read.
//! let Verdict::Linearizable { order } = check(&Register::new(), &history) else { panic!("it is linearizable") };
//! assert_eq!(order, [write, read]);
//! validate(&Register::new(), &history, &order)?;
//!
//! // Once read, it cannot have been undone.
//! history.returned(late_read, RegisterReturn::Value(None))?;
//! let Verdict::Violated(violation) = check(&Register::new(), &history) else { panic!("it is not") };
//! assert_eq!(
//!     violation.describe(&history).to_string(),
//!     "operation #2 saw the initial value, but #1, which comes behind all that saw it, had returned before #2 was called
//!   #1 Read -> Value(Some(1)), called at event 1, returned at event 2
//!   #2 Read -> Value(None), called at event 3, returned at event 4"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it decides
//! The question is NP-complete, so there is a portfolio, cheapest first:
//! 1. The history is split by [`Model::key`]; each part is decided alone.
//! 2. A model may have a [`Model::shortcut`] for histories that tell enough, near linear in time: [`fifo`] for queues
//!    of items that all differ, [`chains`] for registers and stores whose reads name the writes they saw.
//! 3. Two general searches take turns, by counted steps: one along time that keeps every way to explain the past
//!    which no other makes superfluous, and a depth-first one with a cache.
//!
//! A budget of steps ends the search with [`Verdict::Undecided`]. There is no clock, no thread and no randomness: the
//! same history always gets the same verdict.
//!
//! # What an answer is worth
//! [`Verdict::Linearizable`] comes with an order, which [`validate`] judges in linear time with code of its own. A
//! [`Violation`] names the operations that contradict each other, or the longest prefix that can be explained and the
//! operation that fits in nowhere; [`Checker::longest_prefix`] finds the latter for any violation.
//!
//! # Conventions
//! Collections of histories disagree about these, and each has turned verdicts round:
//! - **Touching operations** (one returns at the time at which another is called) are concurrent: see
//!   [`History::from_intervals`].
//! - **Refused** is not **unknown**: [`History::did_not_happen`] is for the former, an operation that stays open for
//!   the latter. If it is known to have happened but not with which answer: [`History::returned_something`].
//! - **Reading nothing** is not reading something unknown, and the **initial value** is the model's: see
//!   [`models::Register`].
//! - **Taking nothing** from a queue says that it was empty: see [`models::QueueReturn::Dequeued`].

pub mod chains;
pub mod fifo;
pub mod models;

mod checker;
mod depth_first;
mod frontier;
mod history;
mod intern;
mod just_in_time;
mod model;
mod partition;
mod problem;
mod search;
mod slots;
mod texts;
mod validate;
mod verdict;

pub use checker::{Checker, Strategy, check};
pub use history::{Event, History, HistoryError, HistoryOf, Interval, Operation, OperationId};
pub use model::{Effect, Model};
pub use partition::Partition;
pub use validate::{OrderError, validate};
pub use verdict::{Decision, Stuck, Verdict, Violation};
