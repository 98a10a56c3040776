//! From outcomes of runs to a year: strata weighed by their frequencies.

use super::answer::{Change, Figure};
use super::batch::{Ran, Runs};
use super::models::intervals::{bound_after_none, two_sided_quantile};
use super::models::{HOURS_PER_YEAR, Interval, real};
use super::outcome::Outcome;
use super::rare::{self, Tally};
use super::strata::Stratum;

/// A stratum with the outcomes of its runs.
pub struct Seen<'a> {
    /// The stratum.
    pub stratum: &'a Stratum,
    /// Its outcomes by the place of their seeds; none where a run failed or was not made.
    pub outcomes: Vec<Option<&'a Outcome>>,
}

impl<'a> Seen<'a> {
    /// The strata with what is known of their runs.
    pub fn all(strata: &'a [Stratum], runs: &'a Runs) -> Vec<Self> {
        let outcome = |ran: &'a Ran| match ran {
            Ran::Ended(outcome) => Some(outcome.as_ref()),
            Ran::Failed(_) => None,
        };
        strata
            .iter()
            .map(|stratum| Self {
                stratum,
                outcomes: stratum.plans.iter().map(|plan| runs.of(plan).and_then(outcome)).collect(),
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
    figure(seen, &tallies, |strata| rare::probability(strata, &tallies, confidence))
}

/// Hours a year that `measure` gives, at most `hours_max` each time.
pub fn hours(
    seen: &[Seen<'_>],
    confidence: f64,
    hours_max: f64,
    measure: impl Fn(&Seen<'_>, &Outcome) -> f64,
) -> Figure {
    let tallies: Vec<Tally> = seen.iter().map(|one| one.tally(|outcome| measure(one, outcome))).collect();
    figure(seen, &tallies, |strata| rare::mean(strata, &tallies, hours_max, confidence))
}

/// Hours of downtime a year; a run itself lasts `run_hours`.
pub fn down_hours(seen: &[Seen<'_>], confidence: f64, run_hours: f64) -> Figure {
    hours(seen, confidence, longest(seen) + run_hours, |one, outcome| one.down_hours(outcome))
}

/// The longest mean of a stratum, in hours.
pub fn longest(seen: &[Seen<'_>]) -> f64 {
    seen.iter().map(|one| one.stratum.hours).fold(0.0, f64::max)
}

fn figure(
    seen: &[Seen<'_>],
    tallies: &[Tally],
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
        .map(|one| rare::Stratum { name: one.stratum.name.clone(), weight: one.stratum.per_year })
        .collect();
    let raw = seen
        .iter()
        .zip(tallies)
        .map(|(one, tally)| one.stratum.per_year * tally.sum / real(tally.runs))
        .sum();
    Figure::of(estimate(&strata), raw, tallies.iter().map(|tally| tally.runs).sum())
}

/// Two worlds on the same seeds, event by event: what changes a year.
///
/// Few pairs that agree are no proof that all would: every stratum widens the interval by what pairs that were not made may
/// hide, 3/n of an outcome as large as `largest`.
pub fn change(
    before: &[Seen<'_>],
    after: &[Seen<'_>],
    confidence: f64,
    largest: impl Fn(&Seen<'_>) -> f64,
    measure: impl Fn(&Seen<'_>, &Outcome) -> f64,
) -> Option<(Change, u64)> {
    let quantile = two_sided_quantile(confidence).ok()?;
    let (mut value, mut variance, mut hidden, mut pairs) = (0.0, 0.0, 0.0, 0);
    for (one, other) in before.iter().zip(after) {
        let both =
            one.outcomes.iter().zip(&other.outcomes).filter_map(|(one, other)| Some(((*one)?, (*other)?)));
        let differences: Vec<f64> = both
            .map(|(was, is)| {
                other.stratum.per_year * measure(other, is) - one.stratum.per_year * measure(one, was)
            })
            .collect();
        let count = real(differences.len() as u64);
        if differences.is_empty() {
            return None;
        }
        pairs += differences.len() as u64;
        let mean = differences.iter().sum::<f64>() / count;
        value += mean;
        let spread: f64 = differences.iter().map(|difference| (difference - mean).powi(2)).sum();
        variance += spread / (count - 1.0).max(1.0) / count;
        let share = bound_after_none(differences.len() as u64, confidence).ok()?;
        let most = f64::max(one.stratum.per_year * largest(one), other.stratum.per_year * largest(other));
        hidden += (most * share).powi(2);
    }
    let half = ((quantile * quantile) * variance + hidden).sqrt();
    let interval = Interval { low: value - half, high: value + half, confidence };
    Some((Change { value, interval }, pairs))
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
