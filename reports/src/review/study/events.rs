//! What each event does, and how nodes fail together.

use super::Study;
use crate::review::answer::{BlastRadius, CommonCause, EventAnswer, Figure};
use crate::review::compose::{self, Seen};
use crate::review::models::intervals::{bound_after_none, clopper_pearson};
use crate::review::models::real;
use crate::review::outcome::Outcome;
use crate::review::rare::{self, RareError, Tally};
use std::collections::{BTreeMap, BTreeSet};

impl Study<'_> {
    pub(super) fn events(&self, shared: &[Seen<'_>]) -> Vec<EventAnswer> {
        self.review
            .events
            .iter()
            .zip(shared)
            .map(|(event, seen)| {
                let confidence = self.review.confidence;
                let runs = seen.known().count() as u64;
                let lost: Vec<u64> = seen.known().map(|outcome| outcome.lost).collect();
                let mut recoveries: Vec<f64> = seen
                    .known()
                    .map(|outcome| if outcome.recovered { outcome.recovery_seconds } else { f64::INFINITY })
                    .collect();
                EventAnswer {
                    name: event.name.clone(),
                    mechanism: event.injection.kind,
                    per_year: seen.stratum.per_year,
                    per_year_interval: [event.rate.per_year_low, event.rate.per_year_high],
                    hours: seen.stratum.hours,
                    source: event.source.clone(),
                    runs,
                    loss: chance(lost.iter().filter(|lost| **lost > 0).count() as u64, runs, confidence),
                    lost_most: lost.into_iter().max().unwrap_or(0),
                    down_hours: self.down_hours_each(seen),
                    down_share: seen.mean(Outcome::settled_share),
                    recovery_seconds: [0.5, 0.9, 0.99].map(|share| compose::quantile(&mut recoveries, share)),
                    worst_seed: worst(seen),
                    plan: None,
                }
            })
            .collect()
    }

    /// The plan of an event's worst run.
    pub fn worst_plan(&self, event: &str, runs: &crate::review::batch::Runs) -> Option<&sim::plan::Plan> {
        let stratum = self.shared.iter().find(|stratum| stratum.name == event)?;
        let seen = Seen::all(std::slice::from_ref(stratum), runs).into_iter().next()?;
        let seed = worst(&seen)?;
        stratum.plans.iter().find(|plan| plan.seed == seed)
    }

    fn down_hours_each(&self, seen: &Seen<'_>) -> Figure {
        let mut tally = Tally::default();
        seen.known().for_each(|outcome| tally.record(seen.down_hours(outcome)));
        if tally.runs == 0 {
            return Figure::None { reason: "none of its runs ended".to_owned() };
        }
        let strata = [rare::Stratum { name: seen.stratum.name.clone(), weight: 1.0 }];
        let most = seen.stratum.hours + self.run_hours();
        let result = rare::mean(&strata, &[tally], most, self.review.confidence);
        // The bound of a mean over a year is one of a year; that of a single event is the event's length.
        let result = result.map_err(|error| match error {
            RareError::Untrusted { reason, below, confidence } => {
                RareError::Untrusted { reason, below: below.min(most), confidence }
            }
            other @ RareError::Argument(_) => other,
        });
        Figure::of(result, tally.sum / real(tally.runs), tally.runs)
    }

    pub(super) fn common_causes(&self, shared: &[Seen<'_>]) -> Vec<CommonCause> {
        let roles: BTreeSet<&str> = self.review.claims.iter().map(|claim| claim.role.as_str()).collect();
        let mechanisms: BTreeSet<&str> =
            self.review.events.iter().map(|event| event.injection.kind).collect();
        let mut causes = Vec::new();
        for role in roles {
            let of = |mechanism: Option<&str>| {
                let events = self.review.events.iter().zip(shared);
                let mut weights: BTreeMap<u32, f64> = BTreeMap::new();
                let mut runs = 0;
                for (_, seen) in
                    events.filter(|(event, _)| mechanism.is_none_or(|kind| kind == event.injection.kind))
                {
                    let weight = seen.stratum.per_year / real(seen.known().count().max(1) as u64);
                    for outcome in seen.known() {
                        let down = outcome.down_at_once.get(role).copied().unwrap_or(0);
                        *weights.entry(down).or_default() += weight;
                        runs += 1;
                    }
                }
                weights.remove(&0);
                common_cause(role, mechanism.unwrap_or("all"), &weights, runs, self.review.confidence)
            };
            causes.extend(of(None));
            causes.extend(mechanisms.iter().filter_map(|mechanism| of(Some(mechanism))));
        }
        causes
    }
}

fn common_cause(
    role: &str,
    mechanism: &str,
    weights: &BTreeMap<u32, f64>,
    runs: u64,
    confidence: f64,
) -> Option<CommonCause> {
    let most = *weights.keys().last()?;
    let whole: f64 = weights.values().sum();
    let weight = |size: u32| weights.get(&size).copied().unwrap_or(0.0);
    let nodes: f64 = weights.iter().map(|(size, weight)| f64::from(*size) * weight).sum();
    let beta = match (nodes - weight(1)) / nodes {
        beta if beta > 0.0 => Figure::Computed { value: beta },
        _ => chance(0, runs, confidence),
    };
    let alpha = |size| Some(weight(size) / whole).filter(|alpha| *alpha > 0.0);
    Some(CommonCause {
        role: role.to_owned(),
        mechanism: mechanism.to_owned(),
        beta,
        alphas: (1..=most).map(alpha).collect(),
        runs,
    })
}

/// The chance that an event hits, in `runs` runs of it.
pub(super) fn chance(hits: u64, runs: u64, confidence: f64) -> Figure {
    if runs == 0 {
        return Figure::None { reason: "none of its runs ended".to_owned() };
    }
    let exact = if hits == 0 {
        bound_after_none(runs, confidence).map(|below| {
            let reason = format!("0 in {runs} is below 3/{runs}");
            Figure::Below { below, seen: None, runs, reason }
        })
    } else {
        clopper_pearson(hits, runs, confidence).map(|interval| Figure::Estimated {
            value: real(hits) / real(runs),
            interval,
            runs,
            effective_sample_size: real(runs),
        })
    };
    exact.unwrap_or_else(|error| Figure::None { reason: error.to_string() })
}

/// The seed whose run lost most, or was down longest where none lost any.
fn worst(seen: &Seen<'_>) -> Option<u64> {
    let runs = seen.stratum.plans.iter().zip(&seen.outcomes);
    let harm = |outcome: &Outcome| (outcome.lost, outcome.down_hours(seen.stratum.hours));
    let known = runs.filter_map(|(plan, outcome)| Some((plan.seed, harm((*outcome)?))));
    known
        // The first of equals, so that the same review names the same run.
        .reduce(|one, other| {
            let later = other.1.0.cmp(&one.1.0).then(other.1.1.total_cmp(&one.1.1));
            if later.is_gt() { other } else { one }
        })
        .map(|(seed, _)| seed)
}

/// The event that took most nodes at once.
pub(super) fn blast_radius(shared: &[Seen<'_>]) -> Option<BlastRadius> {
    let mut largest: Option<BlastRadius> = None;
    for seen in shared {
        let Some(plan) = seen.stratum.plans.first() else { continue };
        let of =
            u32::try_from(plan.nodes.iter().filter(|node| !node.is_client()).count()).unwrap_or(u32::MAX);
        for outcome in seen.known() {
            let nodes: u32 = outcome
                .down_at_once
                .iter()
                .filter(|(role, _)| *role != sim::plan::CLIENT_ROLE)
                .map(|(_, down)| down)
                .sum();
            let unserved = 1.0 - outcome.served.iter().copied().fold(1.0, f64::min);
            let larger = largest.as_ref().is_none_or(|one| (nodes, unserved) > (one.nodes, one.unserved));
            if larger {
                largest = Some(BlastRadius { event: seen.stratum.name.clone(), nodes, of, unserved });
            }
        }
    }
    largest
}
