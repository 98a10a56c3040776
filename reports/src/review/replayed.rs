//! Splitting on the real stack: a clone is the same run, replayed up to the moment at which it reached a level, with other chance
//! from there on.
//!
//! Nothing of a running world has to be copied, since a run is what its plan and its chance make of it. A clone costs its prefix
//! once more, so splitting pays where a plain run seldom comes near the event. What is under way at the moment of cloning, such as a
//! timer that is set, is the same for all clones of a run: levels should lie further apart than that alone can carry.

use super::rare::RareError;
use super::splitting::{Effort, Path, Splitting, Step, fixed_effort};
use sim::history::{Event, Observer};
use sim::plan::Plan;
use sim::rng::Stream;
use sim::stack::Stack;
use sim::world::{self, CutOff, FreshChance, Limits};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How near a run has come to the event.
pub enum Near {
    /// To this level, counted from 1; falling back loses none.
    Level(u32),
    /// The event will not come any more.
    Over,
}

/// Tells how near, event by event of a history.
pub trait Nearness: Send {
    /// How near the run has come with `event`.
    fn after(&mut self, event: &Event) -> Near;
}

/// The runs among which the event is looked for.
pub struct Runs<'a> {
    /// The stack.
    pub stack: Arc<dyn Stack>,
    /// The plan of a seed. Each path of the first level has a seed of its own, which its clones share.
    pub plan: &'a dyn Fn(u64) -> Plan,
    /// What measures a run.
    pub nearness: &'a dyn Fn() -> Box<dyn Nearness>,
    /// How often the tasks of one run may be polled: what one that spins runs out of.
    pub polls: u64,
}

impl Runs<'_> {
    /// The probability that a run reaches the last level.
    ///
    /// # Errors
    /// Where the estimate cannot be trusted, as when a run had to be cut off.
    pub fn split(&self, effort: Effort, seed: u64, confidence: f64) -> Result<Splitting, RareError> {
        let failed = Mutex::new(None);
        let start = Replayed { runs: self, failed: &failed, seed: None, branches: Vec::new(), from_ns: 0 };
        let found = fixed_effort(&start, effort, seed, confidence);
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(reason) => Err(RareError::Untrusted { reason, below: 1.0, confidence }),
            None => found,
        }
    }

    /// Whether the run of `seed` reaches `level`, without splitting.
    ///
    /// # Errors
    /// Why it did not end.
    pub fn plain(&self, level: u32, seed: u64) -> Result<bool, String> {
        self.until(level, seed, Vec::new()).map(|reached| reached.is_some())
    }

    /// When the run reaches `level`, if it does.
    fn until(&self, level: u32, seed: u64, fresh_chance: Vec<FreshChance>) -> Result<Option<u64>, String> {
        let (reached, stop) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let watch =
            Watch { nearness: (self.nearness)(), level, reached: reached.clone(), stop: stop.clone() };
        let limits = Limits { stop: Some(stop), polls: Some(self.polls), fresh_chance, ..Limits::default() };
        let plan = (self.plan)(seed);
        let outcome = world::run_within(&plan, self.stack.clone(), None, vec![Box::new(watch)], limits);
        match outcome.map(|outcome| outcome.cut_off) {
            Err(error) => Err(error.to_string()),
            Ok(Some(CutOff::Polls)) => Err(format!("a task spins in the run of seed {seed}")),
            Ok(_) => Ok(*reached.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

/// A run up to where it reached its last level.
#[derive(Clone)]
struct Replayed<'a> {
    runs: &'a Runs<'a>,
    failed: &'a Mutex<Option<String>>,
    /// None before the first level.
    seed: Option<u64>,
    /// Where it left the chance of its plan, and again of each clone that it descends from.
    branches: Vec<FreshChance>,
    /// From when on a clone goes its own way.
    from_ns: u64,
}

impl Path for Replayed<'_> {
    fn advance(&mut self, level: u32, chance: &mut Stream) -> Step {
        let drawn = chance.next_u64();
        match self.seed {
            None => self.seed = Some(drawn),
            // The salt 0 is the plan's own chance.
            Some(_) => self.branches.push(FreshChance { from_ns: self.from_ns, salt: drawn.max(1) }),
        }
        match self.runs.until(level, self.seed.unwrap_or(drawn), self.branches.clone()) {
            Ok(Some(at_ns)) => {
                // What happens at that very moment still belongs to the prefix.
                self.from_ns = at_ns + 1;
                Step::Reached
            }
            Ok(None) => Step::Ended,
            Err(reason) => {
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
                Step::Ended
            }
        }
    }
}

/// Ends a run at a level.
struct Watch {
    nearness: Box<dyn Nearness>,
    level: u32,
    reached: Arc<Mutex<Option<u64>>>,
    stop: Arc<AtomicBool>,
}

impl Observer for Watch {
    fn observe(&mut self, event: &Event) {
        if self.stop.load(Ordering::Relaxed) {
            return;
        }
        match self.nearness.after(event) {
            Near::Level(level) if level >= self.level => {
                *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = Some(event.at_ns);
                self.stop.store(true, Ordering::Relaxed);
            }
            Near::Level(_) => {}
            Near::Over => self.stop.store(true, Ordering::Relaxed),
        }
    }
}
