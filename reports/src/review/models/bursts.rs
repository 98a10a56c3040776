//! Stripes of replicas under bursts of node failures.
//!
//! Source: Ford, Labelle, Popovici, Stokely, Truong, Barroso, Grimes & Quinlan, OSDI 2010, "Availability in globally distributed storage
//! systems", section 6: a Markov chain over the replicas that are in place, where bursts take several at once.

use super::markov::Chain;
use super::{ModelError, binomial, count, positive, probability, real};

/// The most replicas of a stripe.
pub const REPLICAS_MAX: u64 = 32;

/// One class of bursts: comes at random, and takes each replica of a stripe with the same chance, independently.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// Mean time between bursts, in days.
    pub every_days: f64,
    /// The chance that a burst takes a given replica.
    pub takes: f64,
}

/// Bursts that, with [`FAILURES_PER_DAY`] and [`REPAIRS_PER_DAY`], give back the paper's mean times for 2 to 5 replicas.
///
/// They were fitted to those four figures: a calibration, not a confirmation.
pub const CALIBRATED: [Burst; 2] =
    [Burst { every_days: 47.80, takes: 0.011_727_4 }, Burst { every_days: 2_069.8, takes: 0.060_805_3 }];
/// Independent failures of a replica, per day, fitted to the paper's uncorrelated figures for 2 and 3 replicas.
pub const FAILURES_PER_DAY: f64 = 0.008_134_5;
/// Repairs per day, one at a time, fitted to the same figures.
pub const REPAIRS_PER_DAY: f64 = 66.013_4;

/// Mean time in days until a stripe of `replicas` has lost all of them; repairs happen one at a time.
pub fn stripe_days_to_loss(
    replicas: u64,
    failures_per_day: f64,
    repairs_per_day: f64,
    bursts: &[Burst],
) -> Result<f64, ModelError> {
    count("replicas", replicas, 1, REPLICAS_MAX)?;
    positive("failures_per_day", failures_per_day)?;
    positive("repairs_per_day", repairs_per_day)?;
    for burst in bursts {
        positive("every_days", burst.every_days)?;
        probability("takes", burst.takes)?;
    }
    let full = usize::try_from(replicas).expect("at most 32 replicas");
    let mut chain = Chain::new(full + 1)?;
    for (left, state) in (1..=replicas).zip(1..=full) {
        chain.add(state, state - 1, real(left) * failures_per_day)?;
        for burst in bursts {
            for (taken, gone) in (1..=left).zip(1..=state) {
                let chance = binomial::term(taken, left, burst.takes, 1.0 - burst.takes);
                chain.add(state, state - gone, chance / burst.every_days)?;
            }
        }
        if state < full {
            chain.add(state, state + 1, repairs_per_day)?;
        }
    }
    // The chain's unit of time is whatever its rates are per; here, days.
    chain.mean_hours_until(0, full)
}
