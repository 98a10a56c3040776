//! `hogwash fuzz`: scenarios times seeds, on all cores; violations told apart by their shape.

use crate::cli::FuzzArgs;
use crate::exit::Exit;
use crate::program::Program;
use anyhow::Result;
use scenarios::fuzz::{self, Batch, Event, Events, RunResult, Summary, Target};
use scenarios::guarded::Budget;
use scenarios::library;
use serde_json::json;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub(crate) fn fuzz(program: &Program, arguments: &FuzzArgs) -> Result<Exit> {
    let batch = batch(program, arguments)?;
    // Nothing interrupts a batch yet but its time limit; a killed one goes on where it was.
    let stop = AtomicBool::new(false);
    let summary = fuzz::fuzz(&batch, &program.stack, &Lines { program }, &stop)?;
    finish(program, &summary);
    Ok(exit(&summary))
}

fn batch(program: &Program, arguments: &FuzzArgs) -> Result<Batch> {
    let stack = program.stack.as_ref();
    let scenarios = if arguments.scenarios.is_empty() {
        library::all(stack)?
    } else {
        arguments.scenarios.iter().map(|name| library::find(name, stack)).collect::<Result<_, _>>()?
    };
    let target = |scenario| Target { scenario, variant: arguments.variant.clone() };
    let base = match &arguments.seed_from_commit {
        Some(hash) => fuzz::seed_of_commit(hash).map_err(anyhow::Error::msg)?,
        None => arguments.base,
    };
    Ok(Batch {
        targets: scenarios.into_iter().map(target).collect(),
        regressions: library::regressions(Path::new("scenarios/regressions"), stack)?,
        base,
        seeds: arguments.seeds,
        shard: arguments.shard,
        overrides: arguments.set.clone(),
        jobs: program.jobs(arguments.jobs),
        time_limit: arguments.time_limit.map(Duration::from_nanos),
        budget: Budget::default(),
        twice: arguments.check_determinism,
        store: Some(program.store()),
    })
}

/// Writes what happens, a line each.
struct Lines<'a> {
    program: &'a Program,
}

impl Events for Lines<'_> {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Begun { runs, done } if !self.program.json() && !self.program.common.quiet => {
                eprintln!("{runs} runs, {done} of them done before");
            }
            Event::Ended { run, result } if self.program.json() => {
                let mut line = json!({"v": 1, "type": "run-finished", "scenario": run.scenario, "variant": run.variant,
                    "seed": run.seed});
                if let RunResult::Ended(capsule) = result {
                    line["digest"] = json!(capsule.digest);
                    line["events"] = json!(capsule.events);
                    line["messages"] = json!(capsule.messages);
                    line["sim-ns"] = json!(capsule.sim_ns);
                    line["wall-ns"] = json!(capsule.wall_ns);
                    line["verdicts"] = json!(capsule.verdicts);
                    line["violations"] = json!(capsule.violations);
                } else {
                    line["failed"] = json!(result);
                }
                println!("{line}");
            }
            Event::New { run, broken, stored } if !self.program.json() => {
                let variant = run.variant.as_ref().map_or(String::new(), |variant| format!(" ({variant})"));
                println!(
                    "{}{variant}, seed {}: {}: {}",
                    run.scenario, run.seed, broken.invariant, broken.message
                );
                if let Some(stored) = stored {
                    let (call, place) = (self.program.call(), stored.folder.display());
                    println!("  Reproduce with: {call} replay {place}");
                    println!("  Make smaller: {call} shrink {place}");
                }
            }
            Event::Trouble { run, message } => eprintln!("{}, seed {}: {message}", run.scenario, run.seed),
            _ => {}
        }
    }
}

fn finish(program: &Program, summary: &Summary) {
    if program.json() {
        let distinct: Vec<_> = summary
            .distinct
            .iter()
            .map(|one| {
                json!({"invariant": one.broken.invariant, "fingerprint": one.broken.fingerprint, "message": one.broken.message,
                    "expected": one.expected, "runs": one.runs, "seed": one.first.seed, "scenario": one.first.scenario,
                    "plan": one.plan})
            })
            .collect();
        println!(
            "{}",
            json!({"v": 1, "type": "fuzz-finished", "runs": summary.runs, "held": summary.held,
                "violated": summary.violated, "expected": summary.expected, "cut-off": summary.cut_off,
                "bugs": summary.bugs, "not-deterministic": summary.not_deterministic, "distinct": distinct,
                "missing": summary.missing, "sim-ns": summary.sim_ns, "wall-ns": summary.wall_ns,
                "timed-out": summary.timed_out})
        );
        return;
    }
    println!(
        "{} runs: {} held, {} violated, {} violated as expected, {} cut off, {} distinct violations",
        summary.runs,
        summary.held,
        summary.violated,
        summary.expected,
        summary.cut_off,
        summary.distinct.len()
    );
    for (scenario, law) in &summary.missing {
        println!("  {scenario}: {law} was expected to be violated on some seed, and was on none");
    }
}

fn exit(summary: &Summary) -> Exit {
    if summary.not_deterministic > 0 {
        Exit::NotDeterministic
    } else if summary.violated > 0 || summary.cut_off > 0 || summary.bugs > 0 || !summary.missing.is_empty() {
        Exit::Violation
    } else if summary.runs == 0 {
        Exit::NothingRan
    } else {
        Exit::Success
    }
}
