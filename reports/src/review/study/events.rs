//! What each event does, and how nodes fail together.

use super::{Study, groups, heaviest};
use crate::review::answer::{BlastRadius, CommonCause, EventAnswer, Figure};
use crate::review::compose::{self, Seen};
use crate::review::file::Measure;
use crate::review::models::intervals::{bound_after_none, clopper_pearson};
use crate::review::models::real;
use crate::review::outcome::Outcome;
use std::collections::{BTreeMap, BTreeSet};

impl Study<'_> {
    pub(super) fn events(&self, shared: &[Seen<'_>]) -> Vec<EventAnswer> {
        self.review
            .events
            .iter()
            .zip(groups(shared))
            .map(|(event, seen)| {
                let confidence = self.review.confidence;
                let known: Vec<&Outcome> = seen.iter().flat_map(Seen::known).collect();
                let runs = known.len() as u64;
                let lost: Vec<u64> = known.iter().map(|outcome| outcome.lost).collect();
                let mut recoveries: Vec<f64> = known
                    .iter()
                    .map(|outcome| if outcome.recovered { outcome.recovery_seconds } else { f64::INFINITY })
                    .collect();
                let per_year: f64 = seen.iter().map(|one| one.stratum.per_year).sum();
                let settled = compose::a_year(&seen, |_, outcome| outcome.settled_share());
                EventAnswer {
                    name: event.name.clone(),
                    places: seen.iter().filter_map(|one| one.stratum.place.clone()).collect(),
                    mechanism: event.injection.kind,
                    per_year,
                    per_year_interval: [event.rate.per_year_low, event.rate.per_year_high],
                    hours: event.lasting.hours_mean(),
                    source: event.source.clone(),
                    runs,
                    loss: chance(lost.iter().filter(|lost| **lost > 0).count() as u64, runs, confidence),
                    lost_most: lost.into_iter().max().unwrap_or(0),
                    down_hours: self.a_year(Measure::Downtime, &seen).map(|hours| hours / per_year),
                    down_share: settled / per_year,
                    recovery_seconds: [0.5, 0.9, 0.99].map(|share| compose::quantile(&mut recoveries, share)),
                    replay: heaviest(&seen, &[Measure::Loss, Measure::Downtime]),
                }
            })
            .collect()
    }

    pub(super) fn common_causes(&self, shared: &[Seen<'_>]) -> Vec<CommonCause> {
        let roles: BTreeSet<&str> = self.review.claims.iter().map(|claim| claim.role.as_str()).collect();
        let mechanisms: BTreeSet<&str> =
            self.review.events.iter().map(|event| event.injection.kind).collect();
        let mut causes = Vec::new();
        for role in roles {
            let of = |mechanism: Option<&str>| {
                let kind = |one: &Seen<'_>| {
                    let event = self
                        .review
                        .events
                        .iter()
                        .find(|event| one.stratum.event.as_ref() == Some(&event.name));
                    event.map(|event| event.injection.kind)
                };
                let seen: Vec<Seen<'_>> = shared
                    .iter()
                    .filter(|one| mechanism.is_none() || kind(one) == mechanism)
                    .cloned()
                    .collect();
                common_cause(role, mechanism.unwrap_or("all"), &seen, self.review.confidence)
            };
            causes.extend(of(None));
            causes.extend(mechanisms.iter().filter_map(|mechanism| of(Some(mechanism))));
        }
        causes
    }
}

fn common_cause(role: &str, mechanism: &str, seen: &[Seen<'_>], confidence: f64) -> Option<CommonCause> {
    let mut weights: BTreeMap<u32, f64> = BTreeMap::new();
    let mut runs = 0;
    for one in seen {
        let weight = one.stratum.per_year / real(one.known().count().max(1) as u64);
        for outcome in one.known() {
            *weights.entry(outcome.down_at_once.get(role).copied().unwrap_or(0)).or_default() += weight;
            runs += 1;
        }
    }
    weights.remove(&0);
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
        replay: heaviest(seen, &[Measure::Loss, Measure::Downtime]),
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
