//! The survival curve of Kaplan & Meier (1958): what share lasts longer than t, assuming no law at all.

use super::intervals::two_sided_quantile;
use super::lifetimes::{Observation, check};
use super::{Interval, ModelError, real};

/// One step of the curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The event time.
    pub time: f64,
    /// How many were still watched just before.
    pub at_risk: u64,
    /// How many events came at this time.
    pub events: u64,
    /// S(t) from this time on.
    pub survival: f64,
    /// Its interval, from Greenwood's variance of ln(−ln S), which stays within [0, 1].
    pub interval: Interval,
}

/// The curve, one step for each different event time. Where a time was cut off just when an event came, the event came first.
pub fn kaplan_meier(sample: &[Observation], confidence: f64) -> Result<Vec<Step>, ModelError> {
    check(sample)?;
    let quantile = two_sided_quantile(confidence)?;
    let mut times: Vec<Observation> = sample.to_vec();
    times.sort_by(|one, other| one.time.total_cmp(&other.time));
    let mut steps = Vec::new();
    let (mut survival, mut greenwood) = (1.0, 0.0);
    let mut index = 0;
    while index < times.len() {
        let time = times[index].time;
        let same = times[index..].iter().take_while(|one| one.time == time).count();
        let events = times[index..index + same].iter().filter(|one| one.ended).count() as u64;
        let at_risk = (times.len() - index) as u64;
        index += same;
        if events == 0 {
            continue;
        }
        let left = real(at_risk - events);
        survival *= left / real(at_risk);
        greenwood += if left > 0.0 { real(events) / (real(at_risk) * left) } else { f64::INFINITY };
        let interval = interval(survival, greenwood, quantile, confidence);
        steps.push(Step { time, at_risk, events, survival, interval });
    }
    Ok(steps)
}

fn interval(survival: f64, greenwood: f64, quantile: f64, confidence: f64) -> Interval {
    if survival <= 0.0 {
        // All watched have failed: the data bound the survival by nothing but how few were watched.
        return Interval { low: 0.0, high: 1.0, confidence };
    }
    let spread = (quantile * greenwood.sqrt() / -survival.ln()).exp();
    Interval { low: survival.powf(spread), high: survival.powf(1.0 / spread), confidence }
}

/// The first time at which the curve is at or below 1 − `share`: the median for 0.5. None where it never falls so far.
pub fn percentile(steps: &[Step], share: f64) -> Option<f64> {
    steps.iter().find(|step| step.survival <= 1.0 - share + 1e-12).map(|step| step.time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_censoring_the_curve_is_the_share_that_is_left() {
        let sample: Vec<_> = (1..=10).map(|i| Observation::event(f64::from(i))).collect();
        let steps = kaplan_meier(&sample, 0.95).unwrap();
        for (step, left) in steps.iter().zip((0..10).rev()) {
            assert!((step.survival - f64::from(left) / 10.0).abs() < 1e-12);
            assert!(step.interval.contains(step.survival));
        }
        assert_eq!(percentile(&steps, 0.5), Some(5.0));
        assert_eq!(percentile(&steps, 0.9), Some(9.0));
    }

    #[test]
    fn a_curve_that_never_falls_so_far_has_no_such_percentile() {
        let sample = [Observation::event(1.0), Observation::censored(2.0), Observation::censored(2.0)];
        assert_eq!(percentile(&kaplan_meier(&sample, 0.95).unwrap(), 0.5), None);
    }
}
