//! `hogwash replay`: the same run again, held against the first.

use super::show;
use crate::cli::ReplayArgs;
use crate::exit::Exit;
use crate::program::Program;
use anyhow::{Context, Result};
use scenarios::doctor;
use scenarios::replay::{self, Comparison, Difference};
use scenarios::runner::RunReport;
use sim::plan::Plan;
use sim::trace::Parting;

pub(crate) fn replay(program: &Program, arguments: &ReplayArgs) -> Result<Exit> {
    let store = program.store();
    let path = arguments.run.to_str().context("the path is not UTF-8")?;
    let recorded = replay::find(path, &store, program.stack.as_ref())?;
    let replayed = replay::replay(&recorded, &program.stack, &store)?;
    show::run(program, &replayed.report, &[]);
    let say = |line: &str| {
        if program.json() { eprintln!("{line}") } else { println!("{line}") }
    };
    for (what, now, then) in &replayed.changed {
        say(&format!("  note: the {what} is {now}; the recorded run had {then}"));
    }
    match &replayed.comparison {
        Comparison::Nothing => say("  nothing was recorded to compare with"),
        Comparison::Same => say(&format!("  same history: digest {}", &replayed.report.digest[..16])),
        Comparison::Different { recorded: digest, first } => {
            say(&format!(
                "  NOT the same history: digest {digest} was recorded, {} came now",
                replayed.report.digest
            ));
            if let Some(parting) = &replayed.parting {
                parted(parting, &recorded.plan).iter().for_each(|line| say(line));
            } else if let Some(first) = first {
                difference(first, &recorded.plan).iter().for_each(|line| say(line));
            }
            return Ok(Exit::NotDeterministic);
        }
    }
    if let Some(parting) = &replayed.parting {
        eprintln!("  a leak that has not reached the history yet:");
        parted(parting, &recorded.plan).iter().for_each(|line| eprintln!("{line}"));
    }
    show::ways_out(program, &replayed.report);
    Ok(show::exit(&replayed.report, arguments.strict))
}

/// Where two runs that were both traced part.
fn parted(parting: &Parting, plan: &Plan) -> Vec<String> {
    doctor::lines(parting, plan, ["recorded", "now"]).iter().map(|line| format!("  {line}")).collect()
}

/// The first event that differs, as lines.
fn difference(first: &Difference, plan: &Plan) -> Vec<String> {
    let line = |event: &Option<sim::history::Event>| {
        event.as_ref().map_or("nothing: the history has ended".to_owned(), |event| replay::line(event, plan))
    };
    vec![
        format!("  the first {} events are equal; the last of them: {}", first.equal, line(&first.before)),
        format!("  then recorded: {}", line(&first.first)),
        format!("  and now:       {}", line(&first.second)),
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
    if matches!(output.status.code(), Some(0 | 1)) {
        stored.drop_trace();
        eprintln!("  the same history in another process");
        eprint!("{told}");
        return Ok(Exit::Success);
    }
    eprint!("{}{told}", String::from_utf8_lossy(&output.stdout));
    Ok(Exit::NotDeterministic)
}
