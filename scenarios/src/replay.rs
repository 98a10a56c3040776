//! The same run again: digests compared, and where they differ, the first event that does.

use crate::error::ScenarioError;
use crate::runner::{self, Options, RunReport};
use crate::store::{self, Capsule, Store, StoredRun};
use crate::{library, plan_file};
use sim::duration_text;
use sim::history::{self, Event, Malformed, WORLD};
use sim::plan::Plan;
use sim::stack::Stack;
use sim::trace::{self, Parting};
use sim::world::Limits;
use std::path::Path;
use std::sync::Arc;

/// What to replay.
pub struct Recorded {
    /// The plan.
    pub plan: Plan,
    /// The run that it is held against, where it was kept.
    pub run: Option<(StoredRun, Capsule)>,
}

/// What came of a replay.
pub struct Replay {
    /// The new run.
    pub report: RunReport,
    /// How it compares with the one that was recorded.
    pub comparison: Comparison,
    /// What made the recorded run and is no longer so: what it is, now, then.
    pub changed: Vec<(&'static str, String, String)>,
    /// Where the two runs part, with tasks and draws, where the recorded one was traced.
    pub parting: Option<Parting>,
}

/// How two runs of one plan compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Nothing was recorded to compare with.
    Nothing,
    /// Equal, bit for bit.
    Same,
    /// Not equal.
    Different {
        /// The digest that was recorded.
        recorded: String,
        /// The first event that differs; none where the recorded history is gone.
        first: Option<Box<Difference>>,
    },
}

/// The first event in which two histories differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How many events before it are equal.
    pub equal: u64,
    /// The last of these, where there is one.
    pub before: Option<Event>,
    /// What the first history has; none where it has ended.
    pub first: Option<Event>,
    /// What the second has.
    pub second: Option<Event>,
}

/// Finds what `path` means: a plan's file, a run's folder, or the name of a run in `store`.
///
/// A plan in a run's folder is held against that run, unless somebody has edited it.
///
/// # Errors
/// Where there is none, or it cannot be read.
pub fn find(path: &str, store: &Store, stack: &dyn Stack) -> Result<Recorded, ScenarioError> {
    let file = Path::new(path);
    let is_plan = file.extension().is_some_and(|extension| extension == "toml");
    let run =
        if is_plan { file.parent().map(|folder| StoredRun { folder: folder.to_owned() }) } else { None };
    let (file, run) = match run {
        Some(run) => (file.to_owned(), run),
        None => {
            let run = store.find(path)?;
            (run.plan_path(), run)
        }
    };
    let bytes = library::read_file(&file)?;
    let plan = plan_file::read(&bytes, &file.display().to_string(), stack)?;
    let capsule = match run.capsule() {
        Ok(capsule) => capsule,
        // Any other plan may lie in any folder.
        Err(_) if is_plan => return Ok(Recorded { plan, run: None }),
        Err(error) => return Err(error),
    };
    // As it was written, whatever version of this program would write today.
    let unedited = capsule.plan_digest == store::digest_of_plan(&bytes);
    Ok(Recorded { plan, run: unedited.then_some((run, capsule)) })
}

/// Runs what was recorded again, and keeps it in `store`.
///
/// # Errors
/// Where it cannot be run, or cannot be kept.
pub fn replay(recorded: &Recorded, stack: &Arc<dyn Stack>, store: &Store) -> Result<Replay, ScenarioError> {
    let trace = recorded.run.as_ref().and_then(|(run, _)| run.trace());
    let limits = Limits { trace: trace.is_some(), ..Limits::default() };
    let options = Options { store: Some(store), limits, ..Options::default() };
    let report = runner::run(&recorded.plan, stack, options)?;
    let Some((run, capsule)) = &recorded.run else {
        return Ok(Replay { report, comparison: Comparison::Nothing, changed: Vec::new(), parting: None });
    };
    let changed = store::Provenance::here().differences(&capsule.provenance);
    let traces = trace.as_deref().zip(report.trace.as_deref());
    let parting = traces.and_then(|(first, second)| trace::parting(first, second).ok().flatten());
    if report.digest == capsule.digest {
        return Ok(Replay { report, comparison: Comparison::Same, changed, parting });
    }
    let again = report.stored.as_ref().expect("a store was given").history()?;
    // A history that is gone or damaged still leaves the digests to compare.
    let first =
        run.history().ok().and_then(|before| first_difference(&before, &again).ok().flatten()).map(Box::new);
    let comparison = Comparison::Different { recorded: capsule.digest.clone(), first };
    Ok(Replay { report, comparison, changed, parting })
}

/// The first event in which two encoded histories differ; none where they are equal.
///
/// # Errors
/// Where one is not a history.
pub fn first_difference(one: &[u8], other: &[u8]) -> Result<Option<Difference>, Malformed> {
    let (mut one, mut other) = (history::read(one)?, history::read(other)?);
    let mut before = None;
    for equal in 0.. {
        let (first, second) = (one.next().transpose()?, other.next().transpose()?);
        if first != second {
            return Ok(Some(Difference { equal, before, first, second }));
        }
        if first.is_none() {
            return Ok(None);
        }
        before = first;
    }
    Ok(None)
}

/// An event on one line: time, node, word, fields.
pub fn line(event: &Event, plan: &Plan) -> String {
    let node = plan.nodes.get(event.node.0 as usize).map(|node| node.name.as_str());
    let node = if event.node == WORLD { Some("world") } else { node };
    let fields = event.fact.fields().into_iter().map(|(name, value)| format!(" {name}={value}"));
    let fields: String = fields.collect();
    format!("{} {} {}{fields}", duration_text::format(event.at_ns), node.unwrap_or("?"), event.fact.word())
}
