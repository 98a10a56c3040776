//! `hogwash explain`: which faults a failure takes, which settings would have held it, until when it could be saved.

use crate::cli::ExplainArgs;
use crate::exit::Exit;
use crate::interrupt;
use crate::program::Program;
use crate::progress::Steps;
use anyhow::{Context, Result};
use invariants::Verdict;
use scenarios::explain::{self, ExplainOptions, Explanation};
use scenarios::replay;
use scenarios::runner::{self, Options};
use scenarios::shrink::{self, ShrinkOptions};
use scenarios::store::{Broken, StoredRun};
use serde_json::{Value, json};
use sim::plan::Plan;
use std::sync::atomic::AtomicBool;

pub(crate) fn explain(program: &Program, arguments: &ExplainArgs) -> Result<Exit> {
    let store = program.store();
    let path = arguments.run.to_str().context("the path is not UTF-8")?;
    let recorded = replay::find(path, &store, program.stack.as_ref())?;
    let options = ShrinkOptions { fingerprint: arguments.fingerprint.clone(), ..ShrinkOptions::default() };
    let (broken, verdict) = shrink::failure(&recorded.plan, &program.stack, &options)?;
    let stop = interrupt::flag("nothing is explained")?;
    let Some(explanation) = ask(program, &recorded.plan, &broken, verdict, arguments.jobs, &stop) else {
        return Ok(Exit::Interrupted);
    };
    let run = match recorded.run {
        Some((run, _)) => Some(run),
        None => {
            let options = Options { store: Some(&store), ..Options::default() };
            runner::run(&recorded.plan, &program.stack, options)?.stored
        }
    };
    if !program.json() {
        println!("{}: {}", broken.invariant, broken.message);
    }
    keep_and_show(program, &explanation, run.as_ref())?;
    if let (Some(run), false) = (run, program.json()) {
        println!("  kept in {}", run.folder.display());
    }
    Ok(Exit::Success)
}

/// Asks why `plan` fails; none where it was stopped.
pub(crate) fn ask(
    program: &Program,
    plan: &Plan,
    broken: &Broken,
    verdict: Verdict,
    jobs: Option<usize>,
    stop: &AtomicBool,
) -> Option<Explanation> {
    let options = ExplainOptions { jobs: program.jobs(jobs), ..ExplainOptions::default() };
    let steps = Steps::new(program.common.quiet);
    steps.step("asking why: without each fault, with each default, with other chance");
    let explanation = explain::explain(plan, broken, verdict, &program.stack, &options, stop);
    steps.clear();
    explanation
}

/// Keeps `explanation` beside its run, and writes it.
pub(crate) fn keep_and_show(
    program: &Program,
    explanation: &Explanation,
    run: Option<&StoredRun>,
) -> Result<()> {
    run.map(|run| run.keep_explanation(explanation)).transpose()?;
    if program.json() {
        println!("{}", line(explanation, run));
    } else {
        explanation.lines().iter().for_each(|line| println!("  {line}"));
    }
    Ok(())
}

/// `explanation` as a JSON line.
fn line(explanation: &Explanation, run: Option<&StoredRun>) -> Value {
    json!({"v": 1, "type": "explained", "invariant": explanation.invariant, "fingerprint": explanation.fingerprint,
        "faults": explanation.faults, "safeguards": explanation.safeguards, "no-return": explanation.no_return,
        "plan": run.map(|run| run.plan_path().display().to_string())})
}
