//! Many runs: scenarios × seeds over all cores, committed regressions first, violations told apart by fingerprint.
#![expect(clippy::disallowed_types, reason = "batches have time limits")]

mod guide;
mod ledger;
mod merge;
mod shard;
mod tally;

pub use merge::{MergeError, Merged, merge};
pub use shard::{Shard, seed_of_commit};
pub use tally::{Distinct, Summary};

use crate::doctor;
use crate::error::ScenarioError;
use crate::expectation::Judgement;
use crate::guarded::{self, Budget, Cut, Ending, Guarded};
use crate::planner;
use crate::runner::RunReport;
use crate::scenario::Scenario;
use crate::store::{Broken, Capsule, Store, StoredRun};
use guide::{Guide, Learned};
use ledger::{Entry, Ledger};
use serde::{Deserialize, Serialize};
use sim::coverage::Situation;
use sim::plan::Plan;
use sim::stack::Stack;
use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tally::{Claim, Tally};

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

/// A run that is to be made.
struct Task {
    /// Its number among the runs of this shard, and its place in the whole batch.
    job: u64,
    place: u64,
    run: Run,
    plan: Plan,
    /// The place of its target; none for a regression.
    target: Option<usize>,
}

/// What came of a run, and the situations in which it was.
struct Made {
    result: RunResult,
    situations: BTreeMap<Situation, u64>,
}

impl From<RunResult> for Made {
    fn from(result: RunResult) -> Self {
        Self { result, situations: BTreeMap::new() }
    }
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

/// Why a run is not kept.
enum Unkept {
    /// Run again, it had this digest instead.
    Otherwise(String),
    /// Something else, in words.
    Trouble(String),
}

/// A batch at work, shared by its threads.
struct Work<'a> {
    batch: &'a Batch,
    stack: &'a Arc<dyn Stack>,
    events: &'a dyn Events,
    /// The places of the runs that are done already, and what was learned of them.
    is_done: BTreeMap<u64, Learned>,
    /// The number of the next run, and what its plan may be made of.
    line: Mutex<(u64, Guide)>,
    /// A run has ended for which a plan may wait.
    moved: Condvar,
    /// Ended before all jobs were done.
    ended: AtomicBool,
    /// Runs without a result that is kept.
    lost: AtomicU64,
    state: Mutex<(Tally, Ledger)>,
}

impl Work<'_> {
    fn take_jobs(&self, begun: Instant, stop: &AtomicBool) {
        while let Some(task) = self.take(begun, stop) {
            let Task { job, place, run, plan, target } = task;
            let (mut learned, mut taught) = (Learned::new(), target);
            match self.run(&plan) {
                Ok(Made { result, situations }) => {
                    if let (true, Some(target)) = (self.batch.guide, target) {
                        learned = lock(&self.line).1.news(target, &situations);
                    }
                    self.ended(place, run, &plan, result, learned.clone());
                }
                Err(error) => {
                    taught = None;
                    self.lose(&run, &error);
                }
            }
            lock(&self.line).1.ended(job, taught, &plan, learned);
            self.moved.notify_all();
        }
    }

    /// The next run that is not done yet, once its plan can be made; none where there is no more, or no more time.
    fn take(&self, begun: Instant, stop: &AtomicBool) -> Option<Task> {
        let mut line = lock(&self.line);
        loop {
            let (next, guide) = &mut *line;
            let (place, job) = self.batch.job(*next)?;
            let done = self.is_done.get(&place);
            if done.is_some() && !self.batch.guide {
                *next += 1;
                continue;
            }
            let late = self.batch.time_limit.is_some_and(|limit| begun.elapsed() >= limit);
            if late || stop.load(Ordering::Relaxed) {
                self.ended.store(true, Ordering::Relaxed);
                return None;
            }
            if self.batch.guide && !guide.is_ready(*next) {
                line = self.moved.wait(line).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let task = self.task(*next, place, &job, guide);
            *next += 1;
            let Some(learned) = done else { return Some(task) };
            guide.ended(task.job, task.target, &task.plan, learned.clone());
        }
    }

    fn task(&self, job: u64, place: u64, what: &Job<'_>, guide: &Guide) -> Task {
        let (scenario, variant, target, plan, guided) = match what {
            Job::Regression(name, plan) => {
                ((*name).to_owned(), plan.variant.clone(), None, (*plan).clone(), false)
            }
            Job::Seed(index, seed) => {
                let (stack, overrides) = (self.stack.as_ref(), &self.batch.overrides);
                let target = &self.batch.targets[*index];
                let Target { scenario, variant } = target;
                let drawn = planner::plan(scenario, stack, variant.as_deref(), *seed, overrides);
                let drawn = drawn.expect("a plan of it was drawn before the batch began");
                let guided = self.batch.guide.then(|| guide.plan(*index, target, stack, &drawn, overrides));
                let guided = guided.flatten();
                let is_guided = guided.is_some();
                (scenario.name.clone(), variant.clone(), Some(*index), guided.unwrap_or(drawn), is_guided)
            }
        };
        let run = Run { scenario, variant, seed: plan.seed, guided };
        Task { job, place, run, plan, target }
    }

    fn lose(&self, run: &Run, error: &ScenarioError) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.events.event(&Event::Trouble { run, message: error.to_string() });
    }

    fn run(&self, plan: &Plan) -> Result<Made, ScenarioError> {
        let twice = self.batch.twice;
        let guarded = Guarded { budget: self.batch.budget, trace: twice, ..Guarded::default() };
        let first = match self.guarded(plan, &guarded)? {
            Ok(report) => report,
            Err(result) => return Ok(result.into()),
        };
        if twice {
            let second = match self.guarded(plan, &guarded)? {
                Ok(report) => report,
                Err(result) => return Ok(result.into()),
            };
            if second.digest != first.digest {
                let parting = doctor::parting(&first, &second);
                let names = ["the first run", "the second"];
                let parting = parting.map(|parting| doctor::lines(&parting, plan, names)).unwrap_or_default();
                let (first, second) = (first.digest, second.digest);
                return Ok(RunResult::NotDeterministic { first, second, parting }.into());
            }
        }
        let result = RunResult::Ended(Box::new(first.capsule()));
        Ok(Made { result, situations: first.coverage.situations })
    }

    /// The report of a run that ended by itself, or how else it ended.
    fn guarded(
        &self,
        plan: &Plan,
        how: &Guarded,
    ) -> Result<Result<Box<RunReport>, RunResult>, ScenarioError> {
        Ok(match guarded::run(plan, self.stack, how)? {
            Ending::Ended(report) => Ok(report),
            Ending::CutOff(cut) => Err(RunResult::CutOff(cut)),
            Ending::Bug(message) => Err(RunResult::Bug(message)),
        })
    }

    fn ended(&self, place: u64, run: Run, plan: &Plan, mut result: RunResult, learned: Learned) {
        let mut new = lock(&self.state).0.claim(place, &run, &result);
        let mut stored = None;
        if let (false, RunResult::Ended(capsule)) = (new.is_empty(), &result) {
            match self.keep(plan, &capsule.digest) {
                Ok(kept) => stored = kept,
                Err(Unkept::Otherwise(second)) => {
                    // The run that stands for these violations has to be another.
                    lock(&self.state).0.release(place, &run, std::mem::take(&mut new));
                    let (first, parting) = (capsule.digest.clone(), Vec::new());
                    result = RunResult::NotDeterministic { first, second, parting };
                }
                Err(Unkept::Trouble(message)) => self.events.event(&Event::Trouble { run: &run, message }),
            }
        }
        self.events.event(&Event::Ended { run: &run, result: &result });
        for Claim { broken, .. } in new.iter().filter(|claim| claim.news) {
            self.events.event(&Event::New { run: &run, broken, stored: stored.as_ref() });
        }
        let mut entry = Entry { place, run, result, stored, learned };
        let mut state = lock(&self.state);
        state.0.add(&entry);
        without_evidence(&mut entry.result, new.is_empty());
        if let Err(error) = state.1.add(&entry) {
            drop(state);
            self.lose(&entry.run, &error);
        }
    }

    /// Runs `plan`, which ended with `digest`, again to keep it: histories of runs that break nothing new are not worth
    /// their disk.
    fn keep(&self, plan: &Plan, digest: &str) -> Result<Option<StoredRun>, Unkept> {
        let Some(store) = &self.batch.store else { return Ok(None) };
        let budget = self.batch.budget;
        let guarded = Guarded { budget, store: Some(store.clone()), ..Guarded::default() };
        let trouble = |what: &dyn fmt::Display| Unkept::Trouble(format!("the run could not be kept: {what}"));
        match guarded::run(plan, self.stack, &guarded).map_err(|error| trouble(&error))? {
            Ending::Ended(report) if report.digest == digest => Ok(report.stored.clone()),
            Ending::Ended(report) => Err(Unkept::Otherwise(report.digest)),
            Ending::CutOff(cut) => Err(trouble(&cut)),
            Ending::Bug(message) => Err(trouble(&message)),
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves `result` as the ledger keeps it: the evidence of what was seen before is not worth its lines.
fn without_evidence(result: &mut RunResult, seen_before: bool) {
    if let (RunResult::Ended(capsule), true) = (result, seen_before) {
        capsule.violations.iter_mut().for_each(|broken| broken.evidence.clear());
    }
}

/// Whether any law of the run is judged so.
fn has(capsule: &Capsule, judgement: Judgement) -> bool {
    capsule.judgements.values().any(|one| *one == judgement)
}
