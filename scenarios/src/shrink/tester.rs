//! Asks of plans whether they still fail in the same way, several at once, none twice.
#![expect(clippy::disallowed_types, reason = "shrinking has a time limit")]

use super::ShrinkOptions;
use crate::guarded::{self, Budget, Ending, Guarded};
use crate::runner::RunReport;
use crate::store::{Broken, plan_digest};
use invariants::Verdict;
use sim::plan::Plan;
use sim::stack::Stack;
use sim::world::FreshChance;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The failure that must stay: law, fingerprint and verdict.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    law: String,
    fingerprint: String,
    verdict: Verdict,
}

impl Answer {
    pub(crate) fn to(broken: &Broken, verdict: Verdict) -> Self {
        Self { law: broken.invariant.clone(), fingerprint: broken.fingerprint.clone(), verdict }
    }

    fn is_in(&self, report: &RunReport) -> bool {
        let verdict = report.laws.iter().find(|law| law.law.name == self.law).map(|law| law.finding.verdict);
        verdict == Some(self.verdict) && report.broken().iter().any(|one| one.fingerprint == self.fingerprint)
    }

    /// Whether `plan` fails like this. A plan that cannot be run, or goes past its budget, does not.
    pub(crate) fn fails(&self, plan: &Plan, stack: &Arc<dyn Stack>, budget: Budget) -> bool {
        // Most violations are certain long before the run ends; one of another shape may come first, though.
        let early = Guarded { budget, until_broken: Some(self.law.clone()), ..Guarded::default() };
        match guarded::run(plan, stack, &early) {
            Ok(Ending::Ended(report)) if self.is_in(&report) => true,
            Ok(Ending::Ended(report)) if report.cut_off.is_some() => {
                let whole = Guarded { budget, ..Guarded::default() };
                matches!(guarded::run(plan, stack, &whole), Ok(Ending::Ended(report)) if self.is_in(&report))
            }
            _ => false,
        }
    }

    /// Whether the law holds in `plan`, with chance drawn anew from a moment on. Broken in another way is broken, and a run
    /// past its budget shows nothing.
    pub(crate) fn passes(
        &self,
        plan: &Plan,
        stack: &Arc<dyn Stack>,
        budget: Budget,
        fresh_chance: Option<FreshChance>,
    ) -> bool {
        let until_broken = Some(self.law.clone());
        let guarded = Guarded { budget, until_broken, fresh_chance, ..Guarded::default() };
        let Ok(Ending::Ended(report)) = guarded::run(plan, stack, &guarded) else { return false };
        report.cut_off.is_none() && report.broken().iter().all(|broken| broken.invariant != self.law)
    }
}

/// Asks of many plans.
pub(crate) struct Tester<'a> {
    stack: &'a Arc<dyn Stack>,
    answer: Answer,
    budget: Budget,
    jobs: usize,
    runs_max: u32,
    runs: u32,
    until: Option<Instant>,
    stop: &'a AtomicBool,
    spent: bool,
    tried: BTreeMap<String, bool>,
}

impl<'a> Tester<'a> {
    pub(crate) fn new(
        stack: &'a Arc<dyn Stack>,
        options: &ShrinkOptions,
        answer: Answer,
        stop: &'a AtomicBool,
    ) -> Self {
        Self {
            stack,
            answer,
            budget: options.budget,
            jobs: options.jobs.max(1),
            runs_max: options.runs_max,
            // The run that showed the violation.
            runs: 1,
            until: options.time_limit.map(|limit| Instant::now() + limit),
            stop,
            spent: false,
            tried: BTreeMap::new(),
        }
    }

    /// The first of `plans` that still fails. However many run at once, it is the first in order.
    pub(crate) fn first(&mut self, plans: &[Plan]) -> Option<usize> {
        for (round, chunk) in plans.chunks(self.jobs).enumerate() {
            let unknown = chunk.iter().filter(|plan| !self.tried.contains_key(&plan_digest(plan))).count();
            if unknown > 0 && !self.may_run() {
                return None;
            }
            let answers = self.ask(chunk);
            if let Some(place) = answers.iter().position(|fails| *fails) {
                return Some(round * self.jobs + place);
            }
        }
        None
    }

    fn may_run(&mut self) -> bool {
        let late = self.until.is_some_and(|until| Instant::now() >= until);
        self.spent |= late || self.runs >= self.runs_max || self.stop.load(Ordering::Relaxed);
        !self.spent
    }

    fn ask(&mut self, plans: &[Plan]) -> Vec<bool> {
        let digests: Vec<String> = plans.iter().map(plan_digest).collect();
        let (answer, stack, budget, tried) = (&self.answer, self.stack, self.budget, &self.tried);
        let answers: Vec<(bool, bool)> = std::thread::scope(|scope| {
            let asked: Vec<_> = plans
                .iter()
                .zip(&digests)
                .map(|(plan, digest)| match tried.get(digest) {
                    Some(known) => Err(*known),
                    None => Ok(scope.spawn(move || answer.fails(plan, stack, budget))),
                })
                .collect();
            let wait = |asked: Result<std::thread::ScopedJoinHandle<'_, bool>, bool>| match asked {
                Ok(thread) => (thread.join().unwrap_or(false), true),
                Err(known) => (known, false),
            };
            asked.into_iter().map(wait).collect()
        });
        for (digest, (fails, new)) in digests.into_iter().zip(&answers) {
            self.runs += u32::from(*new);
            self.tried.insert(digest, *fails);
        }
        answers.into_iter().map(|(fails, _)| fails).collect()
    }

    pub(crate) fn runs(&self) -> u32 {
        self.runs
    }

    /// Whether runs or time ran out.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent
    }
}
