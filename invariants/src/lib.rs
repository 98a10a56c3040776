//! The laws: pure functions of a history.
//!
//! A law reads events in order ([`Invariant::observe`]), online as they happen or afterwards from a stored history, by
//! the same code ([`Watch`]), and ends with a [`Finding`]. It knows the vocabulary of histories and the plan, and
//! nothing of any stack, so that it cannot share the bug that it must catch.
//!
//! A law whose facts nobody records is [`Verdict::NotExercised`], and says what would have had to happen. A law that is
//! broken is [`Verdict::BeyondDesign`] only where what really happened went past one of its [`Bound`]s.
//!
//! ```
//! use hogwash_invariants::{Verdict, check, delivery};
//! use sim::history::from_text;
//!
//! # let node = |name: &str, role: &str| sim::plan::NodePlan {
//! #     name: name.to_owned(),
//! #     role: role.to_owned(),
//! #     cores: 1,
//! #     memory_bytes: 1 << 30,
//! #     domains: Default::default(),
//! #     clock_offset_ns: 0,
//! #     clock_drift_parts_per_million: 0.0,
//! # };
//! # let plan = sim::plan::Plan {
//! #     version: sim::plan::PLAN_VERSION,
//! #     stack: "mine".to_owned(),
//! #     scenario: "mine/example".to_owned(),
//! #     variant: None,
//! #     seed: 7,
//! #     duration_ns: 10_000_000_000,
//! #     drain_ns: 10_000_000_000,
//! #     expect: Default::default(),
//! #     objectives: Default::default(),
//! #     settings: Default::default(),
//! #     workload: sim::plan::Workload { clients: 1, rate_per_s: 1.0, ..sim::plan::Workload::default() },
//! #     network: Default::default(),
//! #     disk: Default::default(),
//! #     byte_scale: 1,
//! #     nodes: vec![node("queue-1", "queue"), node("client-1", "client")],
//! #     faults: Vec::new(),
//! # };
//! // `plan` is the run's plan; the history may be a run's own, or, as here, written down by hand.
//! let history = "\
//! 1s client-1 submit id=0.1 attempt=1
//! 1.1s queue-1 enqueue id=0.1 position=1
//! 1.2s client-1 acknowledge id=0.1
//! 12s world healed
//! 13s world drained
//! 13s world end messages=4 steps=9";
//! let events = from_text(history, &["queue-1", "client-1"])?;
//!
//! let finding = check(&delivery::LAW, &plan, &events);
//! assert_eq!(finding.verdict, Verdict::Violated);
//! assert_eq!(finding.violations[0].message, "request 0.1 was acknowledged at 1.2s and is not done");
//! # Ok::<(), sim::history::TextError>(())
//! ```
//!
//! What is absent: a clock, I/O, randomness, any type of a stack.

pub mod access;
pub mod agreement;
pub mod archive;
mod bounds;
pub mod config;
pub mod delivery;
mod ids;
pub mod leases;
pub mod ledger;
pub mod linearizability;
mod names;
pub mod order;
pub mod processes;
pub mod reads;
pub mod recovers;
pub mod resize;
pub mod rollout;
pub mod service;
pub mod store;
mod verdict;
mod watch;

pub use bounds::{Bound, Keepers};
pub use verdict::{Finding, Outcome, UnknownVerdict, Verdict, Violation};
pub use watch::{Watch, check};

use sim::history::Event;
use sim::plan::Plan;

/// A law at work on one history.
pub trait Invariant: Send {
    /// Reads one event; events come in the order of the history.
    fn observe(&mut self, event: &Event);

    /// Whether what was read so far already breaks the law, whatever may follow.
    fn broken(&self) -> bool;

    /// Ends the history.
    fn finish(self: Box<Self>) -> Outcome;
}

/// A law that histories are held to.
#[derive(Clone, Copy)]
pub struct Law {
    /// Its name, as scenarios write it.
    pub name: &'static str,
    /// What it demands, in one sentence.
    pub sentence: &'static str,
    /// What has to happen for it to be exercised at all.
    pub needs: &'static str,
    /// What it promises to survive, whatever else may happen; past any of these its verdict is [`Verdict::BeyondDesign`].
    pub survives: &'static [Bound],
    /// Begins to watch a run of this plan.
    pub make: fn(&Plan) -> Box<dyn Invariant>,
}

impl Law {
    /// What it promises to survive, in words.
    pub fn promise(&self) -> String {
        let bounds: Vec<_> = self.survives.iter().map(ToString::to_string).collect();
        if bounds.is_empty() {
            return "any faults".to_owned();
        }
        format!("any faults, with {} at the most", bounds.join(", "))
    }
}

/// All laws.
pub const LAWS: &[Law] = &[
    delivery::LAW,
    agreement::LAW,
    order::LAW,
    reads::LAW,
    resize::LAW,
    recovers::LAW,
    processes::LAW,
    ledger::LAW,
    archive::LAW,
    store::LAW,
    leases::MUTEX,
    leases::FENCING,
    access::REVOCATION,
    access::ENROLMENT,
    rollout::LAW,
    config::LAW,
    service::SERVICE,
    service::RESILIENCE,
];
