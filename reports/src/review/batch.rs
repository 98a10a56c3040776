//! The runs of a review: each plan once, over all cores, kept as they end, so that an interrupted review goes on where it was.

use super::file::Run;
use super::outcome::{Outcome, OutcomeObserver};
use anyhow::{Context, Result, bail};
use scenarios::guarded::{self, Budget, Cut, Ending, Guarded};
use scenarios::store::{plan_digest, program_digest};
use serde::{Deserialize, Serialize};
use sim::plan::Plan;
use sim::stack::Stack;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The version of ledgers.
const LEDGER_VERSION: u32 = 2;

/// What came of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Ran {
    /// The run ended by itself.
    Ended(Box<Outcome>),
    /// It went past its budget: there is no outcome, and that may well be the stack's fault.
    CutOff(Cut),
    /// A bug of hogwash.
    Bug(String),
}

impl Ran {
    /// The outcome, where there is one.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Ended(outcome) => Some(outcome),
            Self::CutOff(_) | Self::Bug(_) => None,
        }
    }

    /// Why there is none.
    pub fn why_none(&self) -> Option<String> {
        match self {
            Self::Ended(_) => None,
            Self::CutOff(cut) => Some(cut.to_string()),
            Self::Bug(message) => Some(format!("a bug of hogwash: {message}")),
        }
    }
}

/// All runs that are done, by their plans' digests.
#[derive(Debug, Default)]
pub struct Runs(BTreeMap<String, Ran>);

impl Runs {
    /// Whether hogwash itself broke down in any of them.
    pub fn any_bug(&self) -> bool {
        self.0.values().any(|ran| matches!(ran, Ran::Bug(_)))
    }

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
    /// What one run may cost.
    pub budget: Budget,
    /// Runs at once.
    pub jobs: usize,
    /// The file that keeps what is done; nothing is kept where there is none.
    pub ledger: Option<&'a Path>,
    /// Ends the batch after the runs under way.
    pub stop: &'a AtomicBool,
}

/// The first line of a ledger: another build's runs are not ours.
#[derive(PartialEq, Serialize, Deserialize)]
struct Header {
    v: u32,
    program: String,
}

/// Every other line: a run that ended. One that did not is tried again by the next review.
#[derive(Serialize, Deserialize)]
struct Line {
    /// How the outcome was measured.
    measured: String,
    plan: String,
    outcome: Outcome,
}

/// Runs that are done, and where they are kept.
struct Kept {
    done: BTreeMap<String, Ran>,
    ledger: Option<File>,
    written: std::io::Result<()>,
}

impl Kept {
    fn add(&mut self, measured: &str, plan: &str, ran: Ran) {
        if let (Ran::Ended(outcome), Some(file), Ok(())) = (&ran, &mut self.ledger, &self.written) {
            let (measured, plan) = (measured.to_owned(), plan.to_owned());
            let line = Line { measured, plan, outcome: (**outcome).clone() };
            self.written = file.write_all(json_line(&line).as_bytes());
        }
        self.done.insert(plan.to_owned(), ran);
    }
}

fn json_line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("outcomes can be written as JSON") + "\n"
}

impl Batch<'_> {
    /// Runs all `plans` that are not done yet; equal ones once.
    ///
    /// # Errors
    /// Where the ledger cannot be read or written, or another review is at work on it. One bad run never ends a batch.
    pub fn run(&self, plans: &[&Plan], watcher: &dyn Watcher) -> Result<Runs> {
        let wanted: BTreeMap<String, &Plan> = plans.iter().map(|plan| (plan_digest(plan), *plan)).collect();
        let measured = format!("{:?}", self.run);
        let (ledger, mut done) = self.open(&measured)?;
        done.retain(|digest, _| wanted.contains_key(digest));
        let left: Vec<(&String, &Plan)> = wanted
            .iter()
            .filter(|(digest, _)| !done.contains_key(*digest))
            .map(|(digest, plan)| (digest, *plan))
            .collect();
        watcher.begin(wanted.len() as u64, done.len() as u64);
        let next = AtomicUsize::new(0);
        let kept = Mutex::new(Kept { done, ledger, written: Ok(()) });
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| {
                    while !self.stop.load(Ordering::Relaxed) {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        let Some((digest, plan)) = left.get(place) else { return };
                        let ran = self.one(plan);
                        kept.lock().unwrap_or_else(PoisonError::into_inner).add(&measured, digest, ran);
                        watcher.ended();
                    }
                });
            }
        });
        let kept = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        kept.written.context("cannot keep the review's runs")?;
        Ok(Runs(kept.done))
    }

    /// The ledger, held until it is dropped, and the runs in it that were measured as ours are.
    fn open(&self, measured: &str) -> Result<(Option<File>, BTreeMap<String, Ran>)> {
        let Some(path) = self.ledger else { return Ok((None, BTreeMap::new())) };
        let cannot = || format!("cannot keep the review's runs in `{}`", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(cannot)?;
        }
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(path).with_context(cannot)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            bail!(
                "another hogwash reviews with `{}`: wait until it is done, or give this one another `--store`",
                path.display()
            );
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(cannot)?;
        // What a killed program left unfinished must not swallow the next line.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let mut lines = text.lines();
        let header = Header { v: LEDGER_VERSION, program: program_digest() };
        let first = lines.next().and_then(|line| serde_json::from_str::<Header>(line).ok());
        if first.as_ref() != Some(&header) {
            file.set_len(0).with_context(cannot)?;
            file.write_all(json_line(&header).as_bytes()).with_context(cannot)?;
            return Ok((Some(file), BTreeMap::new()));
        }
        file.set_len(whole as u64).with_context(cannot)?;
        let lines = lines.filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let ours = lines.filter(|line| line.measured == measured);
        let done = ours.map(|line| (line.plan, Ran::Ended(Box::new(line.outcome)))).collect();
        Ok((Some(file), done))
    }

    fn one(&self, plan: &Plan) -> Ran {
        let (observer, outcome) = OutcomeObserver::new(plan, self.run);
        let guarded = Guarded { budget: self.budget, ..Guarded::default() };
        match guarded::watched(plan, self.stack, &guarded, vec![Box::new(observer)]) {
            Ok(Ending::Ended(_)) => {
                Ran::Ended(Box::new(outcome.lock().unwrap_or_else(PoisonError::into_inner).clone()))
            }
            Ok(Ending::CutOff(cut)) => Ran::CutOff(cut),
            Ok(Ending::Bug(message)) => Ran::Bug(message),
            Err(error) => Ran::Bug(error.to_string()),
        }
    }
}
