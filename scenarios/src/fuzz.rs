//! Many runs: scenarios × seeds over all cores, committed regressions first, violations told apart by fingerprint.
#![expect(clippy::disallowed_types, reason = "batches have time limits")]

mod ledger;
mod merge;
mod tally;

pub use merge::{MergeError, Merged, merge};
pub use tally::{Distinct, Summary};

use crate::doctor;
use crate::error::ScenarioError;
use crate::expectation::Judgement;
use crate::guarded::{self, Budget, Cut, Ending, Guarded};
use crate::planner;
use crate::scenario::Scenario;
use crate::store::{Broken, Capsule, Store, StoredRun};
use ledger::{Entry, Ledger};
use serde::{Deserialize, Serialize};
use sim::plan::Plan;
use sim::stack::Stack;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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

/// One part of a batch that several machines share: the `k`-th of `n`, counting from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    part: u64,
    of: u64,
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.part, self.of)
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self { part: 1, of: 1 }
    }
}

impl Shard {
    /// How many of a batch's runs it has.
    fn runs(self, of_all: u64) -> u64 {
        of_all / self.of + u64::from(of_all % self.of >= self.part)
    }

    /// The place in the whole batch of the shard's run number `job`.
    fn place(self, job: u64) -> u64 {
        job * self.of + self.part - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no shard: write `k/n`, such as `1/4`, with k from 1 to n");
        let (part, of) = text.split_once('/').ok_or_else(wrong)?;
        let shard = Self { part: part.parse().map_err(|_| wrong())?, of: of.parse().map_err(|_| wrong())? };
        (1..=shard.of).contains(&shard.part).then_some(shard).ok_or_else(wrong)
    }
}

/// The seed that a commit stands for: random to people, and the same for everybody.
///
/// # Errors
/// Where the text is not at least 16 hexadecimal digits.
pub fn seed_of_commit(hash: &str) -> Result<u64, String> {
    let digits = hash.get(..16).filter(|_| hash.chars().all(|digit| digit.is_ascii_hexdigit()));
    let seed = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    seed.ok_or_else(|| format!("`{hash}` is no commit: give at least 16 digits of its hash"))
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
    Seed(&'a Target, u64),
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
    let mut is_done = BTreeSet::new();
    for entry in done {
        if is_done.insert(entry.place) {
            tally.add(entry.place, &entry.run, &entry.result, entry.stored.as_ref());
        }
    }
    let done = u64::try_from(is_done.len()).unwrap_or(u64::MAX);
    events.event(&Event::Begun { runs: batch.runs(), done, distinct: tally.distinct() });
    let work = Work {
        batch,
        stack,
        events,
        is_done,
        next: AtomicU64::new(0),
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
        Job::Seed(&self.targets[target], self.base.wrapping_add(index / count(&self.targets)))
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
    is_done: BTreeSet<u64>,
    next: AtomicU64,
    /// Ended before all jobs were done.
    ended: AtomicBool,
    /// Runs without a result that is kept.
    lost: AtomicU64,
    state: Mutex<(Tally, Ledger)>,
}

impl Work<'_> {
    fn take_jobs(&self, begun: Instant, stop: &AtomicBool) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some((place, job)) = self.batch.job(index) else { return };
            if self.is_done.contains(&place) {
                continue;
            }
            let late = self.batch.time_limit.is_some_and(|limit| begun.elapsed() >= limit);
            if late || stop.load(Ordering::Relaxed) {
                self.ended.store(true, Ordering::Relaxed);
                return;
            }
            self.do_job(place, &job);
        }
    }

    fn do_job(&self, place: u64, job: &Job<'_>) {
        let (run, plan) = match job {
            Job::Regression(name, plan) => {
                let run =
                    Run { scenario: (*name).to_owned(), variant: plan.variant.clone(), seed: plan.seed };
                (run, (*plan).clone())
            }
            Job::Seed(target, seed) => {
                let scenario = target.scenario.name.clone();
                let run = Run { scenario, variant: target.variant.clone(), seed: *seed };
                let variant = target.variant.as_deref();
                let plan = planner::plan(
                    &target.scenario,
                    self.stack.as_ref(),
                    variant,
                    *seed,
                    &self.batch.overrides,
                );
                (run, plan.expect("a plan of it was drawn before the batch began"))
            }
        };
        match self.run(&plan) {
            Ok(result) => self.ended(place, run, &plan, result),
            Err(error) => self.lose(&run, &error),
        }
    }

    fn lose(&self, run: &Run, error: &ScenarioError) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.events.event(&Event::Trouble { run, message: error.to_string() });
    }

    fn run(&self, plan: &Plan) -> Result<RunResult, ScenarioError> {
        let twice = self.batch.twice;
        let guarded = Guarded { budget: self.batch.budget, trace: twice, ..Guarded::default() };
        let first = match guarded::run(plan, self.stack, &guarded)? {
            Ending::Ended(report) => report,
            Ending::CutOff(cut) => return Ok(RunResult::CutOff(cut)),
            Ending::Bug(message) => return Ok(RunResult::Bug(message)),
        };
        if !twice {
            return Ok(RunResult::Ended(Box::new(first.capsule())));
        }
        let second = match guarded::run(plan, self.stack, &guarded)? {
            Ending::Ended(report) => report,
            Ending::CutOff(cut) => return Ok(RunResult::CutOff(cut)),
            Ending::Bug(message) => return Ok(RunResult::Bug(message)),
        };
        if second.digest != first.digest {
            let parting = doctor::parting(&first, &second);
            let names = ["the first run", "the second"];
            let parting = parting.map(|parting| doctor::lines(&parting, plan, names)).unwrap_or_default();
            let (first, second) = (first.digest, second.digest);
            return Ok(RunResult::NotDeterministic { first, second, parting });
        }
        Ok(RunResult::Ended(Box::new(first.capsule())))
    }

    fn ended(&self, place: u64, run: Run, plan: &Plan, mut result: RunResult) {
        let mut new = self.lock().0.claim(place, &run, &result);
        let mut stored = None;
        if let (false, RunResult::Ended(capsule)) = (new.is_empty(), &result) {
            match self.keep(plan, &capsule.digest) {
                Ok(kept) => stored = kept,
                Err(Unkept::Otherwise(second)) => {
                    // The run that stands for these violations has to be another.
                    self.lock().0.release(place, &run, std::mem::take(&mut new));
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
        let mut state = self.lock();
        state.0.add(place, &run, &result, stored.as_ref());
        let entry = Entry { place, run, result: without_evidence(result, new.is_empty()), stored };
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

    fn lock(&self) -> std::sync::MutexGuard<'_, (Tally, Ledger)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `result` as the ledger keeps it: the evidence of what was seen before is not worth its lines.
fn without_evidence(mut result: RunResult, seen_before: bool) -> RunResult {
    if let (RunResult::Ended(capsule), true) = (&mut result, seen_before) {
        capsule.violations.iter_mut().for_each(|broken| broken.evidence.clear());
    }
    result
}

/// Whether any law of the run is judged so.
fn has(capsule: &Capsule, judgement: Judgement) -> bool {
    capsule.judgements.values().any(|one| *one == judgement)
}
