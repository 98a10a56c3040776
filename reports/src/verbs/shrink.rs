//! `hogwash shrink`: a smaller plan with the same violation.

use super::explain;
use crate::cli::ShrinkArgs;
use crate::exit::Exit;
use crate::program::Program;
use crate::terminal::counted;
use anyhow::{Context, Result};
use scenarios::shrink::{self, ShrinkOptions, Shrunk, Size};
use scenarios::{describe, replay};
use serde_json::json;
use std::path::Path;
use std::sync::atomic::AtomicBool;

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
    let stop = AtomicBool::new(false);
    let shrunk = shrink::shrink(&recorded.plan, &program.stack, &options, &|_| {}, &stop)?;
    let saved =
        arguments.save.then(|| shrink::save(&shrunk, Path::new("scenarios/regressions"))).transpose()?;
    if !program.json() {
        show(&shrunk, arguments.no_explain);
    }
    if !arguments.no_explain {
        let explanation =
            explain::ask(program, &shrunk.plan, &shrunk.broken, shrunk.verdict, arguments.jobs, &stop);
        let run = shrunk.report.stored.as_ref();
        explanation.map(|explanation| explain::keep_and_show(program, &explanation, run)).transpose()?;
    }
    end(program, &shrunk, saved.as_deref());
    Ok(Exit::Success)
}

/// What is left of the plan.
fn show(shrunk: &Shrunk, faults_too: bool) {
    println!("{}: {}", shrunk.broken.invariant, shrunk.broken.message);
    println!("  from {}", size(&shrunk.before));
    println!("  to   {}, in {}", size(&shrunk.after), counted(shrunk.runs, "run"));
    // The explanation names them one by one.
    for fault in describe::faults(&shrunk.plan).iter().filter(|_| faults_too) {
        println!("  fault: {fault}");
    }
}

/// Where it is, and how to see it again.
fn end(program: &Program, shrunk: &Shrunk, saved: Option<&Path>) {
    let kept = shrunk.report.stored.as_ref().map(|stored| stored.folder.display().to_string());
    if program.json() {
        println!(
            "{}",
            json!({"v": 1, "type": "shrink-finished", "runs": shrunk.runs, "complete": shrunk.complete,
                "before": shrunk.before, "after": shrunk.after, "invariant": shrunk.broken.invariant,
                "fingerprint": shrunk.broken.fingerprint, "plan": kept, "saved": saved})
        );
        return;
    }
    if let Some(saved) = saved {
        println!("  saved as {}", saved.display());
    }
    if let Some(kept) = kept {
        println!("Reproduce with: {} replay {kept}", program.call());
    }
}

fn size(size: &Size) -> String {
    let (faults, operations) = (counted(size.faults, "fault"), counted(size.operations, "request"));
    format!("{faults}, {operations}, {}", counted(size.nodes, "node"))
}
