//! Importance sampling for a Markov sub-model: replicas with repair, failures made as likely as repairs.
//!
//! Source: Shahabuddin 1994, balanced failure biasing; for real stacks, stratify or split instead. Each cycle starts with the first failure
//! and ends with all replicas repaired or all failed; a path weighs its true chance over the biased one.

use super::repair::{Group, Repair};
use super::{Interval, ModelError, count, open_probability, real};
use sim::rng::Stream;

/// What biased cycles say of P(all replicas fail before all are repaired | one has failed).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BiasedCycles {
    /// The estimate.
    pub probability: f64,
    /// Its interval at 95 %, from the spread of the weights.
    pub interval: Interval,
    /// The variance of one cycle's weight over the square of its mean: bounded however rare the loss is.
    pub relative_variance: f64,
    /// How many cycles reached the loss.
    pub hits: u64,
}

impl Group {
    /// The same probability in closed form: gambler's ruin with the ratios of repair to failure, a sum of positive terms.
    pub fn loss_before_repair(&self) -> Result<f64, ModelError> {
        let chain = self.chain()?;
        let replicas = chain.states() as u64 - 1;
        count("replicas", replicas, 2, super::repair::REPLICAS_MAX)?;
        let mut product = 1.0;
        let mut sum = 1.0;
        for failed in 1..replicas {
            product *= self.repairs(failed) / self.failures(failed);
            sum += product;
        }
        super::finite("chance of loss", sum).map(|sum| 1.0 / sum)
    }

    /// Estimates it from `cycles` cycles in which the next transition is a failure with chance `bias`.
    pub fn biased_cycles(&self, bias: f64, cycles: u64, seed: u64) -> Result<BiasedCycles, ModelError> {
        open_probability("bias", bias)?;
        count("cycles", cycles, 100, 100_000_000)?;
        // Refuses what the closed form refuses.
        self.loss_before_repair()?;
        let mut chance = Stream::named(seed, "biased-cycles");
        let (mut first, mut second, mut hits) = (0.0, 0.0, 0);
        for _ in 0..cycles {
            let weight = self.cycle(bias, &mut chance);
            first += weight;
            second += weight * weight;
            hits += u64::from(weight > 0.0);
        }
        if hits < 10 {
            return Err(ModelError::NotEnoughData {
                what: "the chance of loss",
                reason: format!(
                    "only {hits} of {cycles} cycles reached it; use more cycles or a higher `bias`"
                ),
            });
        }
        let size = real(cycles);
        let probability = first / size;
        let variance = (second / size - probability * probability).max(0.0);
        let half = 1.96 * (variance / size).sqrt();
        Ok(BiasedCycles {
            probability,
            interval: Interval {
                low: (probability - half).max(0.0),
                high: probability + half,
                confidence: 0.95,
            },
            relative_variance: variance / (probability * probability),
            hits,
        })
    }

    fn cycle(&self, bias: f64, chance: &mut Stream) -> f64 {
        let mut weight = 1.0;
        let mut failed = 1;
        while 0 < failed && failed < self.replicas {
            let fails = self.failures(failed) / (self.failures(failed) + self.repairs(failed));
            if chance.chance(bias) {
                weight *= fails / bias;
                failed += 1;
            } else {
                weight *= (1.0 - fails) / (1.0 - bias);
                failed -= 1;
            }
        }
        if failed == 0 { 0.0 } else { weight }
    }

    fn failures(&self, failed: u64) -> f64 {
        real(self.replicas - failed) * self.failure_rate_per_hour
    }

    fn repairs(&self, failed: u64) -> f64 {
        match self.repair {
            Repair::Parallel => real(failed) * self.repair_rate_per_hour,
            Repair::Serial => self.repair_rate_per_hour,
        }
    }
}
