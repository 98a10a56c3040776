//! `hogwash fuzz`: scenarios times seeds, on all cores; violations told apart by their shape.

use crate::cli::FuzzArgs;
use crate::exercised;
use crate::exit::Exit;
use crate::interrupt;
use crate::program::Program;
use crate::progress::Progress;
use crate::remote;
use crate::terminal::counted;
use anyhow::Result;
use scenarios::fuzz::{self, Batch, Event, Events, Run, RunResult, Summary, Target};
use scenarios::guarded::Budget;
use scenarios::library;
use scenarios::store::Broken;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

pub(crate) fn fuzz(program: &Program, arguments: &FuzzArgs) -> Result<Exit> {
    let batch = batch(program, arguments)?;
    if let Some(url) = &arguments.publish {
        remote::fetch(url, &program.common.store)?;
    }
    let stop = interrupt::flag("the runs under way are finished")?;
    let lines = Lines { program, progress: Progress::new(program.common.quiet) };
    let summary = fuzz::fuzz(&batch, &program.stack, &lines, &stop);
    lines.progress.finish();
    let summary = summary?;
    finish(program, &summary);
    if let Some(url) = &arguments.publish {
        let files = remote::publish(&program.common.store, url)?;
        eprintln!("{} of this store are in {url} now", counted(files, "file"));
    }
    if summary.interrupted && !program.json() {
        let left = batch.runs() - summary.runs;
        println!("interrupted: {} left; the same command goes on where this one was", counted(left, "run"));
    }
    Ok(exit(program, &summary, arguments.require_coverage))
}

fn batch(program: &Program, arguments: &FuzzArgs) -> Result<Batch> {
    let stack = program.stack.as_ref();
    let scenarios = if arguments.scenarios.is_empty() {
        library::of_batches(stack)?
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
        guide: arguments.guide,
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
    progress: Progress,
}

impl Events for Lines<'_> {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Begun { runs, done, distinct } => self.progress.begin(*runs, *done, Some(*distinct)),
            Event::Ended { run, result } => {
                self.progress.ended();
                if self.program.json() {
                    let line = ended(run, result);
                    self.progress.beside(|| println!("{line}"));
                }
            }
            Event::New { run, broken, stored } => {
                self.progress.distinct();
                if !self.program.json() {
                    let folder = stored.map(|stored| stored.folder.as_path());
                    self.progress.beside(|| violation(self.program, run, broken, folder));
                }
            }
            Event::Trouble { run, message } => {
                self.progress.beside(|| eprintln!("{}, seed {}: {message}", run.scenario, run.seed));
            }
        }
    }
}

/// The line of a run, of the same type as that of `run`.
fn ended(run: &Run, result: &RunResult) -> Value {
    let mut line = json!({"v": 1, "type": "run-finished", "scenario": run.scenario, "variant": run.variant,
        "seed": run.seed});
    if run.guided {
        line["guided"] = json!(true);
    }
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
    line
}

/// A violation, with the lines to paste where its run is kept.
fn violation(program: &Program, run: &Run, broken: &Broken, folder: Option<&Path>) {
    let variant = run.variant.as_ref().map_or(String::new(), |variant| format!(" ({variant})"));
    let guided = if run.guided { ", guided" } else { "" };
    println!(
        "{}{variant}, seed {}{guided}: {}: {}",
        run.scenario, run.seed, broken.invariant, broken.message
    );
    if let Some(folder) = folder {
        let (call, place) = (program.call(), folder.display());
        println!("  Reproduce with: {call} replay {place}");
        println!("  Make smaller: {call} shrink {place}");
    }
}

/// Each violation once.
pub(super) fn show_distinct(program: &Program, summary: &Summary) {
    for one in &summary.distinct {
        let folder = one.plan.as_deref().and_then(|plan| Path::new(plan).parent());
        violation(program, &one.first, &one.broken, folder);
    }
}

pub(super) fn finish(program: &Program, summary: &Summary) {
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
                "missing": summary.missing, "marks": summary.marks,
                "never-reached": never_reached(program, summary), "faults": exercised::hits(summary),
                "never-fired": exercised::never_fired(program, summary), "sim-ns": summary.sim_ns, "wall-ns": summary.wall_ns,
                "guided": summary.guided, "situations": summary.situations, "timed-out": summary.timed_out, "lost": summary.lost,
                "interrupted": summary.interrupted})
        );
        return;
    }
    println!(
        "{}: {} held, {} violated, {} violated as expected, {} cut off, {}",
        counted(summary.runs, "run"),
        summary.held,
        summary.violated,
        summary.expected,
        summary.cut_off,
        counted(summary.distinct.len(), "distinct violation")
    );
    for (run, trouble) in &summary.troubles {
        println!("  {}, seed {}: {trouble}", run.scenario, run.seed);
    }
    for (scenario, law) in &summary.missing {
        println!("  {scenario}: {law} was expected to be violated on some seed, and was on none");
    }
    if summary.guided > 0 {
        let made = counted(summary.guided, "run");
        println!("  {made} made of earlier ones; {} reached", counted(summary.situations, "situation"));
    }
    show_marks(program, summary);
    exercised::show(program, summary);
}

/// The marks of the stack that no run reached, in the order in which it lists them.
fn never_reached(program: &Program, summary: &Summary) -> Vec<&'static str> {
    let marks = program.stack.marks().iter().copied();
    marks.filter(|mark| !summary.marks.contains_key(*mark)).collect()
}

fn show_marks(program: &Program, summary: &Summary) {
    let listed = program.stack.marks().len();
    if listed == 0 && summary.marks.is_empty() {
        return;
    }
    let never = never_reached(program, summary);
    println!("  {} of {} reached", listed - never.len(), counted(listed, "mark"));
    for mark in never {
        println!("    never: {mark}");
    }
    for mark in summary.marks.keys().filter(|mark| !program.stack.marks().contains(&mark.as_str())) {
        println!("    reached, and not among the marks that the stack lists: {mark}");
    }
}

/// How a batch ends; with a mark that no run reached as with a violation, where `all_marks` are required.
pub(super) fn exit(program: &Program, summary: &Summary, all_marks: bool) -> Exit {
    let blind = all_marks && !never_reached(program, summary).is_empty();
    if summary.interrupted {
        Exit::Interrupted
    } else if summary.not_deterministic > 0 {
        Exit::NotDeterministic
    } else if summary.bugs > 0 {
        Exit::Bug
    } else if summary.violated > 0 || summary.cut_off > 0 || !summary.missing.is_empty() || blind {
        Exit::Violation
    } else if summary.lost > 0 {
        Exit::Usage
    } else if summary.runs == 0 {
        Exit::NothingRan
    } else {
        Exit::Success
    }
}
