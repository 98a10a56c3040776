//! Intervals that hold: where the truth is known, 95 % intervals cover it in at least 93 of 100 repetitions.
//!
//! Cheap ones are repeated a thousand times, with the same bar. Seeds are fixed.

use hogwash::review::models::Interval;
use hogwash::review::models::intervals::{clopper_pearson, garwood, wilson};
use hogwash::review::models::lifetimes::{Observation, exponential, lognormal, weibull};
use hogwash::review::models::survival::kaplan_meier;
use sim::rng::Stream;

/// Asserts that at least 93 % of the intervals that `one` makes from its stream of chance cover the truth.
#[track_caller]
fn covers(name: &str, truth: f64, repetitions: u64, mut one: impl FnMut(&mut Stream) -> Interval) {
    let held = (0..repetitions).filter(|&seed| one(&mut Stream::named(seed, name)).contains(truth)).count();
    assert!(held as f64 >= 0.93 * repetitions as f64, "{name}: {held} of {repetitions}");
}

fn exponential_draw(stream: &mut Stream, mean: f64) -> f64 {
    -mean * (1.0 - stream.unit()).ln()
}

/// A standard normal draw (Box & Muller 1958).
fn normal_draw(stream: &mut Stream) -> f64 {
    let radius = (-2.0 * (1.0 - stream.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * stream.unit()).cos()
}

/// Cuts a time off at `end`.
fn watched(time: f64, end: f64) -> Observation {
    if time <= end { Observation::event(time) } else { Observation::censored(end) }
}

#[test]
fn intervals_for_a_probability_cover_it() {
    for (chance, trials) in [(0.5, 40), (0.03, 500), (0.002, 1_000)] {
        let hits = |stream: &mut Stream| (0..trials).filter(|_| stream.chance(chance)).count() as u64;
        covers("clopper-pearson", chance, 1_000, |stream| {
            clopper_pearson(hits(stream), trials, 0.95).unwrap()
        });
    }
    for (chance, trials) in [(0.5, 41), (0.2, 200), (0.03, 500)] {
        let hits = |stream: &mut Stream| (0..trials).filter(|_| stream.chance(chance)).count() as u64;
        covers("wilson", chance, 1_000, |stream| wilson(hits(stream), trials, 0.95).unwrap());
    }
}

#[test]
fn intervals_for_a_rate_and_a_mean_cover_them() {
    let events = |stream: &mut Stream, hours: f64| {
        let mut now = 0.0;
        (0_u64..).find(|_| {
            now += exponential_draw(stream, 100.0);
            now > hours
        })
    };
    covers("garwood", 0.01, 1_000, |stream| garwood(events(stream, 800.0).unwrap(), 800.0, 0.95).unwrap());
    covers("exponential", 100.0, 1_000, |stream| {
        exponential(events(stream, 800.0).unwrap(), 800.0, 0.95).unwrap().interval
    });
    // So short that often nothing is seen: the lower bound alone must hold.
    covers("exponential, rare", 100.0, 1_000, |stream| {
        exponential(events(stream, 30.0).unwrap(), 30.0, 0.95).unwrap().interval
    });
}

#[test]
fn fitted_laws_cover_their_parameters_though_some_times_are_cut_off() {
    // Weibull with shape 1.5 and scale 10; watching ends at 14, after four fifths of them.
    let sample = |stream: &mut Stream| -> Vec<Observation> {
        (0..200).map(|_| watched(10.0 * exponential_draw(stream, 1.0).powf(1.0 / 1.5), 14.0)).collect()
    };
    covers("weibull shape", 1.5, 300, |stream| weibull(&sample(stream), 0.95).unwrap().shape_interval);
    covers("weibull scale", 10.0, 300, |stream| weibull(&sample(stream), 0.95).unwrap().scale_interval);
    covers("survival", (-(0.5_f64.powf(1.5))).exp(), 300, |stream| {
        let steps = kaplan_meier(&sample(stream), 0.95).unwrap();
        steps.iter().rfind(|step| step.time <= 5.0).unwrap().interval
    });
    // Lognormal with median 30; watching ends at 100.
    let repairs = |stream: &mut Stream| -> Vec<Observation> {
        (0..100).map(|_| watched(30.0 * (1.2 * normal_draw(stream)).exp(), 100.0)).collect()
    };
    covers("lognormal median", 30.0, 300, |stream| {
        lognormal(&repairs(stream), 0.95).unwrap().median_interval
    });
}

/// Outcomes of two worlds on the same seeds, with losses that are rarer in the second, and the strata that they are of.
mod years {
    use super::{Stream, covers};
    use hogwash::review::answer::Figure;
    use hogwash::review::compose::{self, Seen};
    use hogwash::review::outcome::Outcome;
    use hogwash::review::strata::Stratum;

    const PAIRS: u64 = 120;
    /// What an outage that is over at once costs, in seconds.
    const SHORT: f64 = 3.0;
    /// How often a year each event comes, and the chances that it loses something, before and after.
    const EVENTS: [(f64, f64, f64); 3] = [(2.0, 0.3, 0.1), (0.5, 0.9, 0.2), (10.0, 0.02, 0.02)];

    fn stratum(per_year: f64) -> Stratum {
        Stratum {
            name: format!("{per_year} a year"),
            event: None,
            place: None,
            per_year,
            hours: 1.0,
            plans: Vec::new(),
        }
    }

    /// A run that loses something and stays down, or does neither.
    fn outcome(lost: bool) -> Outcome {
        let down_settled_seconds = f64::from(u8::from(lost));
        let down_within_seconds = if lost { 0.0 } else { SHORT };
        let lost = u64::from(lost);
        Outcome {
            lost,
            settled_seconds: 1.0,
            down_settled_seconds,
            down_within_seconds,
            ..Outcome::default()
        }
    }

    /// For each event, its outcomes before and after: one draw decides both, as one seed does.
    fn worlds(stream: &mut Stream) -> Vec<(Stratum, Vec<Outcome>, Vec<Outcome>)> {
        let event = |(per_year, before, after): (f64, f64, f64)| {
            let draws: Vec<f64> = (0..PAIRS).map(|_| stream.unit()).collect();
            let of = |chance: f64| draws.iter().map(|draw| outcome(*draw < chance)).collect();
            (stratum(per_year), of(before), of(after))
        };
        EVENTS.map(event).into_iter().collect()
    }

    fn seen<'a>(stratum: &'a Stratum, outcomes: &'a [Outcome]) -> Seen<'a> {
        Seen { stratum, outcomes: outcomes.iter().map(Some).collect() }
    }

    #[test]
    fn intervals_of_a_year_and_of_what_a_mitigation_changes_cover_the_truth() {
        let truth: f64 = EVENTS.iter().map(|(per_year, before, _)| per_year * before).sum();
        covers("losses of a year", truth, 1_000, |stream| {
            let worlds = worlds(stream);
            let before: Vec<_> = worlds.iter().map(|(stratum, before, _)| seen(stratum, before)).collect();
            match compose::losses(&before, 0.95) {
                Figure::Estimated { interval, .. } => interval,
                other => panic!("{other:?}"),
            }
        });
        let short = SHORT / 3_600.0;
        let hours = EVENTS.iter().map(|(per_year, before, _)| per_year * (before + (1.0 - before) * short));
        covers("hours down of a year", hours.sum(), 1_000, |stream| {
            let worlds = worlds(stream);
            let before: Vec<_> = worlds.iter().map(|(stratum, before, _)| seen(stratum, before)).collect();
            match compose::down_hours(&before, 0.95, 0.01) {
                Figure::Estimated { interval, .. } => interval,
                other => panic!("{other:?}"),
            }
        });
        let change: f64 = EVENTS.iter().map(|(per_year, before, after)| per_year * (after - before)).sum();
        covers("change of a year", change, 1_000, |stream| {
            let worlds = worlds(stream);
            let before: Vec<_> = worlds.iter().map(|(stratum, before, _)| seen(stratum, before)).collect();
            let after: Vec<_> = worlds.iter().map(|(stratum, _, after)| seen(stratum, after)).collect();
            let measure = |one: &Seen<'_>, outcome: &Outcome| one.lost(outcome);
            compose::change(&before, &after, 0.95, |_| 1.0, measure).unwrap().0.interval
        });
    }
}
