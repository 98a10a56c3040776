//! Why a run fails: which faults it takes, which safeguards would have held it, and until when it could have been saved.

mod words;

use crate::describe;
use crate::guarded::Budget;
use crate::shrink::Answer;
use crate::store::Broken;
use invariants::Verdict;
use serde::{Deserialize, Serialize};
use sim::fault::Fault;
use sim::plan::Plan;
use sim::stack::Stack;
use sim::world::FreshChance;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// The version of explanations in files.
pub const EXPLANATION_VERSION: u32 = 1;

/// How much is asked.
#[derive(Clone, Copy, Debug)]
pub struct ExplainOptions {
    /// How many runs at once.
    pub jobs: usize,
    /// With how many other chances each moment is tried.
    pub branches: u64,
    /// How many moments are tried at first, evenly over the run; the place between two of them is then halved.
    pub moments: u64,
    /// How often it is halved.
    pub halvings: u32,
    /// What each run may cost.
    pub budget: Budget,
}

impl Default for ExplainOptions {
    fn default() -> Self {
        Self { jobs: 1, branches: 8, moments: 8, halvings: 5, budget: Budget::default() }
    }
}

/// Why a run fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// [`EXPLANATION_VERSION`].
    pub v: u32,
    /// The law that is broken.
    pub invariant: String,
    /// How: equal for equal bugs.
    pub fingerprint: String,
    /// Each fault of the plan, and whether the law holds without it.
    pub faults: Vec<WithoutFault>,
    /// Each setting that is off its default, and whether the law holds with the default.
    pub safeguards: Vec<WithSafeguard>,
    /// Until when other chance could have saved the run.
    pub no_return: NoReturn,
}

/// One fault taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WithoutFault {
    /// Its name.
    pub name: String,
    /// What it does, in plain words.
    pub what: String,
    /// Whether the law holds without it.
    pub passes: bool,
    /// Where several nodes share what fails: whether the law holds when it takes only one of them, whichever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passes_if_not_shared: Option<bool>,
}

/// One safeguard turned on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WithSafeguard {
    /// The setting.
    pub setting: String,
    /// What it is in the plan.
    pub value: String,
    /// What it would be.
    pub default: String,
    /// What the setting is for.
    pub why: String,
    /// Whether the law holds then.
    pub passes: bool,
}

/// Until when other chance could have saved the run, all else equal: a run is saved where the law holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NoReturn {
    /// The latest moment from which some other chance saved it; none where not even other chance from the start did:
    /// then the faults and requests alone decide.
    pub at_ns: Option<u64>,
    /// Every moment that was tried, in order of time.
    pub tried: Vec<Moment>,
}

/// A moment, and what other chance from there came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Moment {
    /// When.
    pub at_ns: u64,
    /// How many runs were saved.
    pub saved: u64,
    /// Of how many.
    pub of: u64,
}

/// Explains the failure `broken`, with this verdict, of `plan`: best of a plan that was shrunk. None where it was stopped.
pub fn explain(
    plan: &Plan,
    broken: &Broken,
    verdict: Verdict,
    stack: &Arc<dyn Stack>,
    options: &ExplainOptions,
    stop: &AtomicBool,
) -> Option<Explanation> {
    let asker = Asker { answer: Answer::to(broken, verdict), stack, options, stop };
    let faults = asker.faults(plan)?;
    let safeguards = asker.safeguards(plan)?;
    let no_return = asker.no_return(plan, broken)?;
    Some(Explanation {
        v: EXPLANATION_VERSION,
        invariant: broken.invariant.clone(),
        fingerprint: broken.fingerprint.clone(),
        faults,
        safeguards,
        no_return,
    })
}

struct Asker<'a> {
    answer: Answer,
    stack: &'a Arc<dyn Stack>,
    options: &'a ExplainOptions,
    stop: &'a AtomicBool,
}

impl Asker<'_> {
    /// Whether each of `plans` passes; none where it was stopped.
    fn passes(&self, plans: &[(Plan, Option<FreshChance>)]) -> Option<Vec<bool>> {
        let (next, answers) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        std::thread::scope(|scope| {
            for _ in 0..self.options.jobs.max(1) {
                scope.spawn(|| {
                    loop {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        let Some((plan, fresh_chance)) = plans.get(place) else { return };
                        if self.stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let budget = self.options.budget;
                        let passes = self.answer.passes(plan, self.stack, budget, *fresh_chance);
                        answers.lock().unwrap_or_else(PoisonError::into_inner).insert(place, passes);
                    }
                });
            }
        });
        let answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
        (answers.len() == plans.len()).then(|| answers.into_values().collect())
    }

    fn faults(&self, plan: &Plan) -> Option<Vec<WithoutFault>> {
        let without = |index: usize| {
            let mut plan = plan.clone();
            plan.faults.remove(index);
            (plan, None)
        };
        let passes = self.passes(&(0..plan.faults.len()).map(without).collect::<Vec<_>>())?;
        let faults = plan.faults.iter().enumerate().zip(passes);
        faults
            .map(|((index, fault), passes)| {
                let passes_if_not_shared = match self.alone(plan, index, fault) {
                    alone if alone.len() < 2 => None,
                    alone => Some(self.passes(&alone)?.into_iter().all(|passes| passes)),
                };
                let (name, what) = (fault.name.clone(), describe::fault(fault));
                Some(WithoutFault { name, what, passes, passes_if_not_shared })
            })
            .collect()
    }

    /// The plans in which a shared cause takes one of its nodes only.
    fn alone(&self, plan: &Plan, index: usize, fault: &Fault) -> Vec<(Plan, Option<FreshChance>)> {
        if fault.shared.is_none() {
            return Vec::new();
        }
        let alone = crate::shrink::one_target_each(&fault.inject).into_iter();
        let plan_of = |inject| {
            let mut plan = plan.clone();
            plan.faults[index].inject = inject;
            (plan, None)
        };
        alone.map(plan_of).collect()
    }

    fn safeguards(&self, plan: &Plan) -> Option<Vec<WithSafeguard>> {
        let off = plan.settings.iter().filter_map(|(name, value)| {
            let setting = self.stack.settings().iter().find(|setting| setting.name == name)?;
            (setting.default != value).then_some((setting, value))
        });
        let off: Vec<_> = off.collect();
        let with = |name: &str| {
            let mut plan = plan.clone();
            plan.settings.remove(name);
            (plan, None)
        };
        let passes = self.passes(&off.iter().map(|(setting, _)| with(setting.name)).collect::<Vec<_>>())?;
        let turned_on = off.into_iter().zip(passes).map(|((setting, value), passes)| WithSafeguard {
            setting: setting.name.to_owned(),
            value: value.clone(),
            default: setting.default.to_owned(),
            why: setting.why.to_owned(),
            passes,
        });
        Some(turned_on.collect())
    }

    fn no_return(&self, plan: &Plan, broken: &Broken) -> Option<NoReturn> {
        let end_ns = broken.at_ns.min(plan.duration_ns);
        let count = self.options.moments.max(1);
        let mut tried: Vec<Moment> = Vec::new();
        for step in 0..count {
            tried.push(self.moment(plan, end_ns / count * step)?);
        }
        let last_saved = tried.iter().rposition(|moment| moment.saved > 0);
        let Some(place) = last_saved else { return Some(NoReturn { at_ns: None, tried }) };
        let mut saved_ns = tried[place].at_ns;
        let mut lost_ns = tried.get(place + 1).map_or(end_ns, |moment| moment.at_ns);
        for _ in 0..self.options.halvings {
            let middle_ns = saved_ns.midpoint(lost_ns);
            let moment = self.moment(plan, middle_ns)?;
            if moment.saved > 0 {
                saved_ns = middle_ns;
            } else {
                lost_ns = middle_ns;
            }
            tried.push(moment);
        }
        tried.sort_by_key(|moment| moment.at_ns);
        Some(NoReturn { at_ns: Some(saved_ns), tried })
    }

    fn moment(&self, plan: &Plan, from_ns: u64) -> Option<Moment> {
        let branch = |salt| (plan.clone(), Some(FreshChance { from_ns, salt }));
        let passes = self.passes(&(1..=self.options.branches).map(branch).collect::<Vec<_>>())?;
        let saved = passes.iter().filter(|passes| **passes).count();
        Some(Moment { at_ns: from_ns, saved: u64::try_from(saved).unwrap_or(0), of: self.options.branches })
    }
}
