//! One run: a world, every law watching, the history kept where a store is given.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "runs are timed and kept on the machine"
)]

use crate::error::ScenarioError;
use crate::expectation::{Expectation, Judgement};
use crate::store::{self, Broken, CAPSULE_VERSION, Capsule, Hits, Provenance, Store, StoredRun};
use invariants::{Finding, Law, Verdict, Watch};
use sim::coverage::Coverage;
use sim::history::{Event, Observer, Sink};
use sim::plan::Plan;
use sim::stack::Stack;
use sim::world::{self, CutOff, Limits};
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How a run is made, besides its plan.
#[derive(Default)]
pub struct Options<'a> {
    /// Where plan, history and capsule are kept; nowhere where there is none.
    pub store: Option<&'a Store>,
    /// Others that watch events as they happen, such as a progress bar.
    pub observers: Vec<Box<dyn Observer>>,
    /// What the run may not go past.
    pub limits: Limits,
    /// Whether the run ends at the first event that breaks a law, since what comes after would not mend it.
    pub until: Until<'a>,
}

/// When a run ends before its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Until<'a> {
    /// Not at all.
    #[default]
    Ended,
    /// Once this law is broken.
    Broken(&'a str),
    /// Once any law is broken that the plan does not let be broken.
    AnyBroken,
}

/// What came of a run.
#[derive(Clone)]
pub struct RunReport {
    /// The plan that was run.
    pub plan: Plan,
    /// Identifies the run: BLAKE3 of its history.
    pub digest: String,
    /// How many events its history has.
    pub events: u64,
    /// How many messages its network carried.
    pub messages: u64,
    /// How long it was, in simulated nanoseconds.
    pub simulated_ns: u64,
    /// By node: time of its cores that work took while load and faults lasted, in nanoseconds.
    pub busy_ns: Vec<u64>,
    /// How long it took.
    pub wall: Duration,
    /// What each law said, in the order of `invariants::LAWS`.
    pub laws: Vec<LawReport>,
    /// The marks that it reached.
    pub coverage: Coverage,
    /// Why it ended before its time, where it did.
    pub cut_off: Option<CutOff>,
    /// Where it is kept.
    pub stored: Option<StoredRun>,
    /// Every draw of chance, where [`Limits::trace`] asked for it.
    pub trace: Option<Arc<Vec<u8>>>,
}

/// What one law said of a run.
#[derive(Clone)]
pub struct LawReport {
    /// The law.
    pub law: &'static Law,
    /// What it said.
    pub finding: Finding,
    /// What it was expected to say, where the plan names it; to hold, elsewhere.
    pub expected: Expectation,
    /// Whether the plan names it.
    pub named: bool,
    /// What to make of it.
    pub judgement: Judgement,
}

impl LawReport {
    /// Whether nothing in the run could have broken it.
    pub fn is_idle(&self) -> bool {
        self.finding.verdict == Verdict::NotExercised
    }
}

impl RunReport {
    /// All violations, of every law, with their fingerprints.
    pub fn broken(&self) -> Vec<Broken> {
        let laws = self.laws.iter();
        laws.flat_map(|law| law.finding.violations.iter().map(|one| Broken::of(law.law.name, one.clone())))
            .collect()
    }

    /// Whether any law's verdict is judged so.
    pub fn has(&self, judgement: Judgement) -> bool {
        self.laws.iter().any(|law| law.judgement == judgement)
    }

    /// The report in few lines, as the store keeps it.
    pub fn capsule(&self) -> Capsule {
        let by_law = || self.laws.iter().map(|law| (law.law.name.to_owned(), law));
        Capsule {
            v: CAPSULE_VERSION,
            scenario: self.plan.scenario.clone(),
            variant: self.plan.variant.clone(),
            seed: self.plan.seed,
            digest: self.digest.clone(),
            plan_digest: store::plan_digest(&self.plan),
            events: self.events,
            messages: self.messages,
            sim_ns: self.simulated_ns,
            wall_ns: u64::try_from(self.wall.as_nanos()).unwrap_or(u64::MAX),
            verdicts: by_law().map(|(name, law)| (name, law.finding.verdict)).collect(),
            exercised: by_law().map(|(name, law)| (name, law.finding.exercised)).collect(),
            judgements: by_law().map(|(name, law)| (name, law.judgement)).collect(),
            marks: self.coverage.marks.iter().map(|(mark, times)| ((*mark).to_owned(), *times)).collect(),
            faults: hits(&self.coverage),
            violations: self.broken(),
            provenance: Provenance::here(),
        }
    }
}

/// By kind of fault, then by role, how often a fault hit.
fn hits(coverage: &Coverage) -> Hits {
    let mut hits = Hits::new();
    for ((kind, role), times) in &coverage.faults {
        hits.entry((*kind).to_owned()).or_default().insert(role.clone(), *times);
    }
    hits
}

/// Runs `plan` on `stack`, every law watching.
///
/// # Errors
/// Where the plan's settings are not the stack's, or the store cannot be written.
///
/// # Panics
/// Where hogwash itself has a bug.
pub fn run(plan: &Plan, stack: &Arc<dyn Stack>, options: Options<'_>) -> Result<RunReport, ScenarioError> {
    let partial = options.store.map(|store| store.begin(plan)).transpose()?;
    let history = partial.as_ref().map(|partial| HistoryFile::create(&partial.history())).transpose()?;
    let mut limits = options.limits;
    let laws = Watching::new(plan, options.until, limits.stop.get_or_insert_default().clone());
    let mut observers = options.observers;
    observers.push(Box::new(laws.clone()));
    let begun = Instant::now();
    let sink = history.as_ref().map(HistoryFile::sink);
    let outcome = world::run_within(plan, stack.clone(), sink, observers, limits)?;
    let wall = begun.elapsed();
    if let Some(history) = history {
        history.finish()?;
    }
    // The world is gone, and with it every other holder of the laws.
    drop(outcome.observers);
    let mut report = RunReport {
        plan: plan.clone(),
        digest: outcome.digest,
        events: outcome.events,
        messages: outcome.messages,
        simulated_ns: outcome.simulated_ns,
        busy_ns: outcome.busy_ns,
        wall,
        laws: laws.finish(plan),
        coverage: outcome.coverage,
        cut_off: outcome.cut_off,
        stored: None,
        trace: outcome.trace.map(Arc::new),
    };
    report.stored = partial.map(|partial| partial.keep(&report.capsule())).transpose()?;
    Ok(report)
}

/// All laws, watching a run while it is made.
#[derive(Clone)]
struct Watching {
    laws: Arc<Mutex<Option<Watch>>>,
    /// The laws that end the run once they are broken.
    last: Arc<[&'static str]>,
    stop: Arc<AtomicBool>,
}

impl Watching {
    fn new(plan: &Plan, until: Until<'_>, stop: Arc<AtomicBool>) -> Self {
        let ends = |law: &&Law| match until {
            Until::Ended => false,
            Until::Broken(name) => law.name == name,
            Until::AnyBroken => !Expectation::of_plan(plan.expect.get(law.name)).allows(Verdict::Violated),
        };
        let last = invariants::LAWS.iter().filter(ends).map(|law| law.name).collect();
        Self { laws: Arc::new(Mutex::new(Some(Watch::new(plan)))), last, stop }
    }

    fn finish(self, plan: &Plan) -> Vec<LawReport> {
        let watch = self.laws.lock().expect("no law panics").take().expect("a run ends once");
        judge(plan, watch)
    }
}

impl Observer for Watching {
    fn observe(&mut self, event: &Event) {
        let mut laws = self.laws.lock().expect("no law panics");
        let watch = laws.as_mut().expect("nothing happens after a run's end");
        watch.observe(event);
        if !self.last.is_empty() && watch.broken().any(|law| self.last.contains(&law.name)) {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Holds the history of a run of `plan`, which is read again, to every law: the verdicts are those that the run got.
pub fn check(plan: &Plan, events: impl IntoIterator<Item = Event>) -> Vec<LawReport> {
    let mut watch = Watch::new(plan);
    events.into_iter().for_each(|event| watch.observe(&event));
    judge(plan, watch)
}

fn judge(plan: &Plan, watch: Watch) -> Vec<LawReport> {
    let judge = |(law, finding): (&'static Law, Finding)| {
        let expected = Expectation::of_plan(plan.expect.get(law.name));
        let judgement = expected.judge(finding.verdict);
        LawReport { law, finding, expected, named: plan.expect.contains_key(law.name), judgement }
    };
    watch.finish().into_iter().map(judge).collect()
}

/// A history on its way to a file; a full disk is told of at the end.
struct HistoryFile {
    path: std::path::PathBuf,
    state: Arc<Mutex<(File, std::io::Result<()>)>>,
}

impl HistoryFile {
    fn create(path: &std::path::Path) -> Result<Self, ScenarioError> {
        let file = File::create(path).map_err(|error| store::cannot("write", path, &error))?;
        Ok(Self { path: path.to_owned(), state: Arc::new(Mutex::new((file, Ok(())))) })
    }

    fn sink(&self) -> Sink {
        let state = self.state.clone();
        Box::new(move |bytes| {
            let mut state = state.lock().expect("writing does not panic");
            let (file, result) = &mut *state;
            if result.is_ok() {
                *result = file.write_all(bytes);
            }
        })
    }

    fn finish(self) -> Result<(), ScenarioError> {
        let mut state = self.state.lock().expect("writing does not panic");
        let result = std::mem::replace(&mut state.1, Ok(()));
        result.map_err(|error| store::cannot("write", &self.path, &error))
    }
}
