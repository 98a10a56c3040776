//! `hogwash report`: a stored run, in a form for people or for another tool.
#![expect(clippy::disallowed_methods, reason = "reports are written to the machine's disk")]

use crate::cli::{ReportArgs, ReportFormat};
use crate::exit::Exit;
use crate::forms::{github, json, junit, perfetto};
use crate::page::Page;
use crate::past::PastRun;
use crate::program::Program;
use anyhow::{Context, Result};
use std::fs::OpenOptions;
use std::io::Write;

pub(crate) fn report(program: &Program, arguments: &ReportArgs) -> Result<Exit> {
    let run = PastRun::find(&arguments.run, &program.store(), program.stack.as_ref())?;
    let reproduce = format!("{} replay {}", program.call(), run.folder.display());
    let text = match arguments.format {
        ReportFormat::Html => Page::of(&run, program.stack.as_ref(), &program.call()).html(),
        ReportFormat::Perfetto => perfetto::trace(&run),
        ReportFormat::Junit => junit::xml(&run, &reproduce),
        ReportFormat::Json => json::report(&run),
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
                    serde_json::json!({"v": 1, "type": "report-finished", "path": path.display().to_string()})
                );
            } else {
                println!("{}", path.display());
            }
        }
        None => print!("{text}"),
    }
    Ok(Exit::Success)
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
