//! Binomial probabilities and tails, to nearly all digits at any size.
//!
//! `statrs` has a binomial distribution too; its tails go through the incomplete beta function, whose continued fraction stops after
//! 140 terms, so that they lose digits from n = 1e6 on. Here each term comes from Loader's saddle-point form (Loader 2000,
//! "Fast and accurate computation of binomial probabilities") and the tail is a sum of positive terms.

use super::{ModelError, count, probability, real};
use std::f64::consts::TAU;

/// The largest number of trials taken: at this size a tail still takes under a millisecond or two.
pub const TRIALS_MAX: u64 = 1_000_000_000;

/// P(exactly `successes` of `trials`), each with chance `chance`.
pub fn exactly(successes: u64, trials: u64, chance: f64) -> Result<f64, ModelError> {
    check(successes, trials, chance)?;
    Ok(term(successes, trials, chance, 1.0 - chance))
}

/// P(`successes` or more of `trials`), each with chance `chance`.
pub fn at_least(successes: u64, trials: u64, chance: f64) -> Result<f64, ModelError> {
    check(successes, trials, chance)?;
    Ok(upper_tail(successes, trials, chance, 1.0 - chance))
}

/// P(`successes` or fewer of `trials`), each with chance `chance`.
pub fn at_most(successes: u64, trials: u64, chance: f64) -> Result<f64, ModelError> {
    check(successes, trials, chance)?;
    Ok(upper_tail(trials - successes, trials, 1.0 - chance, chance))
}

fn check(successes: u64, trials: u64, chance: f64) -> Result<(), ModelError> {
    count("trials", trials, 1, TRIALS_MAX)?;
    count("successes", successes, 0, trials)?;
    probability("chance", chance)?;
    Ok(())
}

/// P(X >= k). The complement is an argument of its own, since 1 − p loses the digits of a small p.
pub(crate) fn upper_tail(k: u64, n: u64, p: f64, q: f64) -> f64 {
    if k == 0 {
        return 1.0;
    }
    if k > n || p == 0.0 {
        return 0.0;
    }
    if q == 0.0 {
        return 1.0;
    }
    // Terms fall away from the mean, so the sum runs outwards; on the near side the other tail is the small one.
    if real(k) > real(n) * p { sum_upwards(k, n, p, q) } else { 1.0 - sum_upwards(n - k + 1, n, q, p) }
}

fn sum_upwards(from: u64, n: u64, p: f64, q: f64) -> f64 {
    if from > n {
        return 0.0;
    }
    let mut addend = term(from, n, p, q);
    let mut sum = addend;
    for k in from..n {
        addend *= (real(n - k) / real(k + 1)) * (p / q);
        sum += addend;
        if addend < sum * 1e-18 {
            break;
        }
    }
    sum.min(1.0)
}

/// P(X = k), Loader's form.
pub(crate) fn term(k: u64, n: u64, p: f64, q: f64) -> f64 {
    if p == 0.0 {
        return if k == 0 { 1.0 } else { 0.0 };
    }
    if q == 0.0 {
        return if k == n { 1.0 } else { 0.0 };
    }
    let size = real(n);
    if k == 0 {
        return (size * ln_complement(p, q)).exp();
    }
    if k == n {
        return (size * ln_complement(q, p)).exp();
    }
    let (hits, misses) = (real(k), real(n - k));
    let exponent = stirling_error(n)
        - stirling_error(k)
        - stirling_error(n - k)
        - deviance(hits, size * p)
        - deviance(misses, size * q);
    (size / (TAU * hits * misses)).sqrt() * exponent.exp()
}

/// ln(1 − p) from whichever of p and q = 1 − p has the digits.
fn ln_complement(p: f64, q: f64) -> f64 {
    if p < 0.5 { (-p).ln_1p() } else { q.ln() }
}

/// ln(n!) − Stirling's formula.
fn stirling_error(n: u64) -> f64 {
    // Exact to the last digit below 16, where the series is not yet good enough.
    const SMALL: [f64; 16] = [
        0.0,
        0.081_061_466_795_327_26,
        0.041_340_695_955_409_29,
        0.027_677_925_684_998_34,
        0.020_790_672_103_765_09,
        0.016_644_691_189_821_19,
        0.013_876_128_823_070_75,
        0.011_896_709_945_891_77,
        0.010_411_265_261_972_09,
        0.009_255_462_182_712_733,
        0.008_330_563_433_362_87,
        0.007_573_675_487_951_841,
        0.006_942_840_107_209_53,
        0.006_408_994_188_004_207,
        0.005_951_370_112_758_848,
        0.005_554_733_551_962_801,
    ];
    if let Some(&error) = usize::try_from(n).ok().and_then(|index| SMALL.get(index)) {
        return error;
    }
    let size = real(n);
    let square = size * size;
    (1.0 / 12.0
        - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / (1188.0 * square)) / square) / square)
            / square)
        / size
}

/// x·ln(x/m) + m − x, without cancellation where x is near m.
fn deviance(x: f64, mean: f64) -> f64 {
    if (x - mean).abs() >= 0.1 * (x + mean) {
        return x * (x / mean).ln() + mean - x;
    }
    let ratio = (x - mean) / (x + mean);
    let mut sum = (x - mean) * ratio;
    let mut power = 2.0 * x * ratio;
    for odd in (3..1000_u64).step_by(2) {
        power *= ratio * ratio;
        let next = sum + power / real(odd);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_of_a_distribution_sum_to_one() {
        for (n, p) in [(1, 0.3), (17, 0.01), (400, 0.5), (5000, 0.999)] {
            let sum: f64 = (0..=n).map(|k| exactly(k, n, p).unwrap()).sum();
            assert!((sum - 1.0).abs() < 1e-13, "{n} {p}: {sum}");
        }
    }

    #[test]
    fn the_two_tails_meet() {
        for (k, n, p) in [(3, 10, 0.2), (999, 1000, 0.999), (1, 1_000_000_000, 1e-9), (500, 1000, 0.5)] {
            let sum = at_least(k, n, p).unwrap() + at_most(k - 1, n, p).unwrap();
            assert!((sum - 1.0).abs() < 1e-13, "{k} {n} {p}: {sum}");
        }
    }

    #[test]
    fn more_successes_than_trials_are_refused() {
        assert!(exactly(3, 2, 0.5).is_err());
        assert!(at_least(0, 0, 0.5).is_err());
        assert!(at_most(1, 2, f64::NAN).is_err());
    }
}
