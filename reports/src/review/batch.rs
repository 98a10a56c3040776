//! The runs of a review: each plan once, over all cores, kept as they end, so that an interrupted review goes on where it was.

use super::file::Run;
use super::outcome::{Outcome, OutcomeObserver};
use anyhow::{Context, Result};
use scenarios::guarded::Budget;
use scenarios::runner::{self, Options};
use scenarios::store::{plan_digest, program_digest};
use serde::{Deserialize, Serialize};
use sim::plan::Plan;
use sim::stack::Stack;
use sim::world::{CutOff, Limits};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What came of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ran {
    /// The run ended by itself.
    Ended(Box<Outcome>),
    /// It did not: a task that spins, or a bug of hogwash.
    Failed(String),
}

/// All runs that are done, by their plans' digests.
#[derive(Debug, Default)]
pub struct Runs(BTreeMap<String, Ran>);

impl Runs {
    /// What came of `plan`; none where it was not run, since the review was interrupted.
    pub fn of(&self, plan: &Plan) -> Option<&Ran> {
        self.0.get(&plan_digest(plan))
    }
}

/// Who is told how far it is, from all threads.
pub trait Watcher: Sync {
    /// So many runs, of which so many are done already.
    fn begin(&self, runs: u64, done: u64);
    /// One more is done.
    fn ended(&self);
}

/// What a batch is besides its plans.
pub struct Batch<'a> {
    /// The stack.
    pub stack: &'a Arc<dyn Stack>,
    /// How outcomes are measured.
    pub run: &'a Run,
    /// Runs at once.
    pub jobs: usize,
    /// The file that keeps what is done; nothing is kept where there is none.
    pub ledger: Option<&'a Path>,
    /// Ends the batch after the runs under way.
    pub stop: &'a AtomicBool,
}

/// One line of the ledger.
#[derive(Serialize, Deserialize)]
struct Line {
    /// What made the run: another build's runs are not ours.
    program: String,
    /// How the outcome was measured.
    measured: String,
    plan: String,
    ran: Ran,
}

impl Batch<'_> {
    /// Runs all `plans` that are not done yet; equal ones once.
    ///
    /// # Errors
    /// Where the ledger cannot be read or written. One bad run never ends a batch.
    pub fn run(&self, plans: &[&Plan], watcher: &dyn Watcher) -> Result<Runs> {
        let wanted: BTreeMap<String, &Plan> = plans.iter().map(|plan| (plan_digest(plan), *plan)).collect();
        let (program, measured) = (program_digest(), format!("{:?}", self.run));
        let (ledger, mut done) = self.open(&program, &measured)?;
        done.retain(|digest, _| wanted.contains_key(digest));
        let left: Vec<(&String, &Plan)> = wanted
            .iter()
            .filter(|(digest, _)| !done.contains_key(*digest))
            .map(|(digest, plan)| (digest, *plan))
            .collect();
        watcher.begin(wanted.len() as u64, done.len() as u64);
        let next = AtomicUsize::new(0);
        let state = Mutex::new((done, ledger, Ok(())));
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| {
                    while !self.stop.load(Ordering::Relaxed) {
                        let Some((digest, plan)) = left.get(next.fetch_add(1, Ordering::Relaxed)) else {
                            return;
                        };
                        let ran = self.one(plan);
                        let line = Line {
                            program: program.clone(),
                            measured: measured.clone(),
                            plan: (*digest).clone(),
                            ran: ran.clone(),
                        };
                        let mut locked = state.lock().unwrap_or_else(PoisonError::into_inner);
                        let (done, ledger, written) = &mut *locked;
                        done.insert((*digest).clone(), ran);
                        if let (Some(file), Ok(())) = (ledger, &written) {
                            let text = serde_json::to_string(&line).expect("outcomes can be written as JSON");
                            *written = file.write_all(format!("{text}\n").as_bytes());
                        }
                        drop(locked);
                        watcher.ended();
                    }
                });
            }
        });
        let (done, _, written) = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        written.context("cannot keep the review's runs")?;
        Ok(Runs(done))
    }

    fn open(&self, program: &str, measured: &str) -> Result<(Option<File>, BTreeMap<String, Ran>)> {
        let Some(path) = self.ledger else { return Ok((None, BTreeMap::new())) };
        let cannot = || format!("cannot keep the review's runs in `{}`", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(cannot)?;
        }
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(path).with_context(cannot)?;
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(cannot)?;
        if !text.is_empty() && !text.ends_with('\n') {
            // A line that a killed program left unfinished must not swallow the next.
            file.write_all(b"\n").with_context(cannot)?;
        }
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let ours = lines.filter(|line| line.program == program && line.measured == measured);
        Ok((Some(file), ours.map(|line| (line.plan, line.ran)).collect()))
    }

    fn one(&self, plan: &Plan) -> Ran {
        let (observer, outcome) = OutcomeObserver::new(plan, self.run);
        let limits = Limits { polls: Some(Budget::default().polls), ..Limits::default() };
        let options = Options { observers: vec![Box::new(observer)], limits, ..Options::default() };
        let run = std::panic::AssertUnwindSafe(|| runner::run(plan, self.stack, options));
        match std::panic::catch_unwind(run) {
            Ok(Ok(report)) if report.cut_off == Some(CutOff::Polls) => {
                Ran::Failed("a task spins: the run went past its budget of polls".to_owned())
            }
            Ok(Ok(_)) => Ran::Ended(Box::new(outcome.lock().unwrap_or_else(PoisonError::into_inner).clone())),
            Ok(Err(error)) => Ran::Failed(error.to_string()),
            Err(_) => Ran::Failed("a bug of hogwash: the run panicked".to_owned()),
        }
    }
}
