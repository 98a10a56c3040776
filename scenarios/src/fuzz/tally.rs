//! What came of a batch so far: counts, and each distinct violation once. Flat in memory, however many runs there are.

use super::{Run, RunResult, has};
use crate::expectation::Judgement;
use crate::store::{Broken, StoredRun};
use invariants::Verdict;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Examples of one kind of ending that are kept.
const EXAMPLES_MAX: usize = 20;

/// A violation that many runs of a batch may share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Distinct {
    /// What is broken, as the first run showed it.
    pub broken: Broken,
    /// Whether the scenario expects it.
    pub expected: bool,
    /// A run that shows it, the first that is kept.
    pub first: Run,
    /// How many runs did.
    pub runs: u64,
    /// The plan of a run that shows it.
    pub plan: Option<String>,
}

/// What came of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// Runs that ended, in whatever way.
    pub runs: u64,
    /// Runs in which every law said what was expected.
    pub held: u64,
    /// Runs with a violation that is not expected.
    pub violated: u64,
    /// Runs with a violation that is expected.
    pub expected: u64,
    /// Runs broken past what the design promises.
    pub excused: u64,
    /// Runs in which some law was undecided or not exercised.
    pub weak: u64,
    /// Runs past their budget.
    pub cut_off: u64,
    /// Runs that hogwash itself did not survive.
    pub bugs: u64,
    /// Runs whose second run differed.
    pub not_deterministic: u64,
    /// Each violation once.
    pub distinct: Vec<Distinct>,
    /// Some of the runs that were cut off, were bugs, or were not deterministic.
    pub troubles: Vec<(Run, String)>,
    /// Violations that are expected and that no seed showed: scenario and variant, law.
    pub missing: Vec<(String, String)>,
    /// Simulated time of all runs.
    pub sim_ns: u64,
    /// Events of all runs.
    pub events: u64,
    /// Real time of the batch.
    pub wall_ns: u64,
    /// Ended by hand.
    pub interrupted: bool,
    /// Ended by its time limit.
    pub timed_out: bool,
}

#[derive(Default)]
pub(super) struct Tally {
    summary: Summary,
    distinct: BTreeMap<String, Distinct>,
    claimed: BTreeSet<String>,
    /// By target and law: whether the expected violation was seen.
    expected: BTreeMap<(String, String), bool>,
}

impl Tally {
    /// The violations of `result` that no run showed or claimed before; they are this run's from now on.
    pub(super) fn claim(&mut self, run: &Run, result: &RunResult) -> Vec<Broken> {
        let RunResult::Ended(capsule) = result else { return Vec::new() };
        let new = capsule.violations.iter().filter(|broken| {
            let key = key(run, broken);
            // A batch that goes on after it was killed may know of a violation whose run was not kept.
            let is_kept = self.distinct.get(&key).is_some_and(|one| one.plan.is_some());
            !is_kept && self.claimed.insert(key)
        });
        new.cloned().collect()
    }

    pub(super) fn add(&mut self, run: &Run, result: &RunResult, stored: Option<&StoredRun>) {
        let summary = &mut self.summary;
        summary.runs += 1;
        let trouble = match result {
            RunResult::Ended(capsule) => {
                summary.sim_ns = summary.sim_ns.saturating_add(capsule.sim_ns);
                summary.events += capsule.events;
                let unexpected = has(capsule, Judgement::Unexpected);
                summary.violated += u64::from(unexpected);
                summary.expected += u64::from(!unexpected && !capsule.violations.is_empty());
                summary.excused += u64::from(has(capsule, Judgement::Excused));
                summary.weak += u64::from(has(capsule, Judgement::Weak));
                // A law that nothing could have broken is as held as it can be: not every stack exercises all.
                let held = |(law, judgement): (&String, &Judgement)| {
                    *judgement == Judgement::Expected
                        || capsule.verdicts.get(law) == Some(&Verdict::NotExercised)
                };
                summary.held += u64::from(!unexpected && capsule.judgements.iter().all(held));
                for (law, judgement) in &capsule.judgements {
                    let violated = capsule.violations.iter().any(|broken| broken.invariant == *law);
                    let seen = *judgement == Judgement::Expected && violated;
                    if seen || *judgement == Judgement::Missing {
                        *self.expected.entry((target(run), law.clone())).or_default() |= seen;
                    }
                }
                for broken in &capsule.violations {
                    let key = key(run, broken);
                    self.distinct
                        .entry(key)
                        .or_insert_with(|| Distinct {
                            broken: broken.clone(),
                            expected: capsule.judgements.get(&broken.invariant)
                                != Some(&Judgement::Unexpected),
                            first: run.clone(),
                            runs: 0,
                            plan: None,
                        })
                        .seen(run, stored);
                }
                None
            }
            RunResult::CutOff(cut) => {
                summary.cut_off += 1;
                Some(cut.to_string())
            }
            RunResult::Bug(message) => {
                summary.bugs += 1;
                Some(format!("this is a bug in hogwash: {message}"))
            }
            RunResult::NotDeterministic { first, second } => {
                summary.not_deterministic += 1;
                Some(format!("not deterministic: digest {} and then {}", &first[..8], &second[..8]))
            }
        };
        if let Some(message) = trouble
            && summary.troubles.len() < EXAMPLES_MAX
        {
            summary.troubles.push((run.clone(), message));
        }
    }

    pub(super) fn summary(self, wall: Duration, interrupted: bool, timed_out: bool) -> Summary {
        let missing = self.expected.into_iter().filter(|(_, seen)| !seen).map(|(target, _)| target);
        let mut distinct: Vec<Distinct> = self.distinct.into_values().collect();
        // Bugs first, then what is seen most.
        distinct.sort_by_key(|one| (one.expected, std::cmp::Reverse(one.runs)));
        let wall_ns = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
        Summary { distinct, missing: missing.collect(), wall_ns, interrupted, timed_out, ..self.summary }
    }
}

impl Distinct {
    /// One more run shows it; the first that is kept stands for all.
    fn seen(&mut self, run: &Run, stored: Option<&StoredRun>) {
        self.runs += 1;
        if let (Some(stored), None) = (stored, &self.plan) {
            self.first = run.clone();
            self.plan = Some(stored.plan_path().display().to_string());
        }
    }
}

/// The same bug with a safeguard on and off is two findings: one is a bug, the other what the variant is for.
fn key(run: &Run, broken: &Broken) -> String {
    format!("{} {}", broken.fingerprint, run.variant.as_deref().unwrap_or_default())
}

fn target(run: &Run) -> String {
    match &run.variant {
        Some(variant) => format!("{} --variant {variant}", run.scenario),
        None => run.scenario.clone(),
    }
}
