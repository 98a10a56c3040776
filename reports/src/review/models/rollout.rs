//! A change that goes out in stages, and how far a bad one gets before it is noticed.
//!
//! Source: SRE Workbook (Beyer et al. 2018), chapter 16, "Canarying releases". Detection is exponential from the moment at which the fault
//! starts to show; a fault that sleeps shows nothing before.

use super::{ModelError, non_negative, out_of_range, positive, real};

/// A staged rollout. Times are in hours.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// The share of the fleet that runs the change at each stage, rising to at most 1.
    pub stages: Vec<f64>,
    /// How long each stage is watched before the next one starts.
    pub soak_hours: f64,
    /// Mean time from the first symptom until the rollout is stopped.
    pub detection_hours_mean: f64,
    /// How long the fault shows no symptom after the first stage.
    pub dormant_hours: f64,
}

/// How far a bad change gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// P(stage k is reached), for each stage.
    pub stage_probabilities: Vec<f64>,
    /// The expected share of the fleet hit.
    pub share_expected: f64,
    /// P(the last stage is reached).
    pub last_stage: f64,
}

impl Rollout {
    /// Works out the reach of a bad change.
    pub fn reach(&self) -> Result<Reach, ModelError> {
        positive("detection_hours_mean", self.detection_hours_mean)?;
        non_negative("soak_hours", self.soak_hours)?;
        non_negative("dormant_hours", self.dormant_hours)?;
        if self.stages.is_empty() || self.stages.len() > 1_000 {
            return Err(out_of_range("stages", format!("{} stages", self.stages.len()), "1 to 1000 stages"));
        }
        let rising = self.stages.windows(2).all(|pair| pair[0] <= pair[1]);
        let shares = self.stages.iter().all(|stage| *stage > 0.0 && *stage <= 1.0);
        if !rising || !shares {
            let allowed = "shares above 0 that rise to at most 1";
            return Err(out_of_range("stages", format!("{:?}", self.stages), allowed));
        }
        let reached = |stage: u64| {
            let watched = (real(stage) * self.soak_hours - self.dormant_hours).max(0.0);
            (-watched / self.detection_hours_mean).exp()
        };
        let stage_probabilities: Vec<f64> = (0..self.stages.len() as u64).map(reached).collect();
        let mut share_expected = 0.0;
        let mut before = 0.0;
        for (share, probability) in self.stages.iter().zip(&stage_probabilities) {
            share_expected += (share - before) * probability;
            before = *share;
        }
        let last_stage = stage_probabilities.last().copied().unwrap_or(1.0);
        Ok(Reach { stage_probabilities, share_expected, last_stage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn essay() -> Rollout {
        Rollout {
            stages: vec![0.01, 0.1, 0.5, 1.0],
            soak_hours: 1.0,
            detection_hours_mean: 1.0,
            dormant_hours: 0.0,
        }
    }

    #[test]
    fn a_fault_that_sleeps_through_the_rollout_hits_everything() {
        let reach = Rollout { dormant_hours: 3.0, ..essay() }.reach().unwrap();
        assert_eq!((reach.share_expected, reach.last_stage), (1.0, 1.0));
    }

    #[test]
    fn stages_that_shrink_are_refused() {
        let error = Rollout { stages: vec![0.5, 0.1], ..essay() }.reach().unwrap_err().to_string();
        assert!(error.contains("`stages` is [0.5, 0.1]"), "{error}");
        assert!(Rollout { stages: vec![], ..essay() }.reach().is_err());
        assert!(Rollout { stages: vec![f64::NAN], ..essay() }.reach().is_err());
    }
}
