//! From outcomes of runs to a year: strata weighed by their frequencies.

use super::answer::{Change, Figure};
use super::batch::{Ran, Runs};
use super::models::intervals::{bound_after_none, two_sided_quantile};
use super::models::{HOURS_PER_YEAR, Interval, real};
use super::outcome::Outcome;
use super::rare::{self, Tally};
use super::strata::Stratum;
use sim::plan::Plan;

/// A stratum with the outcomes of its runs.
#[derive(Clone)]
pub struct Seen<'a> {
    /// The stratum.
    pub stratum: &'a Stratum,
    /// Its outcomes by the place of their seeds; none where a run failed or was not made.
    pub outcomes: Vec<Option<&'a Outcome>>,
}

impl<'a> Seen<'a> {
    /// The strata with what is known of their runs.
    pub fn all(strata: &'a [Stratum], runs: &'a Runs) -> Vec<Self> {
        strata
            .iter()
            .map(|stratum| Self {
                stratum,
                outcomes: stratum.plans.iter().map(|plan| runs.of(plan).and_then(Ran::outcome)).collect(),
            })
            .collect()
    }

    /// The outcomes that there are.
    pub fn known(&self) -> impl Iterator<Item = &'a Outcome> {
        self.outcomes.iter().copied().flatten()
    }

    /// 1 where acknowledged requests were lost.
    pub fn lost(&self, outcome: &Outcome) -> f64 {
        if outcome.lost > 0 { 1.0 } else { 0.0 }
    }

    /// Hours of downtime, if it lasts as long as it does on the mean.
    pub fn down_hours(&self, outcome: &Outcome) -> f64 {
        outcome.down_hours(self.stratum.hours)
    }

    fn tally(&self, measure: impl Fn(&Outcome) -> f64) -> Tally {
        let mut tally = Tally::default();
        self.known().for_each(|outcome| tally.record(measure(outcome)));
        tally
    }

    /// The mean over its runs.
    pub fn mean(&self, measure: impl Fn(&Outcome) -> f64) -> f64 {
        let tally = self.tally(measure);
        if tally.runs == 0 { 0.0 } else { tally.sum / real(tally.runs) }
    }
}

/// Losses a year.
pub fn losses(seen: &[Seen<'_>], confidence: f64) -> Figure {
    let tallies: Vec<Tally> = seen.iter().map(|one| one.tally(|outcome| one.lost(outcome))).collect();
    let per_year: Vec<f64> = seen.iter().map(|one| one.stratum.per_year).collect();
    figure(seen, &tallies, &per_year, |strata| rare::probability(strata, &tallies, confidence))
}

/// Hours a year: `share` is what part of each event's own hours, and of a run's `run_hours` beside them, an outcome counts.
///
/// Outcomes are of two sorts: those that took half of the hours and more, and all others. How likely the first sort is in a stratum
/// has an exact interval, and with it what runs that were not made may hide; within a sort, outcomes vary little, and have the normal
/// law's. Strata are put together as in [`rare::probability`].
fn hours(
    seen: &[Seen<'_>],
    confidence: f64,
    run_hours: f64,
    share: impl Fn(&Seen<'_>, &Outcome) -> f64,
) -> Figure {
    let longest = |one: &Seen<'_>| one.stratum.hours + run_hours;
    let tallies: Vec<Tally> = seen.iter().map(|one| one.tally(|outcome| share(one, outcome))).collect();
    let per_year: Vec<f64> = seen.iter().map(|one| one.stratum.per_year * longest(one)).collect();
    let parts: Vec<[Tally; 2]> = seen
        .iter()
        .map(|one| {
            let mut parts = [Tally::default(); 2];
            one.known().map(|outcome| share(one, outcome)).for_each(|share| {
                parts[usize::from(share >= 0.5)].record(share);
            });
            parts
        })
        .collect();
    figure(seen, &tallies, &per_year, |strata| rare::mean_of_two_sorts(strata, &parts, confidence))
}

/// Hours of downtime a year; a run itself lasts `run_hours`.
pub fn down_hours(seen: &[Seen<'_>], confidence: f64, run_hours: f64) -> Figure {
    hours(seen, confidence, run_hours, |one, outcome| {
        one.down_hours(outcome) / (one.stratum.hours + run_hours)
    })
}

/// Hours a year with at least `failures` nodes of `role` down at once.
pub fn replicas_down_hours(seen: &[Seen<'_>], confidence: f64, role: &str, failures: u32) -> Figure {
    hours(seen, confidence, 0.0, |_, outcome| outcome.share_down(role, failures))
}

fn figure(
    seen: &[Seen<'_>],
    tallies: &[Tally],
    weights: &[f64],
    estimate: impl Fn(&[rare::Stratum]) -> Result<rare::Estimate, rare::RareError>,
) -> Figure {
    if seen.is_empty() {
        return Figure::None { reason: "nothing happens here".to_owned() };
    }
    if tallies.iter().any(|tally| tally.runs == 0) {
        return Figure::None {
            reason: "runs are missing: the review was interrupted, or all of an event's failed".to_owned(),
        };
    }
    let strata: Vec<rare::Stratum> = seen
        .iter()
        .zip(weights)
        .map(|(one, weight)| rare::Stratum { name: one.stratum.name.clone(), weight: *weight })
        .collect();
    let raw = weights.iter().zip(tallies).map(|(weight, tally)| weight * tally.sum / real(tally.runs)).sum();
    Figure::of(estimate(&strata), raw, tallies.iter().map(|tally| tally.runs).sum())
}

/// Two worlds on the same seeds, event by event and place by place: what changes a year. A place that is in one of them only has
/// nothing to be paired with.
///
/// Few pairs that agree are no proof that all would: every stratum widens the interval by what pairs that were not made may
/// hide, 3/n of an outcome as large as `largest`; but for those in which both worlds are one and the same. Of strata in which no
/// pair differs, none may hide more than all of them together, which is most where one pair weighs most.
pub fn change(
    before: &[Seen<'_>],
    after: &[Seen<'_>],
    confidence: f64,
    largest: impl Fn(&Seen<'_>) -> f64,
    measure: impl Fn(&Seen<'_>, &Outcome) -> f64,
) -> Option<(Change, u64)> {
    let quantile = two_sided_quantile(confidence).ok()?;
    let a_year = |one: &Seen<'_>, outcome: &Outcome| one.stratum.per_year * measure(one, outcome);
    let called = |all: &[Seen<'_>], name: &str| all.iter().position(|one| one.stratum.name == name);
    let (mut value, mut variance, mut hidden, mut unseen, mut pairs) = (0.0, 0.0, 0.0, 0.0_f64, 0);
    let mut add = |differences: Vec<f64>, most: f64| {
        let count = real(differences.len() as u64);
        let mean = differences.iter().sum::<f64>() / count;
        value += mean;
        let spread: f64 = differences.iter().map(|difference| (difference - mean).powi(2)).sum();
        variance += spread / (count - 1.0).max(1.0) / count;
        if differences.iter().all(|difference| *difference == 0.0) {
            // As for a probability of which nothing was seen.
            unseen = unseen.max(most * -(-bound_after_none(1, confidence).ok()?).ln_1p() / count);
        } else {
            hidden += (most * bound_after_none(differences.len() as u64, confidence).ok()?).powi(2);
        }
        (count > 0.0).then_some(())
    };
    for one in before {
        let most = one.stratum.per_year * largest(one);
        if let Some(place) = called(after, &one.stratum.name) {
            let other = &after[place];
            let both = one.outcomes.iter().zip(&other.outcomes);
            let differences: Vec<f64> =
                both.filter_map(|(was, is)| Some(a_year(other, (*is)?) - a_year(one, (*was)?))).collect();
            pairs += differences.len() as u64;
            let most = most.max(other.stratum.per_year * largest(other));
            add(differences, if are_the_same(one, other) { 0.0 } else { most })?;
        } else {
            add(one.known().map(|was| -a_year(one, was)).collect(), most)?;
        }
    }
    for other in after.iter().filter(|other| called(before, &other.stratum.name).is_none()) {
        let most = other.stratum.per_year * largest(other);
        add(other.known().map(|is| a_year(other, is)).collect(), most)?;
    }
    let half = ((quantile * quantile) * variance + hidden + unseen * unseen).sqrt();
    let interval = Interval { low: value - half, high: value + half, confidence };
    Some((Change { value, interval }, pairs))
}

/// Whether two strata are of one world: their plans differ in nothing but what nodes' domains are called, as where a mitigation is about
/// another event, and what came of every pair is equal to the last request.
fn are_the_same(one: &Seen<'_>, other: &Seen<'_>) -> bool {
    let nameless = |plan: &Plan| {
        let mut plan = plan.clone();
        plan.nodes.iter_mut().for_each(|node| node.domains.clear());
        plan
    };
    let (plans, outcomes) = (&one.stratum.plans, &one.outcomes);
    !plans.is_empty()
        && one.stratum.per_year.total_cmp(&other.stratum.per_year).is_eq()
        && plans.iter().zip(&other.stratum.plans).all(|(one, other)| nameless(one) == nameless(other))
        && outcomes.iter().zip(&other.outcomes).all(|(one, other)| one == other)
}

/// The raw mean of `measure` a year, whatever it is worth.
pub fn a_year(seen: &[Seen<'_>], measure: impl Fn(&Seen<'_>, &Outcome) -> f64) -> f64 {
    seen.iter().map(|one| one.stratum.per_year * one.mean(|outcome| measure(one, outcome))).sum()
}

/// The probability of at least one loss within `hours`, of a figure of losses a year.
pub fn within(per_year: Figure, hours: f64) -> Figure {
    per_year.map(|rate| -(-rate * hours / HOURS_PER_YEAR).exp_m1())
}

/// The share of time, of a figure of hours a year.
pub fn share_of_time(hours_a_year: Figure) -> Figure {
    hours_a_year.map(|hours| (hours / HOURS_PER_YEAR).min(1.0))
}

/// The seconds of a number of nanoseconds.
#[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
pub fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// The value below which `share` of the times are; none where some that never ended are among them.
pub fn quantile(times: &mut [f64], share: f64) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of a list")]
    let place = ((real(times.len() as u64) * share).ceil() as usize).max(1) - 1;
    times.get(place).copied().filter(|time| time.is_finite())
}
