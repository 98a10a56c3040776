//! `hogwash shrink`: a smaller plan with the same violation.

use crate::cli::ShrinkArgs;
use crate::exit::Exit;
use crate::program::Program;
use anyhow::{Context, Result};
use scenarios::shrink::{self, ShrinkOptions, Size};
use scenarios::{describe, replay};
use serde_json::json;
use std::path::Path;
use std::sync::atomic::AtomicBool;

pub(crate) fn shrink(program: &Program, arguments: &ShrinkArgs) -> Result<Exit> {
    let store = program.store();
    let path = arguments.run.to_str().context("the path is not UTF-8")?;
    let recorded = replay::find(path, &store, program.stack.as_ref())?;
    let options = ShrinkOptions {
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        store: Some(store),
        ..ShrinkOptions::default()
    };
    let stop = AtomicBool::new(false);
    let shrunk = shrink::shrink(&recorded.plan, &program.stack, &options, &|_| {}, &stop)?;
    let saved =
        arguments.save.then(|| shrink::save(&shrunk, Path::new("scenarios/regressions"))).transpose()?;
    let kept = shrunk.report.stored.as_ref().map(|stored| stored.folder.display().to_string());
    if program.json() {
        println!(
            "{}",
            json!({"v": 1, "type": "shrink-finished", "runs": shrunk.runs, "complete": shrunk.complete,
                "before": shrunk.before, "after": shrunk.after, "invariant": shrunk.broken.invariant,
                "fingerprint": shrunk.broken.fingerprint, "plan": kept, "saved": saved})
        );
        return Ok(Exit::Success);
    }
    println!("{}: {}", shrunk.broken.invariant, shrunk.broken.message);
    println!("  from {}", size(&shrunk.before));
    println!("  to   {}, in {} runs", size(&shrunk.after), shrunk.runs);
    for fault in describe::faults(&shrunk.plan) {
        println!("  fault: {fault}");
    }
    if let Some(saved) = saved {
        println!("  saved as {}", saved.display());
    }
    if let Some(kept) = kept {
        println!("Reproduce with: {} replay {kept}", program.call());
    }
    Ok(Exit::Success)
}

fn size(size: &Size) -> String {
    format!("{} faults, {} requests, {} nodes", size.faults, size.operations, size.nodes)
}
