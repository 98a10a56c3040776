//! What came of a batch so far: counts, and each distinct violation once. Flat in memory, however many runs there are.

use super::ledger::Entry;
use super::{Run, RunResult, has, target_name};
use crate::expectation::Judgement;
use crate::store::{Broken, Capsule, Hits, StoredRun};
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
    /// A run that shows it: the first of the batch, of those that are kept where there are any.
    pub first: Run,
    /// How many runs did.
    pub runs: u64,
    /// That run's plan, where it is kept.
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
    /// In how many runs each mark was reached; those that were not reached are absent.
    pub marks: BTreeMap<String, u64>,
    /// How often, in the runs of each scenario, a fault of each kind hit a node of each role.
    pub faults: BTreeMap<String, Hits>,
    /// Simulated time of all runs.
    pub sim_ns: u64,
    /// Events of all runs.
    pub events: u64,
    /// Runs whose plans were made of earlier ones.
    pub guided: u64,
    /// In how many situations the runs of a guided batch were, each counted once a scenario: a mark, a kind of fault that was
    /// under way, a tier.
    pub situations: u64,
    /// Real time of the batch.
    pub wall_ns: u64,
    /// Runs whose result could not be had, or not be kept: the same command tries them again.
    pub lost: u64,
    /// Ended by hand.
    pub interrupted: bool,
    /// Ended by its time limit.
    pub timed_out: bool,
}

#[derive(Default)]
pub(super) struct Tally {
    summary: Summary,
    distinct: BTreeMap<String, (Place, Distinct)>,
    /// By violation: the place in the batch of the run that is kept for it.
    claimed: BTreeMap<String, u64>,
    /// Some of the runs that did not end by themselves, by their place.
    troubles: BTreeMap<u64, (Run, String)>,
    /// Target, mark, kind of fault and tier.
    situations: BTreeSet<String>,
    /// By target and law: whether the expected violation was seen.
    expected: BTreeMap<(String, String), bool>,
}

/// Which of the runs that show a violation stands for all: one that is kept, and of those the first of the batch, so that
/// neither the number of jobs nor of shards matters.
type Place = (bool, u64);

/// A violation that its run is kept for.
pub(super) struct Claim {
    pub(super) broken: Broken,
    /// Whether no run of this batch had shown it, or only later ones, which ended first.
    pub(super) news: bool,
}

impl Tally {
    /// The violations of `result` that no earlier run of the batch showed or claimed; they are this run's from now on.
    pub(super) fn claim(&mut self, place: u64, run: &Run, result: &RunResult) -> Vec<Claim> {
        let RunResult::Ended(capsule) = result else { return Vec::new() };
        let mut claims = Vec::new();
        for broken in &capsule.violations {
            let key = key(run, broken);
            let before = self.claimed.get(&key).copied();
            if before.is_none_or(|before| place < before) {
                let news = before.is_none() && !self.distinct.contains_key(&key);
                self.claimed.insert(key, place);
                claims.push(Claim { broken: broken.clone(), news });
            }
        }
        claims
    }

    /// Takes claims back from the run at `place`: it is none that can stand for them.
    pub(super) fn release(&mut self, place: u64, run: &Run, claims: Vec<Claim>) {
        for key in claims.iter().map(|claim| key(run, &claim.broken)) {
            if self.claimed.get(&key) == Some(&place) {
                self.claimed.remove(&key);
            }
        }
    }

    /// How many violations there are so far, each counted once.
    pub(super) fn distinct(&self) -> u64 {
        u64::try_from(self.distinct.len()).unwrap_or(u64::MAX)
    }

    /// Counts a run.
    pub(super) fn add(&mut self, entry: &Entry) {
        let Entry { place, run, result, stored, learned } = entry;
        let (place, stored) = (*place, stored.as_ref());
        let summary = &mut self.summary;
        summary.runs += 1;
        summary.guided += u64::from(run.guided);
        self.situations.extend(learned.keys().map(|situation| format!("{} | {situation}", target(run))));
        let trouble = match result {
            RunResult::Ended(capsule) => {
                summary.sim_ns = summary.sim_ns.saturating_add(capsule.sim_ns);
                summary.events += capsule.events;
                for mark in capsule.marks.keys() {
                    *summary.marks.entry(mark.clone()).or_default() += 1;
                }
                let faults = summary.faults.entry(run.scenario.clone()).or_default();
                for (kind, roles) in &capsule.faults {
                    for (role, times) in roles {
                        *faults.entry(kind.clone()).or_default().entry(role.clone()).or_default() += times;
                    }
                }
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
                self.add_violations(place, run, capsule, stored);
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
            RunResult::NotDeterministic { first, second, parting } => {
                summary.not_deterministic += 1;
                let mut lines = vec![format!(
                    "not deterministic: digest {} and then {}",
                    &first[..8.min(first.len())],
                    &second[..8.min(second.len())]
                )];
                lines.extend(parting.iter().map(|line| format!("    {line}")));
                Some(lines.join("\n"))
            }
        };
        if let Some(message) = trouble {
            self.troubles.insert(place, (run.clone(), message));
            if self.troubles.len() > EXAMPLES_MAX {
                self.troubles.pop_last();
            }
        }
    }

    fn add_violations(&mut self, place: u64, run: &Run, capsule: &Capsule, stored: Option<&StoredRun>) {
        for broken in &capsule.violations {
            let key = key(run, broken);
            if stored.is_some() {
                let claimed = self.claimed.entry(key.clone()).or_insert(place);
                *claimed = place.min(*claimed);
            }
            let place = (stored.is_none(), place);
            let known = self.distinct.get(&key);
            let runs = known.map_or(0, |(_, one)| one.runs) + 1;
            if known.is_none_or(|(first, _)| place < *first) {
                let distinct = Distinct {
                    broken: broken.clone(),
                    expected: capsule.judgements.get(&broken.invariant) != Some(&Judgement::Unexpected),
                    first: run.clone(),
                    runs,
                    plan: stored.map(|stored| stored.plan_path().display().to_string()),
                };
                self.distinct.insert(key, (place, distinct));
            } else if let Some((_, one)) = self.distinct.get_mut(&key) {
                one.runs = runs;
            }
        }
    }

    pub(super) fn summary(self, wall: Duration, interrupted: bool, timed_out: bool) -> Summary {
        let missing = self.expected.into_iter().filter(|(_, seen)| !seen).map(|(target, _)| target);
        let mut distinct: Vec<Distinct> = self.distinct.into_values().map(|(_, one)| one).collect();
        // Bugs first, then what is seen most.
        distinct.sort_by_key(|one| (one.expected, std::cmp::Reverse(one.runs)));
        let wall_ns = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX);
        let troubles = self.troubles.into_values().collect();
        let missing = missing.collect();
        let situations = u64::try_from(self.situations.len()).unwrap_or(u64::MAX);
        Summary { situations, distinct, troubles, missing, wall_ns, interrupted, timed_out, ..self.summary }
    }
}

/// The same bug with a safeguard on and off is two findings: one is a bug, the other what the variant is for.
fn key(run: &Run, broken: &Broken) -> String {
    format!("{} {}", broken.fingerprint, run.variant.as_deref().unwrap_or_default())
}

fn target(run: &Run) -> String {
    target_name(&run.scenario, run.variant.as_deref())
}
