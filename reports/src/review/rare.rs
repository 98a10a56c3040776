//! Rare events by stratifying over the shared ones: say which event happened, simulate only what follows.
//!
//! A loss that needs a rack outage and a slow disk is rare because rack outages are. Their frequency is an input; what has to
//! be simulated is the conditional outcome, which is not rare. The answer is Σ weight · conditional outcome, with an
//! interval that knows which stratum was seen how often. Where nothing was seen, or too little, there is no number:
//! [`RareError::Untrusted`] says why, and what the data do bound.

use super::models::intervals::{bound_after_none, clopper_pearson, two_sided_quantile};
use super::models::{Interval, ModelError, count, finite, non_negative, out_of_range, positive, real};
use serde::Serialize;
use sim::rng::Stream;

/// Hits below which a probability is not told as a number, weighed as Kish (1965) weighs a sample.
const EFFECTIVE_HITS_MIN: f64 = 5.0;
/// Likewise for a mean, whose interval leans on the central limit theorem.
const EFFECTIVE_OUTCOMES_MIN: f64 = 30.0;

/// An estimate that can be trusted as far as its interval says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Estimate {
    /// The estimated probability, frequency or mean.
    pub value: f64,
    /// Its interval.
    pub interval: Interval,
    /// How many plain runs, without strata or splitting, would give the same variance.
    pub effective_sample_size: f64,
    /// How many runs were made.
    pub runs: u64,
}

impl Estimate {
    /// Half the width of the interval over the value.
    pub fn relative_half_width(&self) -> f64 {
        (self.interval.high - self.interval.low) / 2.0 / self.value
    }
}

/// Why there is no estimate.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RareError {
    /// An argument is wrong.
    #[error(transparent)]
    Argument(#[from] ModelError),
    /// What was seen does not carry a number.
    #[error(
        "no estimate can be trusted: {reason}; at {confidence} confidence the answer is below {below:.3e}"
    )]
    Untrusted {
        /// What is missing, and what would help.
        reason: String,
        /// What the data bound the answer by.
        below: f64,
        /// The confidence of that bound.
        confidence: f64,
    },
}

/// One way in which things can start: which shared event happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stratum {
    /// Its name; also names its streams of chance, so it must be unique.
    pub name: String,
    /// Its probability, or its frequency (a year, say): an input, known.
    pub weight: f64,
}

/// What was seen in one stratum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Runs made.
    pub runs: u64,
    /// Runs with an outcome other than 0.
    pub hits: u64,
    /// The sum of outcomes: hits, for a probability.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
}

impl Tally {
    /// The tally of `hits` in `runs`, each counting 1.
    pub fn of_hits(hits: u64, runs: u64) -> Self {
        Self { runs, hits, sum: real(hits), squares: real(hits) }
    }

    /// Adds the outcome of a run: 0 or 1 for a probability, hours of downtime, say, for a mean.
    pub fn record(&mut self, outcome: f64) {
        self.runs += 1;
        self.hits += u64::from(outcome != 0.0);
        self.sum += outcome;
        self.squares += outcome * outcome;
    }

    /// Both tallies together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            hits: self.hits + other.hits,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }

    fn mean(&self) -> f64 {
        self.sum / real(self.runs)
    }

    fn variance(&self) -> f64 {
        (self.squares / real(self.runs) - self.mean().powi(2)).max(0.0)
    }
}

/// How many runs, and how they are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Runs of each stratum before anything is known of it.
    pub pilot_runs: u64,
    /// All runs together; what is left after the pilot goes where it narrows the interval most.
    pub runs: u64,
}

/// Runs `trial` over the strata and tallies its outcomes.
///
/// Run i of a stratum draws from a stream named after both, so that a mitigation can be tried on the same chance.
pub fn stratify(
    strata: &[Stratum],
    effort: Effort,
    seed: u64,
    mut trial: impl FnMut(usize, &mut Stream) -> f64,
) -> Result<Vec<Tally>, RareError> {
    check(strata)?;
    count("pilot_runs", effort.pilot_runs, 1, 1_000_000_000)?;
    let least = effort.pilot_runs.saturating_mul(strata.len() as u64);
    count("runs", effort.runs, least, 1_000_000_000_000)?;
    let mut tallies = vec![Tally::default(); strata.len()];
    let mut give = |tallies: &mut Vec<Tally>, shares: &[u64]| {
        for (index, share) in shares.iter().enumerate() {
            for _ in 0..*share {
                let name = format!("stratum/{}/{}", strata[index].name, tallies[index].runs);
                let outcome = trial(index, &mut Stream::named(seed, &name));
                tallies[index].record(outcome);
            }
        }
    };
    give(&mut tallies, &vec![effort.pilot_runs; strata.len()]);
    let shares = allocate(strata, &tallies, effort.runs - least)?;
    give(&mut tallies, &shares);
    Ok(tallies)
}

/// Gives out `runs` more runs: in proportion to weight times deviation (Neyman 1934), as far as the tallies know it.
///
/// A stratum in which nothing was seen counts as if one of the next two runs would hit, so that it is not forgotten.
pub fn allocate(strata: &[Stratum], tallies: &[Tally], runs: u64) -> Result<Vec<u64>, RareError> {
    check_tallies(strata, tallies)?;
    let hits: u64 = tallies.iter().map(|tally| tally.hits).sum();
    let squares: f64 = tallies.iter().map(|tally| tally.squares).sum();
    let typical = if hits > 0 { (squares / real(hits)).sqrt() } else { 1.0 };
    let pull: Vec<f64> = strata
        .iter()
        .zip(tallies)
        .map(|(stratum, tally)| {
            let chance = (real(tally.hits) + 1.0) / (real(tally.runs) + 2.0);
            let unseen = typical * (chance * (1.0 - chance)).sqrt();
            let seen = if tally.hits > 1 { tally.variance().sqrt() } else { 0.0 };
            stratum.weight * if seen > 0.0 { seen } else { unseen }
        })
        .collect();
    let total = finite("sum of weights", pull.iter().sum())?;
    positive("sum of weights", total)?;
    // Whole runs, by the running sum, so that they add up to what was asked for.
    let (mut given, mut reached) = (0, 0.0);
    let mut shares = Vec::with_capacity(pull.len());
    for (index, weight) in pull.iter().enumerate() {
        reached += weight;
        let last = index + 1 == pull.len();
        let until = if last { runs } else { portion(runs, reached / total).clamp(given, runs) };
        shares.push(until - given);
        given = until;
    }
    Ok(shares)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count fits a count"
)]
fn portion(whole: u64, share: f64) -> u64 {
    (real(whole) * share).round() as u64
}

/// Σ weight · P(hit | stratum), from tallies of outcomes 0 and 1.
///
/// The interval recovers variances from each stratum's exact interval (Zou & Donner 2008), so that a stratum without a hit
/// widens it upwards by what it may hide.
pub fn probability(strata: &[Stratum], tallies: &[Tally], confidence: f64) -> Result<Estimate, RareError> {
    check_tallies(strata, tallies)?;
    let hits: u64 = tallies.iter().map(|tally| tally.hits).sum();
    let runs: u64 = tallies.iter().map(|tally| tally.runs).sum();
    let (mut value, mut down, mut up, mut variance, mut largest) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (stratum, tally) in strata.iter().zip(tallies) {
        if tally.sum != real(tally.hits) || tally.squares != real(tally.hits) {
            let outcome = format!("{} over {} hits", tally.sum, tally.hits);
            return Err(out_of_range("outcomes", outcome, "0 or 1 for a probability").into());
        }
        let own = clopper_pearson(tally.hits, tally.runs, confidence)?;
        let (weight, chance) = (stratum.weight, tally.mean());
        value += weight * chance;
        down += (weight * (chance - own.low)).powi(2);
        up += (weight * (own.high - chance)).powi(2);
        variance += weight * weight * tally.variance() / real(tally.runs);
        largest += (weight / real(tally.runs)).powi(2) * real(tally.hits);
    }
    if hits == 0 {
        let reason = format!("none of {runs} runs hit");
        return Err(RareError::Untrusted { reason, below: bound(strata, tallies, confidence)?, confidence });
    }
    let interval = Interval { low: (value - down.sqrt()).max(0.0), high: value + up.sqrt(), confidence };
    let effective = if largest > 0.0 { value * value / largest } else { 0.0 };
    if effective < EFFECTIVE_HITS_MIN {
        let reason = format!(
            "{hits} hits in {runs} runs weigh as much as {effective:.1}, and {EFFECTIVE_HITS_MIN} are needed; \
             make more runs of the strata that weigh most"
        );
        return Err(RareError::Untrusted { reason, below: interval.high, confidence });
    }
    Ok(estimate(strata, value, interval, variance, runs))
}

/// The bound after no hit at all: the worst way to spread what could have stayed unseen puts all of it where one run weighs most,
/// 3/n at 95 %.
fn bound(strata: &[Stratum], tallies: &[Tally], confidence: f64) -> Result<f64, ModelError> {
    let mut worst = 0.0_f64;
    for (stratum, tally) in strata.iter().zip(tallies) {
        // −ln(1 − confidence)/n, not 1 − (1 − confidence)^(1/n): only the former bounds every spread over several strata.
        let share = -(-bound_after_none(1, confidence)?).ln_1p() / real(tally.runs);
        worst = worst.max(stratum.weight * share);
    }
    Ok(worst.min(strata.iter().map(|stratum| stratum.weight).sum()))
}

/// Σ weight · E[outcome | stratum], from tallies of outcomes between 0 and `outcome_max`, such as hours of downtime within a
/// horizon.
///
/// The interval is normal; a stratum in which every outcome was 0 widens it upwards by what it may hide.
pub fn mean(
    strata: &[Stratum],
    tallies: &[Tally],
    outcome_max: f64,
    confidence: f64,
) -> Result<Estimate, RareError> {
    check_tallies(strata, tallies)?;
    positive("outcome_max", outcome_max)?;
    let quantile = two_sided_quantile(confidence)?;
    let (mut value, mut variance, mut hidden, mut largest, mut below) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (stratum, tally) in strata.iter().zip(tallies) {
        if tally.sum > outcome_max * real(tally.hits) * (1.0 + 1e-9) || tally.sum < 0.0 {
            let allowed = format!("between 0 and `outcome_max`, which is {outcome_max}");
            return Err(out_of_range("outcomes", format!("{} on the mean", tally.mean()), allowed).into());
        }
        let weight = stratum.weight;
        value += weight * tally.mean();
        variance += weight * weight * tally.variance() / real(tally.runs);
        largest += (weight / real(tally.runs)).powi(2) * tally.squares;
        // What holds whatever the outcomes above 0 were: as many of them as the exact interval allows, each the largest.
        below += weight * outcome_max * clopper_pearson(tally.hits, tally.runs, confidence)?.high;
        if tally.hits == 0 {
            hidden += (weight * outcome_max * bound_after_none(tally.runs, confidence)?).powi(2);
        }
    }
    let runs: u64 = tallies.iter().map(|tally| tally.runs).sum();
    let effective = if largest > 0.0 { value * value / largest } else { 0.0 };
    if effective < EFFECTIVE_OUTCOMES_MIN {
        let reason = format!(
            "the outcomes above 0 of {runs} runs weigh as much as {effective:.1} equal ones, and \
             {EFFECTIVE_OUTCOMES_MIN} are needed"
        );
        return Err(RareError::Untrusted { reason, below, confidence });
    }
    let half = quantile * variance.sqrt();
    let high = value + (half * half + hidden).sqrt();
    let interval = Interval { low: (value - half).max(0.0), high, confidence };
    let mut estimate = estimate(strata, value, interval, variance, runs);
    // Plain runs of a mean have a variance of their own, that between strata included; here, that of the mixture.
    let whole: f64 = strata.iter().map(|stratum| stratum.weight).sum();
    let square: f64 = strata
        .iter()
        .zip(tallies)
        .map(|(stratum, tally)| stratum.weight * tally.squares / real(tally.runs))
        .sum();
    let plain = (square / whole - (value / whole).powi(2)).max(0.0);
    if variance > 0.0 {
        estimate.effective_sample_size = plain * whole * whole / variance;
    }
    Ok(estimate)
}

/// Σ weight · E[outcome | stratum], of outcomes between 0 and 1 of two sorts, small ones and large ones, tallied apart.
///
/// The share of large ones has its exact interval in every stratum, and the mean within each sort the normal law's; strata are put
/// together as in [`probability`]. A sort that was not seen counts as far as it can go: small ones as 0, large ones as 1.
pub fn mean_of_two_sorts(
    strata: &[Stratum],
    parts: &[[Tally; 2]],
    confidence: f64,
) -> Result<Estimate, RareError> {
    let tallies: Vec<Tally> = parts.iter().map(|[small, large]| small.and(large)).collect();
    check_tallies(strata, &tallies)?;
    let quantile = two_sided_quantile(confidence)?;
    let (mut value, mut down, mut up, mut variance, mut largest, mut below) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for ((stratum, tally), [small, large]) in strata.iter().zip(&tallies).zip(parts) {
        let weight = stratum.weight;
        let own = clopper_pearson(large.runs, tally.runs, confidence)?;
        let mean = |part: &Tally, unseen| if part.runs == 0 { unseen } else { part.mean() };
        let (of_small, of_large) = (mean(small, 0.0), mean(large, 1.0));
        let at = |chance: f64| chance * of_large + (1.0 - chance) * of_small;
        let within = [small, large].into_iter().filter(|part| part.runs > 0);
        let within: f64 = within
            .map(|part| (real(part.runs) / real(tally.runs)).powi(2) * part.variance() / real(part.runs))
            .sum();
        let spread = quantile * quantile * within;
        value += weight * tally.mean();
        down += weight * weight * ((tally.mean() - at(own.low)).powi(2) + spread);
        up += weight * weight * ((at(own.high) - tally.mean()).powi(2) + spread);
        variance += weight * weight * tally.variance() / real(tally.runs);
        largest += (weight / real(tally.runs)).powi(2) * tally.squares;
        below += weight * at(own.high);
    }
    let runs: u64 = tallies.iter().map(|tally| tally.runs).sum();
    let effective = if largest > 0.0 { value * value / largest } else { 0.0 };
    if effective < EFFECTIVE_HITS_MIN {
        let reason = format!(
            "the outcomes above 0 of {runs} runs weigh as much as {effective:.1} equal ones, and {EFFECTIVE_HITS_MIN} are needed"
        );
        return Err(RareError::Untrusted { reason, below, confidence });
    }
    let interval = Interval { low: (value - down.sqrt()).max(0.0), high: value + up.sqrt(), confidence };
    Ok(estimate(strata, value, interval, variance, runs))
}

fn estimate(strata: &[Stratum], value: f64, interval: Interval, variance: f64, runs: u64) -> Estimate {
    let whole: f64 = strata.iter().map(|stratum| stratum.weight).sum();
    let share = (value / whole).min(1.0);
    // Where every stratum went one way only, the runs themselves are all that is known.
    let effective_sample_size =
        if variance > 0.0 { share * (1.0 - share) * whole * whole / variance } else { real(runs) };
    Estimate { value, interval, effective_sample_size, runs }
}

fn check(strata: &[Stratum]) -> Result<(), ModelError> {
    count("strata", strata.len() as u64, 1, 1_000_000)?;
    for stratum in strata {
        non_negative("weight", stratum.weight)?;
    }
    positive("sum of weights", strata.iter().map(|stratum| stratum.weight).sum())?;
    let mut names: Vec<&str> = strata.iter().map(|stratum| stratum.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(out_of_range("strata", format!("`{}` twice", pair[0]), "of different names")),
        None => Ok(()),
    }
}

fn check_tallies(strata: &[Stratum], tallies: &[Tally]) -> Result<(), ModelError> {
    check(strata)?;
    if tallies.len() != strata.len() {
        let allowed = format!("{}, one for each stratum", strata.len());
        return Err(out_of_range("tallies", tallies.len(), allowed));
    }
    for tally in tallies {
        count("runs", tally.runs, 1, 1_000_000_000)?;
        count("hits", tally.hits, 0, tally.runs)?;
        finite("sum of outcomes", tally.squares)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strata(weights: &[f64]) -> Vec<Stratum> {
        (0..).zip(weights).map(|(i, &weight)| Stratum { name: format!("event-{i}"), weight }).collect()
    }

    #[test]
    fn no_hit_is_a_bound_and_never_an_estimate() {
        let tallies = [Tally::of_hits(0, 100), Tally::of_hits(0, 10)];
        let error = probability(&strata(&[1e-3, 1e-5]), &tallies, 0.95).unwrap_err();
        let RareError::Untrusted { below, .. } = &error else { panic!("{error}") };
        // Three in a hundred of the stratum in which a run weighs most.
        assert!((below / (1e-3 * 2.995_732_273_553_991 / 100.0) - 1.0).abs() < 1e-9, "{below}");
        assert!(error.to_string().contains("none of 110 runs hit"), "{error}");
        assert!(matches!(
            mean(&strata(&[1e-3, 1e-5]), &tallies, 8.0, 0.95),
            Err(RareError::Untrusted { .. })
        ));
    }

    #[test]
    fn one_hit_of_a_heavy_stratum_is_not_made_trustworthy_by_a_thousand_of_a_light_one() {
        let tallies = [Tally::of_hits(1, 100), Tally::of_hits(1_000, 10_000)];
        let error = probability(&strata(&[1.0, 1e-6]), &tallies, 0.95).unwrap_err();
        assert!(
            matches!(error, RareError::Untrusted { below, .. } if below > 0.01 && below < 0.06),
            "{error}"
        );
    }

    #[test]
    fn a_stratum_without_hits_widens_the_interval_upwards_only() {
        let seen = probability(&strata(&[0.1]), &[Tally::of_hits(50, 100)], 0.95).unwrap();
        let both = strata(&[0.1, 0.1]);
        let hidden = probability(&both, &[Tally::of_hits(50, 100), Tally::of_hits(0, 10)], 0.95).unwrap();
        assert_eq!(hidden.interval.low, seen.interval.low);
        assert!(hidden.interval.high > seen.interval.high + 0.01);
    }

    #[test]
    fn runs_go_where_weight_and_doubt_are() {
        let tallies = [Tally::of_hits(50, 100), Tally::of_hits(0, 100), Tally::of_hits(50, 100)];
        let shares = allocate(&strata(&[1.0, 1.0, 0.0]), &tallies, 1_000).unwrap();
        assert_eq!(shares.iter().sum::<u64>(), 1_000);
        assert!(shares[0] > 3 * shares[1] && shares[1] > 50 && shares[2] == 0, "{shares:?}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let one = strata(&[0.5]);
        assert!(probability(&[], &[], 0.95).is_err());
        assert!(probability(&one, &[], 0.95).is_err());
        assert!(probability(&one, &[Tally::default()], 0.95).is_err());
        assert!(probability(&strata(&[f64::NAN]), &[Tally::of_hits(9, 10)], 0.95).is_err());
        assert!(probability(&one, &[Tally::of_hits(9, 10)], 1.5).is_err());
        let mut hours = Tally::default();
        hours.record(7.5);
        assert!(probability(&one, &[hours], 0.95).is_err());
        assert!(mean(&one, &[hours], 1.0, 0.95).is_err());
        let twins = [one[0].clone(), one[0].clone()];
        let error = stratify(&twins, Effort { pilot_runs: 1, runs: 2 }, 0, |_, _| 0.0).unwrap_err();
        assert!(error.to_string().contains("`event-0` twice"), "{error}");
        assert!(stratify(&one, Effort { pilot_runs: 10, runs: 2 }, 0, |_, _| 0.0).is_err());
    }
}
