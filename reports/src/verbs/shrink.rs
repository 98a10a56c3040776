//! `hogwash shrink`: a smaller plan with the same violation.

use super::explain;
use crate::cli::ShrinkArgs;
use crate::exit::Exit;
use crate::interrupt;
use crate::program::Program;
use crate::progress::Steps;
use crate::terminal::counted;
use anyhow::{Context, Result};
use scenarios::shrink::{self, Event, ShrinkOptions, Shrunk, Size};
use scenarios::{describe, replay};
use serde_json::json;
use std::path::Path;
use std::sync::atomic::Ordering;

pub(crate) fn shrink(program: &Program, arguments: &ShrinkArgs) -> Result<Exit> {
    let store = program.store();
    let path = arguments.run.to_str().context("the path is not UTF-8")?;
    let recorded = replay::find(path, &store, program.stack.as_ref())?;
    let options = ShrinkOptions {
        fingerprint: arguments.fingerprint.clone(),
        jobs: program.jobs(arguments.jobs),
        store: Some(store),
        ..ShrinkOptions::default()
    };
    let stop = interrupt::flag("the smallest plan so far is kept")?;
    let steps = Steps::new(program.common.quiet);
    let told = |event: &Event<'_>| match event {
        Event::Begun { size: left, .. } => steps.step(&format!("shrinking {}", size(left))),
        Event::Smaller { size: left, runs, .. } => {
            steps.step(&format!("{} left after {}", size(left), counted(*runs, "run")));
        }
    };
    let shrunk = shrink::shrink(&recorded.plan, &program.stack, &options, &told, &stop);
    steps.clear();
    let shrunk = shrunk?;
    let saved =
        arguments.save.then(|| shrink::save(&shrunk, Path::new("scenarios/regressions"))).transpose()?;
    if !program.json() {
        show(&shrunk);
    }
    let ask = || explain::ask(program, &shrunk.plan, &shrunk.broken, shrunk.verdict, arguments.jobs, &stop);
    let explanation = (!arguments.no_explain).then(ask).flatten();
    if let Some(explanation) = &explanation {
        explain::keep_and_show(program, explanation, shrunk.report.stored.as_ref())?;
    } else if !program.json() {
        describe::faults(&shrunk.plan).iter().for_each(|fault| println!("  fault: {fault}"));
    }
    let interrupted = stop.load(Ordering::Relaxed);
    end(program, &shrunk, saved.as_deref(), interrupted);
    Ok(if interrupted { Exit::Interrupted } else { Exit::Success })
}

/// What is left of the plan, but for its faults.
fn show(shrunk: &Shrunk) {
    println!("{}: {}", shrunk.broken.invariant, shrunk.broken.message);
    println!("  from {}", size(&shrunk.before));
    println!("  to   {}, in {}", size(&shrunk.after), counted(shrunk.runs, "run"));
}

/// Where it is, and how to see it again.
fn end(program: &Program, shrunk: &Shrunk, saved: Option<&Path>, interrupted: bool) {
    let kept = shrunk.report.stored.as_ref();
    if program.json() {
        let plan = kept.map(|kept| kept.plan_path().display().to_string());
        println!(
            "{}",
            json!({"v": 1, "type": "shrink-finished", "runs": shrunk.runs, "complete": shrunk.complete,
                "before": shrunk.before, "after": shrunk.after, "invariant": shrunk.broken.invariant,
                "fingerprint": shrunk.broken.fingerprint, "plan": plan, "saved": saved, "interrupted": interrupted})
        );
        return;
    }
    if !shrunk.complete {
        println!("  more might go: shrink this one again");
    }
    if let Some(saved) = saved {
        println!("  saved as {}", saved.display());
    }
    if let Some(kept) = kept {
        println!("Reproduce with: {} replay {}", program.call(), kept.folder.display());
    }
}

fn size(size: &Size) -> String {
    let (faults, operations) = (counted(size.faults, "fault"), counted(size.operations, "request"));
    format!("{faults}, {operations}, {}", counted(size.nodes, "node"))
}
