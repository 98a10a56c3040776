//! `hogwash report`: a stored run, in a form for people or for another tool.
#![expect(clippy::disallowed_methods, reason = "reports are written to the machine's disk")]

use crate::cli::{ReportArgs, ReportFormat};
use crate::exit::Exit;
use crate::page::Page;
use crate::past::PastRun;
use crate::program::Program;
use anyhow::{Context, Result};
use std::path::Path;

pub(crate) fn report(program: &Program, arguments: &ReportArgs) -> Result<Exit> {
    let run = PastRun::find(&arguments.run, &program.store(), program.stack.as_ref())?;
    let text = match arguments.format {
        ReportFormat::Html => Page::of(&run, program.stack.as_ref(), &program.call()).html(),
    };
    let page = (arguments.format == ReportFormat::Html).then(|| run.folder.join("report.html"));
    match arguments.output.as_ref().or(page.as_ref()) {
        Some(path) => {
            write(path, &text)?;
            println!("{}", path.display());
        }
        None => print!("{text}"),
    }
    Ok(Exit::Success)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("`{}` cannot be written", path.display()))
}
