//! `hogwash compare`: two stored runs, side by side.

use crate::cli::CompareArgs;
use crate::compare::Comparison;
use crate::exit::Exit;
use crate::past::PastRun;
use crate::program::Program;
use anyhow::Result;

pub(crate) fn compare(program: &Program, arguments: &CompareArgs) -> Result<Exit> {
    let find = |path: &str| PastRun::find(path, &program.store(), program.stack.as_ref());
    let comparison = Comparison::of(&find(&arguments.one)?, &find(&arguments.other)?)?;
    if program.json() {
        println!("{}", comparison.json());
    } else {
        comparison.lines().iter().for_each(|line| println!("{line}"));
    }
    Ok(if comparison.same_verdicts { Exit::Success } else { Exit::Violation })
}
