//! Laws fitted to times to failure and times to repair, some of them cut off before the end (censored).
//!
//! Sources: Meeker & Escobar 1998, "Statistical Methods for Reliability Data", chapters 7 and 8; Cohen 1965 for the Weibull fit.

use super::intervals::{chi_squared_quantile, two_sided_quantile};
use super::{Interval, ModelError, finite, open_probability, out_of_range, positive, real};
use serde::Serialize;
use statrs::function::erf::erfc;
use std::f64::consts::{PI, SQRT_2};

/// One observed time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// How long, in any unit; all of one sample in the same.
    pub time: f64,
    /// True where the event came at that time, false where watching ended before it.
    pub ended: bool,
}

impl Observation {
    /// A time at which the event came.
    pub fn event(time: f64) -> Self {
        Self { time, ended: true }
    }

    /// A time at which watching ended.
    pub fn censored(time: f64) -> Self {
        Self { time, ended: false }
    }
}

/// An exponential law's mean: failures come at a constant rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Exponential {
    /// The mean, T/r. None where no event was seen: then the interval alone speaks.
    pub mean: Option<f64>,
    /// Two-sided, for time-terminated watching; infinite above where no event was seen.
    pub interval: Interval,
}

/// The mean of an exponential law from `events` in a total watching time of `exposure`, time-terminated.
///
/// [2T/χ²(1−α/2; 2r+2), 2T/χ²(α/2; 2r)]. With no event the lower end is one-sided, T / −ln(1 − confidence), as there is no other side.
pub fn exponential(events: u64, exposure: f64, confidence: f64) -> Result<Exponential, ModelError> {
    super::count("events", events, 0, 1_000_000)?;
    positive("exposure", exposure)?;
    open_probability("confidence", confidence)?;
    if events == 0 {
        let low = super::intervals::mean_hours_shown(exposure, confidence)?;
        return Ok(Exponential { mean: None, interval: Interval { low, high: f64::INFINITY, confidence } });
    }
    let side = (1.0 - confidence) / 2.0;
    let low = 2.0 * exposure / chi_squared_quantile(2 * events + 2, 1.0 - side);
    let high = 2.0 * exposure / chi_squared_quantile(2 * events, side);
    Ok(Exponential {
        mean: Some(exposure / real(events)),
        interval: Interval { low, high: finite("upper end of the mean", high)?, confidence },
    })
}

/// A Weibull law: S(t) = exp(−(t/scale)^shape). A shape below 1 is infant mortality, above 1 wear-out, 1 a constant rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Weibull {
    /// The shape.
    pub shape: f64,
    /// The scale, in the unit of the times.
    pub scale: f64,
    /// The shape's interval, from the observed information of ln(shape) and ln(scale).
    pub shape_interval: Interval,
    /// The scale's interval, likewise.
    pub scale_interval: Interval,
}

/// Fits a Weibull law by maximum likelihood. At least two different event times are needed.
pub fn weibull(sample: &[Observation], confidence: f64) -> Result<Weibull, ModelError> {
    check(sample)?;
    let quantile = two_sided_quantile(confidence)?;
    let events: Vec<f64> = sample.iter().filter(|one| one.ended).map(|one| one.time).collect();
    let distinct = events.iter().any(|time| *time != events[0]);
    if !distinct {
        return Err(ModelError::NotEnoughData {
            what: "a Weibull law",
            reason: "it takes at least two different event times".to_owned(),
        });
    }
    // Times over their largest, so that powers cannot overflow.
    let unit = sample.iter().map(|one| one.time).fold(0.0, f64::max);
    let number = real(events.len() as u64);
    let mean_log = events.iter().map(|time| time.ln() - unit.ln()).sum::<f64>() / number;
    let shape = weibull_shape(sample, unit, mean_log)?;
    let (zeroth, first, second) = power_sums(sample, unit, shape);
    let scale = unit * (zeroth / number).powf(1.0 / shape);
    // Observed information in a = ln(scale), b = ln(shape), at the maximum; w = (t/scale)^shape, l = ln(w).
    let log_offset = (zeroth / number).ln();
    let (weighted, squared) = {
        let norm = number / zeroth;
        let mean = norm * (shape * first - log_offset * zeroth);
        let square = norm
            * (shape * shape * second - 2.0 * shape * log_offset * first + log_offset * log_offset * zeroth);
        (mean, square)
    };
    let information_scale = shape * shape * number;
    let information_shape = number + squared;
    let information_cross = -shape * weighted;
    let determinant = information_scale * information_shape - information_cross * information_cross;
    let spread = |information: f64| (quantile * (information / determinant).max(0.0).sqrt()).exp();
    let interval =
        |value: f64, factor: f64| Interval { low: value / factor, high: value * factor, confidence };
    Ok(Weibull {
        shape,
        scale: finite("Weibull scale", scale)?,
        shape_interval: interval(shape, spread(information_scale)),
        scale_interval: interval(scale, spread(information_shape)),
    })
}

/// The root of the profile score, which falls with the shape; by bisection on its logarithm.
fn weibull_shape(sample: &[Observation], unit: f64, mean_log: f64) -> Result<f64, ModelError> {
    let score = |shape: f64| {
        let (zeroth, first, _) = power_sums(sample, unit, shape);
        1.0 / shape + mean_log - first / zeroth
    };
    let (mut low, mut high) = (1e-4_f64.ln(), 1e4_f64.ln());
    if score(low.exp()) < 0.0 || score(high.exp()) > 0.0 {
        return Err(ModelError::NotEnoughData {
            what: "a Weibull law",
            reason: "its shape lies outside of 0.0001 to 10000: the event times are too alike, or too few"
                .to_owned(),
        });
    }
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if score(middle.exp()) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(f64::midpoint(low, high).exp())
}

/// Σ u^k, Σ u^k·ln u, Σ u^k·(ln u)² over all times, u = t/unit.
fn power_sums(sample: &[Observation], unit: f64, shape: f64) -> (f64, f64, f64) {
    sample.iter().fold((0.0, 0.0, 0.0), |(zeroth, first, second), one| {
        let log = one.time.ln() - unit.ln();
        let power = (shape * log).exp();
        (zeroth + power, first + power * log, second + power * log * log)
    })
}

/// A lognormal law: the usual shape of times to repair, whose mean says little.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lognormal {
    /// The median, in the unit of the times.
    pub median: f64,
    /// The median's interval.
    pub median_interval: Interval,
    /// The standard deviation of the logarithm.
    pub sigma: f64,
    /// The 90th percentile of the fitted law.
    pub p90: f64,
    /// The 99th percentile of the fitted law.
    pub p99: f64,
}

/// Fits a lognormal law by maximum likelihood; what was cut off enters through its expected logarithm (EM). Two different events needed.
pub fn lognormal(sample: &[Observation], confidence: f64) -> Result<Lognormal, ModelError> {
    check(sample)?;
    let quantile = two_sided_quantile(confidence)?;
    let events = sample.iter().filter(|one| one.ended).count();
    let logs = || sample.iter().map(|one| one.time.ln());
    let size = real(sample.len() as u64);
    let mut mean = logs().sum::<f64>() / size;
    let mut sigma = (logs().map(|log| (log - mean).powi(2)).sum::<f64>() / size).sqrt();
    if events < 2 || sigma <= 1e-12 {
        return Err(ModelError::NotEnoughData {
            what: "a lognormal law",
            reason: "it takes at least two different event times".to_owned(),
        });
    }
    for _ in 0..10_000 {
        let (mut first, mut second) = (0.0, 0.0);
        for one in sample {
            let log = one.time.ln();
            let (expected, square) = if one.ended {
                (log, log * log)
            } else {
                let cut = (log - mean) / sigma;
                let hazard = normal_hazard(cut);
                let expected = mean + sigma * hazard;
                (expected, mean * mean + sigma * sigma * (1.0 + cut * hazard) + 2.0 * mean * sigma * hazard)
            };
            first += expected;
            second += square;
        }
        let next = first / size;
        let spread = (second / size - next * next).max(0.0).sqrt();
        let moved = (next - mean).abs() + (spread - sigma).abs();
        (mean, sigma) = (next, spread);
        if moved <= 1e-13 * (1.0 + mean.abs()) {
            break;
        }
    }
    let error = sigma / real(events as u64).sqrt();
    let percentile = |z: f64| finite("percentile", (mean + z * sigma).exp());
    Ok(Lognormal {
        median: percentile(0.0)?,
        median_interval: Interval {
            low: (mean - quantile * error).exp(),
            high: (mean + quantile * error).exp(),
            confidence,
        },
        sigma,
        p90: percentile(1.281_551_565_544_600_5)?,
        p99: percentile(2.326_347_874_040_841)?,
    })
}

/// φ(x)/(1 − Φ(x)); for a large x by its asymptotic series, where both would vanish.
fn normal_hazard(x: f64) -> f64 {
    if x > 25.0 {
        return x + 1.0 / x - 2.0 / x.powi(3);
    }
    let density = (-x * x / 2.0).exp() / (2.0 * PI).sqrt();
    density / (erfc(x / SQRT_2) / 2.0)
}

/// Refuses samples that are empty or hold times that are not above 0.
pub(super) fn check(sample: &[Observation]) -> Result<(), ModelError> {
    if sample.is_empty() {
        return Err(ModelError::NotEnoughData {
            what: "a law of times",
            reason: "no time was observed".to_owned(),
        });
    }
    match sample.iter().find(|one| !(one.time > 0.0 && one.time.is_finite())) {
        Some(bad) => Err(out_of_range("times", bad.time, "finite numbers above 0")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_censoring_the_lognormal_fit_is_the_mean_of_the_logarithms() {
        let sample: Vec<_> = [1.0_f64, 4.0, 16.0].into_iter().map(Observation::event).collect();
        let fit = lognormal(&sample, 0.95).unwrap();
        assert!((fit.median - 4.0).abs() < 1e-9);
        assert!((fit.sigma - 4.0_f64.ln() * (2.0_f64 / 3.0).sqrt()).abs() < 1e-9);
    }

    #[test]
    fn a_repair_still_under_way_lengthens_the_fitted_times() {
        let ended: Vec<_> = [10.0, 20.0, 30.0, 40.0].into_iter().map(Observation::event).collect();
        let mut open = ended.clone();
        open.push(Observation::censored(200.0));
        let before = lognormal(&ended, 0.95).unwrap();
        let after = lognormal(&open, 0.95).unwrap();
        assert!(after.median > before.median && after.p99 > before.p99);
    }

    #[test]
    fn a_constant_rate_has_a_weibull_shape_of_about_one() {
        // Quantiles of the exponential law, so that the sample is exactly typical.
        let sample: Vec<_> = (0..2_000)
            .map(|i| Observation::event(-(1.0 - (f64::from(i) + 0.5) / 2_000.0).ln() * 7.0))
            .collect();
        let fit = weibull(&sample, 0.95).unwrap();
        assert!(fit.shape_interval.contains(1.0) && (fit.shape - 1.0).abs() < 0.01, "{fit:?}");
        assert!(fit.scale_interval.contains(7.0), "{fit:?}");
        // The usual standard errors: 0.78/sqrt(n) for ln(shape), 1.05/(shape·sqrt(n)) for ln(scale).
        let width = (fit.shape_interval.high / fit.shape).ln() / 1.96 * 2_000.0_f64.sqrt();
        assert!((width - 0.78).abs() < 0.01, "{width}");
        let width = (fit.scale_interval.high / fit.scale).ln() / 1.96 * 2_000.0_f64.sqrt();
        assert!((width - 1.053).abs() < 0.01, "{width}");
    }

    #[test]
    fn no_event_leaves_a_lower_bound_only() {
        let fit = exponential(0, 8_760.0, 0.95).unwrap();
        assert_eq!(fit.mean, None);
        assert!(fit.interval.high.is_infinite() && fit.interval.low > 0.0);
    }

    #[test]
    fn samples_that_determine_nothing_are_refused() {
        assert!(weibull(&[], 0.95).is_err());
        assert!(weibull(&[Observation::event(3.0), Observation::event(3.0)], 0.95).is_err());
        assert!(weibull(&[Observation::censored(3.0)], 0.95).is_err());
        assert!(lognormal(&[Observation::event(f64::NAN)], 0.95).is_err());
        assert!(lognormal(&[Observation::event(3.0)], 0.95).is_err());
        assert!(exponential(1, -1.0, 0.95).is_err());
    }
}
