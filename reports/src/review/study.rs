//! A review from its plans to its answer: which runs it takes, and what they say once they are made.

mod claims;
mod contributors;
mod curves;
mod events;
mod floors;
mod sets;

use super::answer::{Answer, Change, Figure, MitigationAnswer};
use super::batch::Runs;
use super::compose::{self, Seen};
use super::file::{Claim, Measure, Review};
use super::models::Interval;
use super::strata::{Strata, Stratum};
use floors::Step;
use scenarios::ScenarioError;
use sets::Candidate;
use sim::plan::Plan;
use sim::stack::Stack;
use std::collections::{BTreeMap, BTreeSet};

/// All runs of a review.
pub struct Study<'a> {
    review: &'a Review,
    strata: Strata<'a>,
    /// The events as they are, place by place.
    shared: Vec<Stratum>,
    /// The events with every domain private, node by node.
    private: Vec<Stratum>,
    /// By role of a claim: coincidences of all events, and of those that take one node at a time.
    overlaps: BTreeMap<&'a str, [Vec<Stratum>; 2]>,
    /// The events as they are, on as many seeds as mitigations have.
    unmitigated: Vec<Stratum>,
    /// Mitigations, one and two at once.
    mitigated: Vec<Mitigated>,
    /// For each claim, and each number of replicas.
    floors: Vec<(&'a Claim, Vec<Step>)>,
    sets: Vec<Candidate>,
}

impl<'a> Study<'a> {
    /// Makes every plan of the review.
    ///
    /// # Errors
    /// Where a setting is not the stack's.
    pub fn new(review: &'a Review, stack: &'a dyn Stack) -> Result<Self, ScenarioError> {
        let strata = Strata::new(review, stack);
        let (topology, seeds) = (&review.topology, review.seeds);
        let mut overlaps = BTreeMap::new();
        for claim in &review.claims {
            let of = |only_private| strata.overlaps(topology, &claim.role, only_private, 2, seeds);
            overlaps.insert(claim.role.as_str(), [of(false)?, of(true)?]);
        }
        Ok(Self {
            shared: strata.shared(topology, seeds)?,
            private: strata.private(topology, seeds)?,
            overlaps,
            unmitigated: if review.mitigations.is_empty() {
                Vec::new()
            } else {
                strata.shared(topology, review.mitigation_seeds)?
            },
            mitigated: mitigated(&strata)?,
            floors: floors::steps(&strata)?,
            sets: sets::candidates(&strata)?,
            review,
            strata,
        })
    }

    /// All of its plans, some of them more than once.
    pub fn plans(&self) -> Vec<&Plan> {
        let overlaps = self.overlaps.values().flatten();
        let mitigated = self.mitigated.iter().map(|(_, strata)| strata);
        let floors = self.floors.iter().flat_map(|(_, steps)| steps);
        let floors = floors.flat_map(|step| [&step.events, &step.twin]);
        [&self.shared, &self.private, &self.unmitigated]
            .into_iter()
            .chain(overlaps)
            .chain(mitigated)
            .chain(floors)
            .flatten()
            .flat_map(|stratum| &stratum.plans)
            .chain(self.sets.iter().flat_map(|set| &set.plans))
            .collect()
    }

    /// What `runs` say.
    ///
    /// # Errors
    /// Where a setting is not the stack's.
    pub fn answer(&self, runs: &Runs) -> Result<Answer, ScenarioError> {
        let review = self.review;
        let shared = Seen::all(&self.shared, runs);
        let mut all = shared.clone();
        all.extend(self.overlaps.values().flat_map(|[_, private]| Seen::all(private, runs)));
        let claims = review.claims.iter().map(|claim| self.claim(claim, runs)).collect::<Result<_, _>>()?;
        let down: f64 =
            all.iter().map(|one| one.stratum.per_year * one.mean(|outcome| one.down_hours(outcome))).sum();
        let mitigations = self.mitigations(runs);
        let after = compose::a_year(&all, |_, outcome| outcome.down_after_seconds / 3_600.0);
        let plans: BTreeSet<String> = self.plans().into_iter().map(scenarios::store::plan_digest).collect();
        Ok(Answer {
            review: review.name.clone(),
            why: review.why.trim().to_owned(),
            horizon_hours: review.horizon_hours,
            confidence: review.confidence,
            first_seed: review.base,
            seeds: review.seeds,
            runs: plans.len() as u64,
            failed: self.failed(runs),
            claims,
            events: self.events(&shared),
            contributors: self.contributors(&all),
            after_trigger: (down > 0.0).then(|| after / down),
            blast_radius: events::blast_radius(&shared),
            common_causes: self.common_causes(&shared),
            floors: self.floor_answers(runs, &mitigations)?,
            mitigations,
            minimal_sets: sets::minimal(&self.sets, runs),
            production: review.production.clone(),
            curves: self.curves(&shared, &all, runs)?,
            known_answers: super::known::answers(),
            not_modelled: self.not_modelled(),
        })
    }

    /// Hours that one run's load lasts.
    fn run_hours(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "hours of a run")]
        let nanoseconds = self.review.run.duration_ns() as f64;
        nanoseconds / 3.6e12
    }

    fn failed(&self, runs: &Runs) -> Vec<String> {
        let failed = self.plans().into_iter().filter_map(|plan| {
            let Some(ran) = runs.of(plan) else {
                return Some("not run: the review was interrupted".to_owned());
            };
            let why = ran.why_none()?;
            let faults: Vec<&str> = plan.faults.iter().map(|fault| fault.name.as_str()).collect();
            Some(format!("{}, seed {}: {why}", faults.join(", "), plan.seed))
        });
        failed.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn mitigations(&self, runs: &Runs) -> Vec<MitigationAnswer> {
        let before = Seen::all(&self.unmitigated, runs);
        let confidence = self.review.confidence;
        let answers = self.mitigated.iter().filter_map(|(names, strata)| {
            let after = Seen::all(strata, runs);
            let longest = |one: &Seen<'_>| one.stratum.hours + self.run_hours();
            let (losses, pairs) =
                compose::change(&before, &after, confidence, |_| 1.0, |one, outcome| one.lost(outcome))?;
            let (down_hours, _) = compose::change(&before, &after, confidence, longest, |one, outcome| {
                one.down_hours(outcome)
            })?;
            let losses_before = compose::losses(&before, confidence);
            let down_hours_before = compose::down_hours(&before, confidence, self.run_hours());
            // Nothing falls below none, and no more can go than there may be.
            let floor = |change: Change, before: &Figure| Change {
                interval: Interval {
                    low: change.interval.low.max(-before.below().unwrap_or(f64::INFINITY)),
                    ..change.interval
                },
                ..change
            };
            Some(MitigationAnswer {
                names: names.clone(),
                pairs,
                losses: floor(losses, &losses_before),
                down_hours: floor(down_hours, &down_hours_before),
                losses_before,
                down_hours_before,
                replay: heaviest(&after, &[Measure::Loss, Measure::Downtime]),
            })
        });
        answers.collect()
    }

    /// Losses, or hours of downtime, a year.
    fn a_year(&self, measure: Measure, seen: &[Seen<'_>]) -> Figure {
        match measure {
            Measure::Loss => compose::losses(seen, self.review.confidence),
            Measure::Downtime => compose::down_hours(seen, self.review.confidence, self.run_hours()),
        }
    }

    /// The plans of all runs that an answer names, by the names that it gives them.
    pub fn plans_by_name(&self) -> BTreeMap<String, &Plan> {
        self.plans().into_iter().map(|plan| (plan_name(plan), plan)).collect()
    }

    fn not_modelled(&self) -> Vec<String> {
        let mut left_out: Vec<String> = [
            "people: how long somebody takes to notice, decide and repair is part of an event's length, an input",
            "what lasts longer than a simulated fault is extrapolated: the share of its second half that was down goes on until its end",
            "two shared events at once, and a shared event while a node is down for another cause",
            "wear, seasons and trends: every frequency is the same all year",
            "a mitigation's own failures and its cost",
        ]
        .map(str::to_owned)
        .to_vec();
        let load = super::figures::rough(self.review.topology.workload.rate_per_s);
        left_out.push(format!(
            "load: {load} requests a second in every run; the busier the service, the likelier an outage finds one at risk"
        ));
        if !self.floors.is_empty() {
            left_out.push(
                "the floor's column of the world as it is holds the events alone, without coincidences; that of the twin the \
                 failures of that role alone"
                    .to_owned(),
            );
        }
        left_out
    }
}

/// Mitigations by their names, and the events with them.
type Mitigated = (Vec<String>, Vec<Stratum>);

fn mitigated(strata: &Strata<'_>) -> Result<Vec<Mitigated>, ScenarioError> {
    let review = strata.review;
    let (mitigations, seeds) = (&review.mitigations, review.mitigation_seeds);
    let mut all = Vec::new();
    for one in mitigations {
        all.push((vec![one.name.clone()], strata.shared(&review.topology.with(one), seeds)?));
    }
    for (place, one) in mitigations.iter().enumerate().filter(|_| review.combinations) {
        for other in &mitigations[place + 1..] {
            let both = review.topology.with(one).with(other);
            all.push((vec![one.name.clone(), other.name.clone()], strata.shared(&both, seeds)?));
        }
    }
    Ok(all)
}

/// The event's name, or the coincidence's, of a group of strata.
fn name_of<'s>(seen: &[Seen<'s>]) -> &'s str {
    seen.first().map_or("", |one| one.stratum.event.as_deref().unwrap_or(&one.stratum.name))
}

/// Strata by event, in their order; each coincidence by itself.
fn groups<'s>(all: &[Seen<'s>]) -> Vec<Vec<Seen<'s>>> {
    let mut groups: Vec<Vec<Seen<'s>>> = Vec::new();
    for one in all {
        match groups.last_mut() {
            Some(last) if name_of(last) == name_of(std::slice::from_ref(one)) => last.push(one.clone()),
            _ => groups.push(vec![one.clone()]),
        }
    }
    groups
}

/// How a review names the plan of one of its runs: as a file.
fn plan_name(plan: &Plan) -> String {
    format!("{}-seed{}.toml", scenarios::store::plan_digest(plan), plan.seed)
}

/// The run that weighs most by the first of `measures` by which any does; the first of equals, so that the same review names the
/// same run.
fn heaviest(seen: &[Seen<'_>], measures: &[Measure]) -> Option<String> {
    let mut heaviest: Option<(f64, &Plan)> = None;
    for measure in measures {
        for one in seen {
            for (plan, outcome) in one.stratum.plans.iter().zip(&one.outcomes) {
                let Some(outcome) = outcome else { continue };
                #[expect(clippy::cast_precision_loss, reason = "for an order")]
                let harm = match measure {
                    Measure::Loss => outcome.lost as f64,
                    Measure::Downtime => one.down_hours(outcome),
                };
                let weight = one.stratum.per_year * harm;
                if heaviest.is_none_or(|(most, _)| weight > most) {
                    heaviest = Some((weight, plan));
                }
            }
        }
        if heaviest.is_some_and(|(weight, _)| weight > 0.0) {
            break;
        }
    }
    heaviest.map(|(_, plan)| plan_name(plan))
}
