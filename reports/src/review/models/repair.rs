//! Replicas that fail and are rebuilt: mean time to data loss, chance of loss within a horizon, bytes expected lost.
//!
//! A mean time to data loss alone misleads (Greenan, Plank & Wylie, HotStorage 2010, "Mean time to meaningless"): it is reported here only
//! beside the chance of loss within a stated time and the expected bytes lost per usable terabyte (NOMDL).

use super::markov::Chain;
use super::{ModelError, count, finite, non_negative, positive, probability, real};

/// The most replicas of one group.
pub const REPLICAS_MAX: u64 = 32;

/// How many failed replicas are rebuilt at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Each on its own: k failed replicas are rebuilt at k times the rate.
    Parallel,
    /// One after the other.
    Serial,
}

/// One group of replicas: it loses data once all have failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// How many replicas.
    pub replicas: u64,
    /// Failures of one replica, per hour.
    pub failure_rate_per_hour: f64,
    /// Rebuilds of one replica, per hour.
    pub repair_rate_per_hour: f64,
    /// How rebuilding is organised.
    pub repair: Repair,
}

impl Group {
    fn check(&self) -> Result<(), ModelError> {
        count("replicas", self.replicas, 1, REPLICAS_MAX)?;
        positive("failure_rate_per_hour", self.failure_rate_per_hour)?;
        non_negative("repair_rate_per_hour", self.repair_rate_per_hour)?;
        Ok(())
    }

    fn rebuilds_per_hour(&self, failed: u64) -> f64 {
        match self.repair {
            Repair::Parallel => real(failed) * self.repair_rate_per_hour,
            Repair::Serial => self.repair_rate_per_hour,
        }
    }

    /// Mean time from all replicas in place to all lost, in hours.
    ///
    /// T_0 = 1/(nλ), T_k = (1 + r_k·T_{k−1})/((n−k)λ), and the sum of them. Exponential times; no subtraction occurs.
    pub fn mean_hours_to_loss(&self) -> Result<f64, ModelError> {
        self.check()?;
        let mut sum = 0.0;
        let mut before = 0.0;
        for failed in 0..self.replicas {
            let leave = real(self.replicas - failed) * self.failure_rate_per_hour;
            before = (1.0 + self.rebuilds_per_hour(failed) * before) / leave;
            sum += before;
        }
        finite("mean time to data loss", sum)
    }

    /// The chain over the number of failed replicas; its last state is the loss.
    pub fn chain(&self) -> Result<Chain, ModelError> {
        self.check()?;
        let size = usize::try_from(self.replicas).expect("at most 32 replicas");
        let mut chain = Chain::new(size + 1)?;
        for (failed, state) in (0..self.replicas).zip(0..size) {
            chain.add(state, state + 1, real(self.replicas - failed) * self.failure_rate_per_hour)?;
            if state > 0 {
                chain.add(state, state - 1, self.rebuilds_per_hour(failed))?;
            }
        }
        Ok(chain)
    }

    /// What a horizon brings, in hours: chance of loss, losses expected, bytes.
    ///
    /// `lost_share` is the share of the group's bytes that a loss takes. A group is set up anew after a loss.
    pub fn over(&self, horizon_hours: f64, lost_share: f64) -> Result<Losses, ModelError> {
        positive("horizon_hours", horizon_hours)?;
        probability("lost_share", lost_share)?;
        let chain = self.chain()?;
        let entries = chain.entries_within(chain.states() - 1, 0, horizon_hours)?;
        Ok(Losses {
            probability: entries.probability,
            expected: entries.expected,
            nomdl_bytes_per_terabyte: entries.expected * lost_share * 1e12,
        })
    }
}

/// Losses of one group within a horizon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    /// P(at least one loss).
    pub probability: f64,
    /// Expected number of losses.
    pub expected: f64,
    /// Normalised magnitude of data loss: bytes expected lost per usable terabyte (1e12 bytes).
    ///
    /// Source: Greenan et al. 2010, section 5. It does not depend on how many groups there are.
    pub nomdl_bytes_per_terabyte: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recurrence_and_the_subtraction_free_elimination_agree() {
        for repair in [Repair::Parallel, Repair::Serial] {
            for replicas in 1..=9 {
                let group =
                    Group { replicas, failure_rate_per_hour: 1e-5, repair_rate_per_hour: 0.5, repair };
                let chain = group.chain().unwrap();
                let solved = chain.mean_hours_until(chain.states() - 1, 0).unwrap();
                let ratio = solved / group.mean_hours_to_loss().unwrap();
                assert!((ratio - 1.0).abs() < 1e-12, "{replicas} {repair:?}: {ratio}");
            }
        }
    }

    #[test]
    fn losses_over_a_long_time_come_once_per_mean_time() {
        let group = Group {
            replicas: 3,
            failure_rate_per_hour: 1e-3,
            repair_rate_per_hour: 0.1,
            repair: Repair::Parallel,
        };
        let mean = group.mean_hours_to_loss().unwrap();
        let losses = group.over(mean * 1e4, 1.0).unwrap();
        assert!((losses.expected / 1e4 - 1.0).abs() < 1e-3, "{losses:?}");
        assert!((losses.probability - 1.0).abs() < 1e-12);
        let year = group.over(mean * 1e-3, 0.5).unwrap();
        assert!((year.probability / 1e-3 - 1.0).abs() < 0.02, "{year:?}");
        assert!((year.nomdl_bytes_per_terabyte / (year.expected * 0.5e12) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn no_replicas_and_no_failures_are_refused() {
        let group = Group {
            replicas: 0,
            failure_rate_per_hour: 1e-3,
            repair_rate_per_hour: 0.1,
            repair: Repair::Serial,
        };
        assert!(group.mean_hours_to_loss().is_err());
        assert!(Group { replicas: 3, failure_rate_per_hour: 0.0, ..group }.chain().is_err());
        assert!(Group { replicas: 3, ..group }.over(f64::NAN, 1.0).is_err());
    }
}
