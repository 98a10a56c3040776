//! Intervals for a probability or a rate from counts. Nothing seen is never "zero": it is "below a bound".

use super::{Interval, ModelError, binomial, count, open_probability, positive, real};
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

/// The interval of Clopper & Pearson (1934) for a probability: covers it with at least the stated confidence.
///
/// The ends are quantiles of beta distributions. `statrs` 0.19.1 has them, but its `Beta::inverse_cdf` does not return for
/// n >= 1e7 with k <= 1 and is off by 2e-5 at n = 1e6, so the binomial tail is inverted here, by a bracketed Newton iteration.
pub fn clopper_pearson(successes: u64, trials: u64, confidence: f64) -> Result<Interval, ModelError> {
    count("trials", trials, 1, binomial::TRIALS_MAX)?;
    count("successes", successes, 0, trials)?;
    open_probability("confidence", confidence)?;
    let side = (1.0 - confidence) / 2.0;
    let low = if successes == 0 { 0.0 } else { invert_tail(successes, trials, side) };
    // By symmetry, the upper end for hits is the complement of the lower end for misses. Where the end lies below one half it is solved
    // for directly, so that a small one keeps its digits.
    let high = if successes == trials { 1.0 } else { invert_tail(successes + 1, trials, 1.0 - side) };
    Ok(Interval { low, high, confidence })
}

/// The p at which P(X >= k) is `target`. The tail rises with p from 0 to 1.
fn invert_tail(k: u64, n: u64, target: f64) -> f64 {
    let tail = |p: f64| binomial::upper_tail(k, n, p, 1.0 - p);
    // d/dp P(X >= k) = n·P(X' = k−1) with X' of n−1 trials.
    let slope = |p: f64| if n == 1 { 1.0 } else { real(n) * binomial::term(k - 1, n - 1, p, 1.0 - p) };
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    let mut p = real(k) / (real(n) + 1.0);
    for _ in 0..400 {
        let error = tail(p) - target;
        if error > 0.0 {
            high = p;
        } else {
            low = p;
        }
        let newton = p - error / slope(p);
        // Newton inside the bracket, the geometric middle otherwise: ends may be as small as 1e-9.
        let next = if newton > low && newton < high {
            newton
        } else if low > 0.0 {
            (low * high).sqrt()
        } else {
            high / 16.0
        };
        if (next - p).abs() <= 1e-15 * p {
            return next;
        }
        p = next;
    }
    p
}

/// The interval of Wilson (1927) for a probability: covers it about as often as stated, and is narrower.
pub fn wilson(successes: u64, trials: u64, confidence: f64) -> Result<Interval, ModelError> {
    count("trials", trials, 1, 1_u64 << 53)?;
    count("successes", successes, 0, trials)?;
    let z = two_sided_quantile(confidence)?;
    let (size, square) = (real(trials), z * z);
    let hits = real(successes);
    let root = z * (square / 4.0 + hits * (size - hits) / size).sqrt();
    let top = hits + square / 2.0 + root;
    // The lower end is (hits + z²/2 − root)/(n + z²), multiplied out so that nothing is subtracted.
    let low = hits * hits / (size * top);
    let high = (top / (size + square)).min(1.0);
    Ok(Interval { low, high, confidence })
}

/// The interval of Garwood (1936) for a Poisson rate: `events` seen in `exposure` (hours, say) give events per unit of exposure.
pub fn garwood(events: u64, exposure: f64, confidence: f64) -> Result<Interval, ModelError> {
    count("events", events, 0, 1_000_000)?;
    positive("exposure", exposure)?;
    open_probability("confidence", confidence)?;
    let side = (1.0 - confidence) / 2.0;
    let low = if events == 0 { 0.0 } else { chi_squared_quantile(2 * events, side) / 2.0 / exposure };
    let high = chi_squared_quantile(2 * events + 2, 1.0 - side) / 2.0 / exposure;
    Ok(Interval { low, high: super::finite("upper end of the rate", high)?, confidence })
}

/// The mean time to failure that `clean_hours` without any failure show, one-sided: T / −ln(1 − confidence).
pub fn mean_hours_shown(clean_hours: f64, confidence: f64) -> Result<f64, ModelError> {
    positive("clean_hours", clean_hours)?;
    open_probability("confidence", confidence)?;
    super::finite("mean time shown", clean_hours / -(-confidence).ln_1p())
}

/// How many hours without any failure it takes to show a mean time to failure, one-sided.
pub fn clean_hours_needed(mean_hours: f64, confidence: f64) -> Result<f64, ModelError> {
    positive("mean_hours", mean_hours)?;
    open_probability("confidence", confidence)?;
    super::finite("number of clean hours", mean_hours * -(-confidence).ln_1p())
}

/// The one-sided upper bound for a probability after no success in `trials`: 1 − (1 − confidence)^(1/n), about 3/n at 95 %.
pub fn bound_after_none(trials: u64, confidence: f64) -> Result<f64, ModelError> {
    count("trials", trials, 1, 1_u64 << 53)?;
    open_probability("confidence", confidence)?;
    Ok(-((-confidence).ln_1p() / real(trials)).exp_m1())
}

/// The quantile of the standard normal distribution that leaves half of 1 − confidence above it.
pub fn two_sided_quantile(confidence: f64) -> Result<f64, ModelError> {
    open_probability("confidence", confidence)?;
    let side = (1.0 - confidence) / 2.0;
    let normal = Normal::standard();
    // The lower quantile of a small number keeps more digits than the upper one of a number near 1.
    super::finite("normal quantile", -normal.inverse_cdf(side))
}

/// The quantile of Student's distribution that leaves half of 1 − confidence above it, by the expansion about the normal one
/// (Abramowitz & Stegun 26.7.5): at 95 % right to 1e-3 from 5 degrees of freedom on, and to 1e-5 from 20 on.
///
/// `statrs` inverts this law through the same beta quantile that is unfit above, so it is not used.
pub fn students_quantile(confidence: f64, freedom: u64) -> Result<f64, ModelError> {
    let z = two_sided_quantile(confidence)?;
    count("freedom", freedom, 4, 1_u64 << 53)?;
    let inverse = 1.0 / real(freedom);
    let square = z * z;
    let terms = [
        (square + 1.0) / 4.0,
        ((5.0 * square + 16.0) * square + 3.0) / 96.0,
        (((3.0 * square + 19.0) * square + 17.0) * square - 15.0) / 384.0,
        ((((79.0 * square + 776.0) * square + 1482.0) * square - 1920.0) * square - 945.0) / 92_160.0,
    ];
    let sum = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * inverse);
    super::finite("Student quantile", z * (1.0 + sum))
}

/// The quantile of a chi-squared distribution, from `statrs`, which is right to 1e-9 for all that is asked of it here.
pub(crate) fn chi_squared_quantile(freedom: u64, probability: f64) -> f64 {
    let law = ChiSquared::new(real(freedom)).expect("degrees of freedom are at least 2");
    law.inverse_cdf(probability)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_exact_interval_have_the_stated_tails() {
        for (k, n) in
            [(1, 10_000_000), (3, 1_000), (999, 1_000), (500_000, 1_000_000), (1, 1), (0, 1), (7, 7)]
        {
            let interval = clopper_pearson(k, n, 0.95).unwrap();
            if k > 0 {
                let tail = binomial::at_least(k, n, interval.low).unwrap();
                assert!((tail / 0.025 - 1.0).abs() < 1e-9, "{k}/{n}: {tail}");
            }
            if k < n {
                let tail = binomial::at_most(k, n, interval.high).unwrap();
                assert!((tail / 0.025 - 1.0).abs() < 1e-9, "{k}/{n}: {tail}");
            }
        }
    }

    #[test]
    fn students_quantile_meets_the_tables() {
        for (freedom, table) in [(5, 2.570_582), (9, 2.262_157), (19, 2.093_024), (99, 1.984_217)] {
            let ours = students_quantile(0.95, freedom).unwrap();
            assert!((ours - table).abs() < 1e-3, "{freedom}: {ours}");
        }
    }

    #[test]
    fn no_failure_is_below_a_bound_and_never_zero() {
        for trials in [1, 100, 1_000_000_000] {
            assert!(clopper_pearson(0, trials, 0.95).unwrap().high > 0.0);
            assert!(wilson(0, trials, 0.95).unwrap().high > 0.0);
            let bound = bound_after_none(trials, 0.95).unwrap();
            assert!(bound > 0.0 && bound < 3.0 / real(trials));
        }
        assert!(garwood(0, 8_760.0, 0.95).unwrap().high > 0.0);
    }

    #[test]
    fn an_interval_without_trials_is_refused() {
        assert!(clopper_pearson(0, 0, 0.95).is_err());
        assert!(wilson(2, 1, 0.95).is_err());
        assert!(garwood(0, 0.0, 0.95).is_err());
        assert!(clopper_pearson(0, 10, 1.0).is_err());
        assert!(clopper_pearson(0, 10, f64::NAN).is_err());
    }
}
