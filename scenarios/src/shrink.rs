//! From a failing plan to the smallest that still fails in the same way.
//!
//! Delta debugging (after Zeller and Hildebrandt 2002) over each list of a plan, and halving of each amount, round after round
//! until nothing gets smaller. Chance comes in named streams, so what stays in a plan draws as it did before.

mod passes;
mod tester;

pub(crate) use passes::one_target_each;
pub(crate) use tester::Answer;

use tester::Tester;

use crate::error::ScenarioError;
use crate::expectation::Expectation;
use crate::guarded::Budget;
use crate::runner::{self, Options, RunReport};
use crate::store::{Broken, Store, plain, write_file};
use crate::{describe, plan_file};
use invariants::Verdict;
use serde::Serialize;
use sim::plan::Plan;
use sim::stack::Stack;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use thiserror::Error;

/// How a plan is shrunk.
#[derive(Clone, Debug)]
pub struct ShrinkOptions {
    /// The fingerprint of the violation to keep; the first of the run where there is none.
    pub fingerprint: Option<String>,
    /// How many runs at once.
    pub jobs: usize,
    /// The most runs in all.
    pub runs_max: u32,
    /// No run begins after this.
    pub time_limit: Option<Duration>,
    /// What each run may cost.
    pub budget: Budget,
    /// Where the smallest run is kept.
    pub store: Option<Store>,
}

impl Default for ShrinkOptions {
    fn default() -> Self {
        Self {
            fingerprint: None,
            jobs: 1,
            runs_max: 200,
            time_limit: None,
            budget: Budget::default(),
            store: None,
        }
    }
}

/// How large a plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Size {
    /// Its faults.
    pub faults: usize,
    /// The requests that clients make.
    pub operations: usize,
    /// Its clients.
    pub clients: u32,
    /// Its nodes.
    pub nodes: usize,
    /// How long load and faults last.
    pub duration_ns: u64,
}

impl Size {
    /// Of `plan`.
    pub fn of(plan: &Plan) -> Self {
        Self {
            faults: plan.faults.len(),
            operations: passes::operations(plan).len(),
            clients: plan.workload.clients,
            nodes: plan.nodes.len(),
            duration_ns: plan.duration_ns,
        }
    }
}

/// Something that happened while a plan was shrunk.
pub enum Event<'a> {
    /// The plan fails like this.
    Begun {
        /// The violation that is kept.
        broken: &'a Broken,
        /// The plan's size.
        size: Size,
    },
    /// Something was found not to be needed.
    Smaller {
        /// What.
        what: &'a str,
        /// The plan's size now.
        size: Size,
        /// Runs so far.
        runs: u32,
    },
}

/// The smallest plan that was found.
#[derive(Clone)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// How it fails.
    pub broken: Broken,
    /// Whether that is a bug, or past what the design promises.
    pub verdict: Verdict,
    /// Its run.
    pub report: RunReport,
    /// The size of the plan that was given.
    pub before: Size,
    /// The size of this one.
    pub after: Size,
    /// How many runs it took.
    pub runs: u32,
    /// Whether nothing could be made smaller; otherwise runs or time ran out.
    pub complete: bool,
}

/// Why a plan cannot be shrunk or explained.
#[derive(Debug, Error)]
pub enum ShrinkError {
    /// Nothing is broken.
    #[error("no law is broken in this run: there is nothing to shrink or to explain")]
    Held,
    /// The violation that was asked for is not there.
    #[error("this run does not break `{asked}`; it breaks {there}")]
    Other {
        /// What was asked for.
        asked: String,
        /// What there is.
        there: String,
    },
    /// The run went past its budget.
    #[error("the run cannot be shrunk or explained: {0}")]
    CutOff(String),
    /// The plan cannot be run.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
}

/// Shrinks `plan`; `stop` ends it early, with what was found.
///
/// # Errors
/// Where the plan does not fail, or not in the way asked for.
pub fn shrink(
    plan: &Plan,
    stack: &Arc<dyn Stack>,
    options: &ShrinkOptions,
    events: &dyn Fn(&Event<'_>),
    stop: &AtomicBool,
) -> Result<Shrunk, ShrinkError> {
    let (broken, verdict) = failure(plan, stack, options)?;
    let before = Size::of(plan);
    events(&Event::Begun { broken: &broken, size: before });
    let mut tester = Tester::new(stack, options, Answer::to(&broken, verdict), stop);
    let mut smallest = plan.clone();
    loop {
        let round = passes::round(&smallest, &broken, stack.as_ref(), &mut tester, events);
        if round == smallest || tester.is_spent() {
            smallest = round;
            break;
        }
        smallest = round;
    }
    only_expect(&mut smallest, &broken.invariant);
    let (complete, runs) = (!tester.is_spent(), tester.runs());
    let report =
        runner::run(&smallest, stack, Options { store: options.store.as_ref(), ..Options::default() })?;
    let found = report.broken().into_iter().find(|one| one.fingerprint == broken.fingerprint);
    let after = Size::of(&smallest);
    Ok(Shrunk {
        plan: smallest,
        broken: found.unwrap_or(broken),
        verdict,
        report,
        before,
        after,
        runs,
        complete,
    })
}

/// What is left of a plan that had to break several laws breaks the one that was kept; the others may hold now.
fn only_expect(plan: &mut Plan, law: &str) {
    for (_, expected) in plan.expect.iter_mut().filter(|(name, _)| *name != law) {
        *expected = Expectation::of_plan(Some(expected)).relaxed().to_string();
    }
}

/// The violation of `plan` that is asked for, the first where none is, and the verdict that it comes with.
///
/// # Errors
/// As [`shrink`].
///
/// # Panics
/// Where hogwash itself has a bug.
pub fn failure(
    plan: &Plan,
    stack: &Arc<dyn Stack>,
    options: &ShrinkOptions,
) -> Result<(Broken, Verdict), ShrinkError> {
    use crate::guarded::{self, Ending, Guarded};
    let guarded = Guarded { budget: options.budget, ..Guarded::default() };
    let report = match guarded::run(plan, stack, &guarded)? {
        Ending::Ended(report) => report,
        Ending::CutOff(cut) => return Err(ShrinkError::CutOff(cut.to_string())),
        Ending::Bug(message) => return Err(ShrinkError::CutOff(format!("hogwash has a bug: {message}"))),
    };
    let mut broken = report.broken();
    if broken.is_empty() {
        return Err(ShrinkError::Held);
    }
    if let Some(asked) = &options.fingerprint {
        let there: Vec<String> = broken.iter().map(|one| format!("`{}`", one.fingerprint)).collect();
        broken.retain(|one| one.fingerprint == *asked);
        if broken.is_empty() {
            return Err(ShrinkError::Other { asked: asked.clone(), there: there.join(", ") });
        }
    }
    let broken = broken.swap_remove(0);
    let law = report.laws.iter().find(|law| law.law.name == broken.invariant);
    let verdict = law.expect("its law said so").finding.verdict;
    Ok((broken, verdict))
}

/// Writes the plan to `folder`, named after its scenario and violation, with what it shows on top: a regression to commit.
///
/// # Errors
/// Where it cannot be written.
pub fn save(shrunk: &Shrunk, folder: &Path) -> Result<PathBuf, ScenarioError> {
    std::fs::create_dir_all(folder).map_err(|error| crate::store::cannot("write", folder, &error))?;
    let name = format!("{}-{}.toml", plain(&shrunk.plan.scenario), shrunk.broken.fingerprint);
    let path = folder.join(name);
    let mut text = String::new();
    let _ = writeln!(text, "# {}: {}", shrunk.broken.invariant, one_line(&shrunk.broken.message));
    for fault in describe::faults(&shrunk.plan) {
        let _ = writeln!(text, "#   {fault}");
    }
    text.push_str(&plan_file::write(&shrunk.plan));
    write_file(&path, text.as_bytes())?;
    Ok(path)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
