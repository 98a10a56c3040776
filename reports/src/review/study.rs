//! A review from its plans to its answer: which runs it takes, and what they say once they are made.

mod claims;
mod curves;
mod events;
mod sets;

use super::answer::{Answer, Change, Contributor, Floor, FloorStep, MitigationAnswer};
use super::batch::Runs;
use super::compose::{self, Seen};
use super::file::{Claim, Measure, Review};
use super::models::Interval;
use super::strata::{Strata, Stratum};
use scenarios::ScenarioError;
use scenarios::scenario::Scenario;
use sets::Candidate;
use sim::plan::Plan;
use sim::stack::Stack;
use std::collections::{BTreeMap, BTreeSet};

/// All runs of a review.
pub struct Study<'a> {
    review: &'a Review,
    strata: Strata<'a>,
    /// The events as they are.
    shared: Vec<Stratum>,
    /// The events with every domain private.
    private: Vec<Stratum>,
    /// By role of a claim: coincidences of all events, and of those that take one node at a time.
    overlaps: BTreeMap<&'a str, [Vec<Stratum>; 2]>,
    /// The events as they are, on as many seeds as mitigations have.
    unmitigated: Vec<Stratum>,
    /// Mitigations, one and two at once.
    mitigated: Vec<Mitigated>,
    /// For each claim, and each number of replicas.
    floors: Vec<(&'a Claim, Steps)>,
    sets: Vec<Candidate>,
}

impl<'a> Study<'a> {
    /// Makes every plan of the review.
    ///
    /// # Errors
    /// Where a setting is not the stack's.
    pub fn new(review: &'a Review, stack: &'a dyn Stack) -> Result<Self, ScenarioError> {
        let strata = Strata { review, stack };
        let (topology, seeds) = (&review.topology, review.seeds);
        let mut overlaps = BTreeMap::new();
        for claim in &review.claims {
            let of = |only_private| strata.overlaps(topology, &claim.role, only_private, seeds);
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
            floors: floors(&strata)?,
            sets: sets::candidates(&strata)?,
            review,
            strata,
        })
    }

    /// All of its plans, some of them more than once.
    pub fn plans(&self) -> Vec<&Plan> {
        let overlaps = self.overlaps.values().flatten();
        let mitigated = self.mitigated.iter().map(|(_, strata)| strata);
        let floors = self.floors.iter().flat_map(|(_, steps)| steps.iter().map(|(_, _, strata)| strata));
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
        let mut all = Seen::all(&self.shared, runs);
        all.extend(self.overlaps.values().flat_map(|[_, private]| Seen::all(private, runs)));
        let claims = review.claims.iter().map(|claim| self.claim(claim, runs)).collect::<Result<_, _>>()?;
        let down: f64 =
            all.iter().map(|one| one.stratum.per_year * one.mean(|outcome| one.down_hours(outcome))).sum();
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
            contributors: contributors(&all),
            after_trigger: (down > 0.0).then(|| after / down),
            blast_radius: events::blast_radius(&shared),
            common_causes: self.common_causes(&shared),
            mitigations: self.mitigations(runs),
            floors: self.floor_answers(runs)?,
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
        let failed = self.plans().into_iter().filter_map(|plan| match runs.of(plan) {
            Some(super::batch::Ran::Failed(why)) => {
                let faults: Vec<&str> = plan.faults.iter().map(|fault| fault.name.as_str()).collect();
                Some(format!("{}, seed {}: {why}", faults.join(", "), plan.seed))
            }
            None => Some("not run: the review was interrupted".to_owned()),
            Some(super::batch::Ran::Ended(_)) => None,
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
            let losses_before = compose::a_year(&before, |one, outcome| one.lost(outcome));
            let down_hours_before = compose::a_year(&before, |one, outcome| one.down_hours(outcome));
            // Nothing falls below none.
            let floor = |change: Change, before: f64| Change {
                interval: Interval { low: change.interval.low.max(-before), ..change.interval },
                ..change
            };
            Some(MitigationAnswer {
                names: names.clone(),
                pairs,
                losses: floor(losses, losses_before),
                down_hours: floor(down_hours, down_hours_before),
                losses_before,
                down_hours_before,
            })
        });
        answers.collect()
    }

    fn floor_answers(&self, runs: &Runs) -> Result<Vec<Floor>, ScenarioError> {
        let mut floors = Vec::new();
        for (claim, steps) in &self.floors {
            let mut answers: Vec<FloorStep> = Vec::new();
            for (replicas, topology, strata) in steps {
                let failures = failures_at(claim, self.review, *replicas);
                let formula = self.formula(claim, topology, failures)?;
                let correlated = self.weighed(claim.measure, &Seen::all(strata, runs));
                let nodes = self.strata.node_failures(topology, &claim.role)?;
                let effective_replicas = self.effective(claim, nodes, &correlated);
                answers.push(FloorStep {
                    replicas: *replicas,
                    failures,
                    formula,
                    correlated,
                    effective_replicas,
                });
            }
            floors.push(Floor {
                claim: claim.name.clone(),
                stops_helping: stops_helping(&answers),
                steps: answers,
            });
        }
        Ok(floors)
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
        let load = super::figures::rough(self.review.topology.rate_per_s);
        left_out.push(format!(
            "load: {load} requests a second in every run; the busier the service, the likelier an outage finds one at risk"
        ));
        if !self.floors.is_empty() {
            left_out.push(
                "the floor's column of the world as it is holds the events alone, without coincidences"
                    .to_owned(),
            );
        }
        left_out
    }
}

/// From how many replicas on one more improves by less than a tenth.
fn stops_helping(steps: &[FloorStep]) -> Option<u32> {
    let value = |step: &FloorStep| step.correlated.value();
    let helps = |pair: &[FloorStep]| match (value(&pair[0]), value(&pair[1])) {
        (Some(before), Some(after)) => after < before * 0.9,
        (Some(_), None) => true,
        (None, _) => false,
    };
    // From the first number of replicas after which none helps.
    let last = steps.windows(2).rposition(helps).map_or(0, |place| place + 1);
    let step = steps.get(last)?;
    (last + 1 < steps.len() && value(step).is_some()).then_some(step.replicas)
}

/// How many of `replicas` must fail together for the claim to break: all where it says all, a majority where it says that.
fn failures_at(claim: &Claim, review: &Review, replicas: u32) -> u32 {
    let now =
        review.topology.nodes.iter().find(|nodes| nodes.role == claim.role).map_or(0, |nodes| nodes.count);
    if claim.failures == now {
        replicas
    } else if claim.failures == now - now / 2 {
        replicas - replicas / 2
    } else {
        claim.failures.min(replicas)
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

/// Numbers of replicas, each with its world and the events in it.
type Steps = Vec<(u32, Scenario, Vec<Stratum>)>;

fn floors<'a>(strata: &Strata<'a>) -> Result<Vec<(&'a Claim, Steps)>, ScenarioError> {
    let review = strata.review;
    let Some(seeds) = review.floor_seeds else { return Ok(Vec::new()) };
    let mut floors = Vec::new();
    for claim in &review.claims {
        let mut steps = Vec::new();
        for replicas in 1..=review.floor_replicas {
            let mut topology = review.topology.clone();
            topology
                .nodes
                .iter_mut()
                .filter(|nodes| nodes.role == claim.role)
                .for_each(|nodes| nodes.count = replicas);
            let plans = strata.shared(&topology, seeds)?;
            steps.push((replicas, topology, plans));
        }
        floors.push((claim, steps));
    }
    Ok(floors)
}

/// Fussell–Vesely and risk reduction worth of every stratum, for loss and for downtime, the largest first.
fn contributors(seen: &[Seen<'_>]) -> Vec<Contributor> {
    let mut contributors = Vec::new();
    for measure in [Measure::Loss, Measure::Downtime] {
        let of = |one: &Seen<'_>| {
            let mean = match measure {
                Measure::Loss => one.mean(|outcome| one.lost(outcome)),
                Measure::Downtime => one.mean(|outcome| one.down_hours(outcome)),
            };
            one.stratum.per_year * mean
        };
        let all: f64 = seen.iter().map(of).sum();
        let mut own: Vec<Contributor> = seen
            .iter()
            .map(|one| (one, of(one)))
            .filter(|(_, per_year)| *per_year > 0.0)
            .map(|(one, per_year)| Contributor {
                measure,
                name: one.stratum.name.clone(),
                per_year,
                share: per_year / all,
                reduction_worth: (all > per_year).then(|| all / (all - per_year)),
            })
            .collect();
        own.sort_by(|one, other| other.per_year.total_cmp(&one.per_year));
        contributors.extend(own);
    }
    contributors
}
