//! Many runs: scenarios × seeds over all cores, committed regressions first, violations told apart by fingerprint.
#![expect(clippy::disallowed_types, reason = "batches have time limits")]

mod guide;
mod ledger;
mod merge;
mod shard;
mod tally;
mod work;

pub use merge::{MergeError, Merged, merge};
pub use shard::{Shard, seed_of_commit};
pub use tally::{Distinct, Summary};

use crate::error::ScenarioError;
use crate::expectation::Judgement;
use crate::guarded::{Budget, Cut};
use crate::planner;
use crate::scenario::Scenario;
use crate::store::{Broken, Capsule, Store, StoredRun};
use guide::Guide;
use ledger::Ledger;
use serde::{Deserialize, Serialize};
use sim::plan::Plan;
use sim::stack::Stack;
use std::collections::{BTreeMap, btree_map};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tally::Tally;
use work::Work;

/// One scenario of a batch, with or without a variant.
#[derive(Clone, Debug)]
pub struct Target {
    /// The scenario.
    pub scenario: Scenario,
    /// Its variant.
    pub variant: Option<String>,
}

impl Target {
    /// Its name and variant.
    fn name(&self) -> String {
        target_name(&self.scenario.name, self.variant.as_deref())
    }
}

fn target_name(scenario: &str, variant: Option<&str>) -> String {
    variant.map_or(scenario.to_owned(), |variant| format!("{scenario} --variant {variant}"))
}

/// What a batch is.
pub struct Batch {
    /// What is run, each with every seed.
    pub targets: Vec<Target>,
    /// Plans that are run first, whatever the seeds: name and plan.
    pub regressions: Vec<(String, Plan)>,
    /// The first seed.
    pub base: u64,
    /// How many seeds.
    pub seeds: u64,
    /// Which part of it.
    pub shard: Shard,
    /// Makes half of the plans of earlier ones that came into new situations: a mark, a kind of fault under way, a tier.
    pub guide: bool,
    /// Settings given on the command line.
    pub overrides: Vec<(String, String)>,
    /// How many runs at once.
    pub jobs: usize,
    /// No run begins after this.
    pub time_limit: Option<Duration>,
    /// What each run may cost.
    pub budget: Budget,
    /// Runs every plan twice and compares.
    pub twice: bool,
    /// Where violations are kept, and what was done already.
    pub store: Option<Store>,
}

/// Something that happened in a batch.
pub enum Event<'a> {
    /// The batch begins, where an earlier one was interrupted.
    Begun {
        /// Runs of this shard.
        runs: u64,
        /// Those that are done already.
        done: u64,
        /// The violations that these showed, each counted once.
        distinct: u64,
    },
    /// A run ended.
    Ended {
        /// Which.
        run: &'a Run,
        /// How.
        result: &'a RunResult,
    },
    /// A violation of a shape that this batch had not seen before, and where it is kept.
    New {
        /// Which run.
        run: &'a Run,
        /// What is broken.
        broken: &'a Broken,
        /// Its run.
        stored: Option<&'a StoredRun>,
    },
    /// Something could not be done; the batch goes on.
    Trouble {
        /// Which run.
        run: &'a Run,
        /// What.
        message: String,
    },
}

/// Which run of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Run {
    /// The scenario, or the regression's name.
    pub scenario: String,
    /// The variant.
    pub variant: Option<String>,
    /// The seed.
    pub seed: u64,
    /// Whether its plan was made of earlier ones: scenario and seed alone do not say what it was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guided: bool,
}

/// How a run of a batch ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunResult {
    /// By itself.
    Ended(Box<Capsule>),
    /// Past its budget.
    CutOff(Cut),
    /// By a panic of hogwash itself.
    Bug(String),
    /// A second run of the same plan had another digest.
    NotDeterministic {
        /// The first run's digest.
        first: String,
        /// The second's.
        second: String,
        /// Where the two part, where both were traced.
        #[serde(default)]
        parting: Vec<String>,
    },
}

/// Who is told what happens, from all threads.
pub trait Events: Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// What a batch does with a run.
enum Job<'a> {
    Regression(&'a str, &'a Plan),
    /// The place of the target among the batch's, and the seed.
    Seed(usize, u64),
}

/// Runs the whole batch; `stop` ends it after the runs that are under way.
///
/// # Errors
/// Where a target has no such variant, or the store cannot be written. One bad run never ends a batch.
pub fn fuzz(
    batch: &Batch,
    stack: &Arc<dyn Stack>,
    events: &dyn Events,
    stop: &AtomicBool,
) -> Result<Summary, ScenarioError> {
    let begun = Instant::now();
    for target in &batch.targets {
        planner::plan(&target.scenario, stack.as_ref(), target.variant.as_deref(), 0, &batch.overrides)?;
    }
    let (ledger, done) = match &batch.store {
        Some(store) => {
            store.sweep();
            Ledger::open(store, batch, stack.as_ref())?
        }
        None => (Ledger::none(), Vec::new()),
    };
    let mut tally = Tally::default();
    let mut is_done = BTreeMap::new();
    for entry in done {
        if let btree_map::Entry::Vacant(done) = is_done.entry(entry.place) {
            tally.add(&entry);
            done.insert(entry.learned);
        }
    }
    let done = u64::try_from(is_done.len()).unwrap_or(u64::MAX);
    events.event(&Event::Begun { runs: batch.runs(), done, distinct: tally.distinct() });
    let work = Work {
        batch,
        stack,
        events,
        is_done,
        line: Mutex::new((0, Guide::default())),
        moved: Condvar::new(),
        ended: AtomicBool::new(false),
        lost: AtomicU64::new(0),
        state: Mutex::new((tally, ledger)),
    };
    std::thread::scope(|scope| {
        for _ in 0..batch.jobs.max(1) {
            scope.spawn(|| work.take_jobs(begun, stop));
        }
    });
    let (tally, ledger) = work.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    let ended = work.ended.into_inner();
    let interrupted = ended && stop.load(Ordering::Relaxed);
    let timed_out = ended && !interrupted;
    let lost = work.lost.into_inner();
    if !ended && lost == 0 {
        ledger.complete()?;
    }
    Ok(Summary { lost, ..tally.summary(begun.elapsed(), interrupted, timed_out) })
}

impl Batch {
    /// How many runs this shard has.
    pub fn runs(&self) -> u64 {
        self.shard.runs(self.runs_of_all())
    }

    /// How many runs all shards have.
    fn runs_of_all(&self) -> u64 {
        self.seeds.saturating_mul(count(&self.targets)).saturating_add(count(&self.regressions))
    }

    /// The run number `job` of this shard, with its place in the whole batch: nothing is listed, since a batch may be
    /// endless but for its time.
    fn job(&self, job: u64) -> Option<(u64, Job<'_>)> {
        if job >= self.runs() {
            return None;
        }
        let place = self.shard.place(job);
        Some((place, self.job_at(place)))
    }

    fn job_at(&self, index: u64) -> Job<'_> {
        let regression = usize::try_from(index).ok().and_then(|index| self.regressions.get(index));
        if let Some((name, plan)) = regression {
            return Job::Regression(name, plan);
        }
        let index = index - count(&self.regressions);
        let target = usize::try_from(index % count(&self.targets)).expect("less than their number");
        Job::Seed(target, self.base.wrapping_add(index / count(&self.targets)))
    }
}

fn count<T>(list: &[T]) -> u64 {
    u64::try_from(list.len()).unwrap_or(u64::MAX)
}

/// Whether any law of the run is judged so.
fn has(capsule: &Capsule, judgement: Judgement) -> bool {
    capsule.judgements.values().any(|one| *one == judgement)
}
