//! A batch at work: its threads take one run after the other, and tell what came of each.
#![expect(clippy::disallowed_types, reason = "batches have time limits")]

use super::guide::{Guide, Learned};
use super::ledger::{Entry, Ledger};
use super::tally::{Claim, Tally};
use super::{Batch, Event, Events, Job, Run, RunResult, Target};
use crate::doctor;
use crate::error::ScenarioError;
use crate::guarded::{self, Ending, Guarded};
use crate::planner;
use crate::runner::RunReport;
use crate::store::StoredRun;
use sim::coverage::Situation;
use sim::plan::Plan;
use sim::stack::Stack;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A batch at work, shared by its threads.
pub(super) struct Work<'a> {
    pub(super) batch: &'a Batch,
    pub(super) stack: &'a Arc<dyn Stack>,
    pub(super) events: &'a dyn Events,
    /// The places of the runs that are done already, and what was learned of them.
    pub(super) is_done: BTreeMap<u64, Learned>,
    /// The number of the next run, and what its plan may be made of.
    pub(super) line: Mutex<(u64, Guide)>,
    /// A run has ended for which a plan may wait.
    pub(super) moved: Condvar,
    /// Ended before all jobs were done.
    pub(super) ended: AtomicBool,
    /// Runs without a result that is kept.
    pub(super) lost: AtomicU64,
    pub(super) state: Mutex<(Tally, Ledger)>,
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

/// Why a run is not kept.
enum Unkept {
    /// Run again, it had this digest instead.
    Otherwise(String),
    /// Something else, in words.
    Trouble(String),
}

impl Work<'_> {
    /// Makes runs until there are no more, or no more time.
    pub(super) fn take_jobs(&self, begun: Instant, stop: &AtomicBool) {
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
