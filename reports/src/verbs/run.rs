//! `hogwash run`: one scenario, once.

use super::show;
use crate::cli::RunArgs;
use crate::exit::Exit;
use crate::forms::ledger;
use crate::ledger::Ledger;
use crate::measures::{Figures, FiguresObserver};
use crate::past::PastRun;
use crate::program::Program;
use crate::sharing::{Sharing, SharingObserver};
use anyhow::Result;
use scenarios::runner::{Options, RunReport, Until};
use scenarios::store::Store;
use scenarios::{library, planner, runner};
use serde_json::json;
use sim::history::Observer;
use sim::plan::Plan;
use sim::world::Limits;

pub(crate) fn run(program: &Program, arguments: &RunArgs) -> Result<Exit> {
    let scenario = library::find(&arguments.scenario, program.stack.as_ref())?;
    let variant = arguments.variant.as_deref();
    let plan = planner::plan(&scenario, program.stack.as_ref(), variant, arguments.seed, &arguments.set)?;
    let until = if arguments.until_broken { Until::AnyBroken } else { Until::Ended };
    let (report, sharing, figures) =
        watched(program, &plan, &program.store(), arguments.check_determinism, until)?;
    // A run's own line is the last one for tools; people read the verdicts first.
    if arguments.ledger && program.json() {
        show_ledger(program, &report)?;
    }
    show::run(program, &report, &sharing, Some(&figures));
    if arguments.ledger && !program.json() {
        show_ledger(program, &report)?;
    }
    if arguments.check_determinism {
        let again = super::replay::in_another_process(program, &report)?;
        if again != Exit::Success {
            return Ok(again);
        }
    }
    show::ways_out(program, &report);
    Ok(show::exit(&report, arguments.strict))
}

/// What became of all that was asked for, out of the history that was kept.
fn show_ledger(program: &Program, report: &RunReport) -> Result<()> {
    let stored = report.stored.as_ref().expect("runs on the command line are kept");
    let folder = stored.folder.display().to_string();
    let run = PastRun::find(&folder, &program.store(), program.stack.as_ref())?;
    let ledger = Ledger::of(run.events(), &run.node_names());
    if program.json() {
        println!("{}", json!({"v": 1, "type": "ledger", "run": folder, "ledger": ledger}));
    } else {
        print!("{}", ledger::text(&ledger));
    }
    Ok(())
}

/// Runs `plan`, and measures P^N beside what happened, and the figures of a service; keeps every draw of chance where it is to `trace`.
pub(crate) fn watched(
    program: &Program,
    plan: &Plan,
    store: &Store,
    trace: bool,
    until: Until<'_>,
) -> Result<(RunReport, Vec<Sharing>, Figures)> {
    let (observer, measured) = SharingObserver::new(plan);
    let limits = Limits { trace, ..Limits::default() };
    let (figures, seen) = FiguresObserver::new();
    let observers: Vec<Box<dyn Observer>> = vec![Box::new(observer), Box::new(figures)];
    let options = Options { store: Some(store), observers, limits, until };
    let report = runner::run(plan, &program.stack, options)?;
    let sharing = measured.lock().expect("no observer panics").clone();
    let figures = seen.lock().expect("no observer panics").figures(plan, &report.busy_ns);
    Ok((report, sharing, figures))
}
