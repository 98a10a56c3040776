//! No verb at all: the main job on an embedded default.

use super::{run, show};
use crate::exit::Exit;
use crate::program::Program;
use anyhow::Result;
use scenarios::expectation::Judgement;
use scenarios::runner::Until;
use scenarios::{library, planner};

const SCENARIO: &str = "correlated/shared-power-loss";
const VARIANT: &str = "unsafe-acks";

/// The stack loses the power feed that its three replicas share: as designed, and acknowledging from memory. Ends with
/// success where each came out as the scenario expects.
pub(crate) fn demo(program: &Program) -> Result<Exit> {
    let scenario = library::find(SCENARIO, program.stack.as_ref())?;
    let mut exit = Exit::Success;
    for variant in [None, Some(VARIANT)] {
        let plan = planner::plan(&scenario, program.stack.as_ref(), variant, 0, &[])?;
        let (report, sharing, figures) = run::watched(program, &plan, &program.store(), false, Until::Ended)?;
        show::run(program, &report, &sharing, Some(&figures));
        show::ways_out(program, &report);
        if report.has(Judgement::Unexpected) || report.has(Judgement::Missing) {
            exit = Exit::Violation;
        }
        if !program.json() && variant.is_none() {
            println!();
        }
    }
    Ok(exit)
}
