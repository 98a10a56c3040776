//! A run that cannot take the batch with it: watched from outside, cut off past its budget, its panics caught.
#![expect(clippy::disallowed_types, reason = "a watchdog lives in real time")]

use crate::error::ScenarioError;
use crate::runner::{self, Options, RunReport, Until};
use crate::store::Store;
use serde::{Deserialize, Serialize};
use sim::history::Observer;
use sim::plan::Plan;
use sim::stack::Stack;
use sim::world::{CutOff, FreshChance, Limits};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often the watchdog looks.
const LOOK: Duration = Duration::from_millis(50);
/// How long a run that was told to stop may take to do so before its thread is left behind.
const GRACE: Duration = Duration::from_secs(5);

/// What one run may cost.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Real time.
    pub wall: Duration,
    /// Polls of tasks: what a task that spins without time passing runs out of, on every machine alike.
    pub polls: u64,
    /// Memory of this whole process above what it had when the run began.
    pub memory_bytes: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { wall: Duration::from_secs(300), polls: 2_000_000_000, memory_bytes: 4 << 30 }
    }
}

/// How a guarded run ended.
pub enum Ending {
    /// By itself, or because its law was broken.
    Ended(Box<RunReport>),
    /// Past its budget.
    CutOff(Cut),
    /// By a panic of hogwash itself, or of a law.
    Bug(String),
}

/// What a run went past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// Its polls: a task spins.
    Polls,
    /// Its real time.
    Wall,
    /// Its memory.
    Memory,
    /// Its real time, and it did not even stop when it was told: a task loops without ever waiting. Its thread is left
    /// behind and takes a core until the program ends.
    Stuck,
}

impl fmt::Display for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Polls => "a task spins: the run went past its budget of polls",
            Self::Wall => "the run went past its budget of real time",
            Self::Memory => "the run went past its budget of memory",
            Self::Stuck => {
                "a task loops without ever waiting: the run could not be stopped, its thread is left behind"
            }
        })
    }
}

/// What a guarded run is besides its plan.
#[derive(Clone, Debug, Default)]
pub struct Guarded {
    /// What it may cost.
    pub budget: Budget,
    /// Where it is kept.
    pub store: Option<Store>,
    /// The law that ends the run once it is broken.
    pub until_broken: Option<String>,
    /// From when on chance is drawn anew.
    pub fresh_chance: Option<FreshChance>,
    /// Whether every draw of chance is kept.
    pub trace: bool,
}

/// Runs `plan` within a budget.
///
/// # Errors
/// As [`runner::run`].
pub fn run(plan: &Plan, stack: &Arc<dyn Stack>, guarded: &Guarded) -> Result<Ending, ScenarioError> {
    watched(plan, stack, guarded, Vec::new())
}

/// As [`run`], with `observers` that watch events as they happen.
///
/// # Errors
/// As [`runner::run`].
pub fn watched(
    plan: &Plan,
    stack: &Arc<dyn Stack>,
    guarded: &Guarded,
    observers: Vec<Box<dyn Observer>>,
) -> Result<Ending, ScenarioError> {
    let stop = Arc::new(AtomicBool::new(false));
    let limits = Limits {
        stop: Some(stop.clone()),
        polls: Some(guarded.budget.polls),
        fresh_chance: guarded.fresh_chance.into_iter().collect(),
        trace: guarded.trace,
    };
    let (sender, receiver) = mpsc::channel();
    let (plan, stack, owned) = (plan.clone(), stack.clone(), guarded.clone());
    let thread = std::thread::Builder::new().name(format!("guarded-{}", plan.seed)).spawn(move || {
        let options = Options {
            store: owned.store.as_ref(),
            observers,
            limits,
            until: owned.until_broken.as_deref().map_or(Until::Ended, Until::Broken),
        };
        // Nobody waits for a run that was left behind.
        let _ = sender.send(runner::run(&plan, &stack, options));
    });
    let thread = thread.expect("the machine has a thread to spare");
    let (begun, memory_bytes) = (Instant::now(), resident_bytes());
    let mut cut: Option<(Cut, Instant)> = None;
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(report) => return Ok(ending(report?, cut.map(|(cut, _)| cut))),
            Err(RecvTimeoutError::Disconnected) => {
                let payload = thread.join().expect_err("it ended without a report");
                return Ok(Ending::Bug(panic_text(payload.as_ref())));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let grown = resident_bytes().saturating_sub(memory_bytes) > guarded.budget.memory_bytes;
        match cut {
            Some((_, at)) if at.elapsed() > GRACE => return Ok(Ending::CutOff(Cut::Stuck)),
            None if grown || begun.elapsed() > guarded.budget.wall => {
                cut = Some((if grown { Cut::Memory } else { Cut::Wall }, Instant::now()));
                stop.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

fn ending(report: RunReport, cut: Option<Cut>) -> Ending {
    match (report.cut_off, cut) {
        (Some(CutOff::Polls), _) => Ending::CutOff(Cut::Polls),
        (Some(CutOff::Stopped), Some(cut)) => Ending::CutOff(cut),
        _ => Ending::Ended(Box::new(report)),
    }
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let owned = payload.downcast_ref::<String>().cloned();
    owned.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

/// The memory that this process holds; 0 where the system does not say.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statistics = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statistics.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}
