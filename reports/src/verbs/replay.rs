//! `hogwash replay`: the same run again, held against the first.

use super::show;
use crate::cli::ReplayArgs;
use crate::exit::Exit;
use crate::program::Program;
use anyhow::{Context, Result};
use scenarios::doctor;
use scenarios::replay::{self, Comparison, Difference, Recorded, Replay};
use scenarios::runner::RunReport;
use scenarios::store::Broken;
use serde_json::{Value, json};
use sim::plan::Plan;
use sim::trace::Parting;

pub(crate) fn replay(program: &Program, arguments: &ReplayArgs) -> Result<Exit> {
    let store = program.store();
    let path = arguments.run.to_str().context("the path is not UTF-8")?;
    let recorded = replay::find(path, &store, program.stack.as_ref())?;
    let replayed = replay::replay(&recorded, &program.stack, &store)?;
    if program.json() {
        println!("{}", line(&recorded, &replayed));
        show::run(program, &replayed.report, &[], None);
    } else {
        show::run(program, &replayed.report, &[], None);
        words(&recorded, &replayed).iter().for_each(|line| println!("  {line}"));
    }
    if let Comparison::Different { .. } = replayed.comparison {
        return Ok(Exit::NotDeterministic);
    }
    if let Some(parting) = &replayed.parting {
        eprintln!("  a leak that has not reached the history yet:");
        parted(parting, &recorded.plan).iter().for_each(|line| eprintln!("  {line}"));
    }
    show::ways_out(program, &replayed.report);
    Ok(show::exit(&replayed.report, arguments.strict))
}

/// How the run compares with the one that was recorded, and what made that one and is no longer so.
fn words(recorded: &Recorded, replayed: &Replay) -> Vec<String> {
    let mut words = Vec::new();
    for (what, now, then) in &replayed.changed {
        words.push(format!("note: {what}: {now} now, {then} when it was recorded"));
    }
    match &replayed.comparison {
        Comparison::Nothing => words.push("nothing was recorded to compare with".to_owned()),
        Comparison::Same => words.push(format!("same history: digest {}", &replayed.report.digest[..16])),
        Comparison::Different { recorded: digest, first } => {
            let now = &replayed.report.digest;
            words.push(format!("NOT the same history: digest {digest} was recorded, {now} came now"));
            words.push(if replayed.changed.is_empty() {
                "the code was changed since, or something leaks into the run: `run --check-determinism` tells"
                    .to_owned()
            } else {
                "what made it is no longer the same, see above: that alone may change a history".to_owned()
            });
            words.extend(again(recorded, &replayed.report));
            if let Some(parting) = &replayed.parting {
                words.extend(parted(parting, &recorded.plan));
            } else if let Some(first) = first {
                words.extend(difference(first, &recorded.plan));
            }
        }
    }
    words
}

/// Whether what was broken is broken again.
fn again(recorded: &Recorded, report: &RunReport) -> Vec<String> {
    let broken = report.broken();
    let is_again = |then: &Broken| broken.iter().any(|now| now.fingerprint == then.fingerprint);
    let then = recorded.run.iter().flat_map(|(_, capsule)| &capsule.violations);
    then.map(|then| {
        let outcome = if is_again(then) { "is there again" } else { "is gone" };
        format!("the violation that was recorded {outcome}: {}", then.fingerprint)
    })
    .collect()
}

/// The comparison as a JSON line.
fn line(recorded: &Recorded, replayed: &Replay) -> Value {
    let changed = replayed.changed.iter();
    let changed = changed.map(|(what, now, then)| json!({"what": what, "now": now, "then": then}));
    let (result, digest) = match &replayed.comparison {
        Comparison::Nothing => ("nothing-to-compare", None),
        Comparison::Same => ("same", Some(&replayed.report.digest)),
        Comparison::Different { recorded, .. } => ("different", Some(recorded)),
    };
    json!({"v": 1, "type": "replay-compared", "result": result, "recorded": digest, "now": replayed.report.digest,
        "changed": changed.collect::<Vec<_>>(), "words": words(recorded, replayed)})
}

/// Where two runs that were both traced part.
fn parted(parting: &Parting, plan: &Plan) -> Vec<String> {
    doctor::lines(parting, plan, ["recorded", "now"])
}

/// The first event that differs, as lines.
fn difference(first: &Difference, plan: &Plan) -> Vec<String> {
    let line = |event: &Option<sim::history::Event>| {
        event.as_ref().map_or("nothing: the history has ended".to_owned(), |event| replay::line(event, plan))
    };
    vec![
        format!("the first {} events are equal; the last of them: {}", first.equal, line(&first.before)),
        format!("then recorded: {}", line(&first.first)),
        format!("and now:       {}", line(&first.second)),
    ]
}

/// Replays a stored run in another process; says so where its history differs.
pub(crate) fn in_another_process(program: &Program, report: &RunReport) -> Result<Exit> {
    let stored = report.stored.as_ref().context("the run is not kept")?;
    report.trace.as_ref().map(|trace| stored.keep_trace(trace)).transpose()?;
    let program_path = std::env::current_exe().context("this program cannot be found")?;
    let output = std::process::Command::new(program_path)
        .args(["--quiet", "--store"])
        .arg(&program.common.store)
        .arg("replay")
        .arg(&stored.folder)
        .output()
        .context("this program cannot be started a second time")?;
    let told = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    if !matches!(code, Some(0 | 1 | 3)) {
        stored.drop_trace();
        anyhow::bail!("the run could not be compared in another process: {}", told.trim());
    }
    if matches!(code, Some(0 | 1)) {
        stored.drop_trace();
        eprintln!("  the same history in another process");
        eprint!("{told}");
        return Ok(Exit::Success);
    }
    eprint!("{}{told}", String::from_utf8_lossy(&output.stdout));
    Ok(Exit::NotDeterministic)
}
