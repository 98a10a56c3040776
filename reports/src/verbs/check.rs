//! `hogwash check`: reads scenario and plan files and says what is wrong with them.

use crate::cli::CheckArgs;
use crate::exit::Exit;
use crate::program::Program;
use crate::review::file::Review;
use crate::terminal::coloured;
use anyhow::Result;
use scenarios::scenario::Scenario;
use scenarios::{ScenarioError, library, plan_file, reference};
use serde_json::json;
use std::path::Path;

pub(crate) fn check(program: &Program, arguments: &CheckArgs) -> Result<Exit> {
    if arguments.explain {
        print!("{}", reference::explain(program.stack.as_ref()));
    }
    let mut exit = Exit::Success;
    for path in &arguments.files {
        match read(program, path) {
            Ok(what) if program.json() => {
                println!(
                    "{}",
                    json!({"v": 1, "type": "checked", "path": path, "what": what, "problems": []})
                );
            }
            Ok(what) => println!("{}: a {what} without problems", path.display()),
            Err(error) => {
                exit = Exit::Usage;
                report(program, path, &error);
            }
        }
    }
    Ok(exit)
}

/// Reads a file as what it is: plans begin with their version, reviews have claims, and all else is a scenario.
fn read(program: &Program, path: &Path) -> Result<&'static str, ScenarioError> {
    let bytes = library::read_file(path)?;
    let (origin, stack) = (path.display().to_string(), program.stack.as_ref());
    let has = |start: &str| {
        String::from_utf8_lossy(&bytes).lines().any(|line| line.trim_start().starts_with(start))
    };
    if has("[[claim]]") || has("[[initiating-event]]") {
        Review::parse(&bytes, &origin, stack).map(|_| "review")
    } else if has("version") {
        plan_file::read(&bytes, &origin, stack).map(|_| "plan")
    } else {
        Scenario::parse(&bytes, &origin, stack).map(|_| "scenario")
    }
}

fn report(program: &Program, path: &Path, error: &ScenarioError) {
    if !program.json() {
        eprintln!("{}", error.render(coloured(program.common.color, &std::io::stderr())).trim_end());
        return;
    }
    let problems: Vec<_> = match error {
        ScenarioError::Invalid(diagnostics) => diagnostics
            .placed()
            .map(|problem| {
                json!({"file": problem.file, "line": problem.line, "column": problem.column, "message": problem.message,
                    "help": problem.help})
            })
            .collect(),
        other => vec![json!({"file": path, "message": other.to_string()})],
    };
    println!("{}", json!({"v": 1, "type": "checked", "path": path, "problems": problems}));
}
