//! `hogwash report`: a stored run, in a form for people or for another tool.
#![expect(clippy::disallowed_methods, reason = "reports are written to the machine's disk")]

use crate::cli::{ReportArgs, ReportFormat};
use crate::exit::Exit;
use crate::forms::{github, json, junit, ledger, perfetto};
use crate::ledger::Ledger;
use crate::page::Page;
use crate::past::PastRun;
use crate::program::Program;
use crate::verbs::show;
use anyhow::{Context, Result};
use invariants::Verdict;
use scenarios::runner;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;

pub(crate) fn report(program: &Program, arguments: &ReportArgs) -> Result<Exit> {
    let run = PastRun::find(&arguments.run, &program.store(), program.stack.as_ref())?;
    if arguments.check {
        return Ok(check(program, &run));
    }
    let reproduce = format!("{} replay {}", program.call(), run.folder.display());
    let text = match arguments.format {
        ReportFormat::Html => Page::of(&run, program.stack.as_ref(), &program.call()).html(),
        ReportFormat::Perfetto => perfetto::trace(&run),
        ReportFormat::Junit => junit::xml(&run, &reproduce),
        ReportFormat::Json => json::report(&run),
        ReportFormat::Ledger => ledger::text(&Ledger::of(run.events(), &run.node_names())),
        ReportFormat::Github => {
            summarize(&github::summary(&run, &reproduce))?;
            github::annotations(&run, &reproduce)
        }
    };
    let page = (arguments.format == ReportFormat::Html).then(|| run.folder.join("report.html"));
    match arguments.output.as_ref().or(page.as_ref()) {
        Some(path) => {
            let written = std::fs::write(path, text);
            written.with_context(|| format!("`{}` cannot be written", path.display()))?;
            if program.json() {
                println!(
                    "{}",
                    json!({"v": 1, "type": "report-finished", "path": path.display().to_string()})
                );
            } else {
                println!("{}", path.display());
            }
        }
        None => print!("{text}"),
    }
    Ok(Exit::Success)
}

/// Holds the stored history to every law again.
fn check(program: &Program, run: &PastRun) -> Exit {
    let laws = runner::check(&run.plan, run.events());
    let changed: Vec<_> = laws
        .iter()
        .filter_map(|law| {
            let recorded = run.capsule.verdicts.get(law.law.name).copied();
            (recorded != Some(law.finding.verdict)).then_some((law, recorded))
        })
        .collect();
    if program.json() {
        let verdicts: BTreeMap<_, _> = laws.iter().map(|law| (law.law.name, law.finding.verdict)).collect();
        let exercised: BTreeMap<_, _> =
            laws.iter().map(|law| (law.law.name, law.finding.exercised)).collect();
        let changed: Vec<_> = changed.iter().map(|(law, _)| law.law.name).collect();
        println!(
            "{}",
            json!({"v": 1, "type": "check-finished", "run": run.folder.display().to_string(), "verdicts": verdicts,
                "exercised": exercised, "changed": changed})
        );
    } else {
        println!("{}", run.title());
        show::laws(program, &laws);
        for (law, recorded) in &changed {
            let recorded = recorded.map_or("nothing", Verdict::word);
            println!(
                "  {}: {} now, {recorded} when it ran: the laws were changed since",
                law.law.name, law.finding.verdict
            );
        }
        if changed.is_empty() {
            println!("  the same verdicts as when it ran");
        }
    }
    show::exit_of(&laws, false)
}

/// Adds to the summary of the step, within a workflow of GitHub.
fn summarize(summary: &str) -> Result<()> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let file = OpenOptions::new().append(true).create(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(summary.as_bytes()));
    written.with_context(|| format!("the summary `{}` cannot be written", path.display()))
}
