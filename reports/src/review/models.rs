//! The models of the review, each with its source, units and errors.
//!
//! Probabilities are numbers in [0, 1], rates are per hour unless a name says otherwise, and units come last in a name. Every
//! function is tested against figures computed with 40 digits or printed in its source (`reports/tests/it/oracles.rs`).
//! No function panics on bad arguments: each gives a [`ModelError`] that names the argument, its value and what is allowed.

pub mod binomial;
pub mod bursts;
pub mod capacity;
pub mod collapse;
pub mod common_cause;
pub mod copysets;
pub mod importance;
pub mod intervals;
pub mod lifetimes;
pub mod markov;
pub mod poison;
pub mod queueing;
pub mod redundancy;
pub mod repair;
pub mod rollout;
pub mod survival;
pub mod typical_year;

use std::fmt::Display;

/// Hours in a Julian year: what turns rates per year into rates per hour and back.
pub const HOURS_PER_YEAR: f64 = 8_766.0;

/// Why a model gives no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// An argument lies outside of what the model is defined for.
    #[error("`{argument}` is {value}: it must be {allowed}")]
    OutOfRange {
        /// The argument, as the function and the command line call it.
        argument: &'static str,
        /// What was given.
        value: String,
        /// What may be given.
        allowed: String,
    },
    /// More work arrives than all servers can do, so no steady state exists.
    #[error("the queue is unstable: utilisation is {utilisation:.4}; use at least {servers_min} servers")]
    Unstable {
        /// Offered load over capacity.
        utilisation: f64,
        /// The fewest servers with a steady state.
        servers_min: u64,
    },
    /// The data hold nothing that the question could be answered from.
    #[error("{what} cannot be estimated: {reason}")]
    NotEnoughData {
        /// The quantity asked for.
        what: &'static str,
        /// What is missing.
        reason: String,
    },
    /// The answer is beyond the range of a 64-bit floating-point number.
    #[error("the {answer} is too large or too small for a 64-bit number: use less extreme arguments")]
    NotRepresentable {
        /// Which answer.
        answer: &'static str,
    },
}

/// An interval that covers the true value with at least, or about, a stated confidence.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end; infinite where the data put no bound on it.
    pub high: f64,
    /// The confidence, such as 0.95.
    pub confidence: f64,
}

impl Interval {
    /// True where the value lies in the interval.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The error for an argument out of its range.
pub(crate) fn out_of_range(
    argument: &'static str,
    value: impl Display,
    allowed: impl Into<String>,
) -> ModelError {
    ModelError::OutOfRange { argument, value: value.to_string(), allowed: allowed.into() }
}

/// Accepts a probability, ends included.
pub(crate) fn probability(argument: &'static str, value: f64) -> Result<f64, ModelError> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(out_of_range(argument, value, "a probability between 0 and 1"))
    }
}

/// Accepts a probability that is neither 0 nor 1.
pub(crate) fn open_probability(argument: &'static str, value: f64) -> Result<f64, ModelError> {
    if value > 0.0 && value < 1.0 {
        Ok(value)
    } else {
        Err(out_of_range(argument, value, "above 0 and below 1"))
    }
}

/// Accepts a finite number above 0.
pub(crate) fn positive(argument: &'static str, value: f64) -> Result<f64, ModelError> {
    if value > 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(out_of_range(argument, value, "a finite number above 0"))
    }
}

/// Accepts a finite number, 0 or above.
pub(crate) fn non_negative(argument: &'static str, value: f64) -> Result<f64, ModelError> {
    if value >= 0.0 && value.is_finite() {
        Ok(value)
    } else {
        Err(out_of_range(argument, value, "a finite number, 0 or above"))
    }
}

/// Accepts a count between two bounds, both included. The upper ones keep the work, and the memory, within reason.
pub(crate) fn count(argument: &'static str, value: u64, low: u64, high: u64) -> Result<u64, ModelError> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else if low == high {
        Err(out_of_range(argument, value, format!("exactly {low}")))
    } else {
        Err(out_of_range(argument, value, format!("a whole number from {low} to {high}")))
    }
}

/// Refuses an answer that overflowed.
pub(crate) fn finite(answer: &'static str, value: f64) -> Result<f64, ModelError> {
    if value.is_finite() { Ok(value) } else { Err(ModelError::NotRepresentable { answer }) }
}

/// A count as a number: exact below 2^53, and all counts that models take are far below.
#[expect(clippy::cast_precision_loss, reason = "counts are bounded far below 2^53")]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_argument_the_value_and_the_range() {
        assert_eq!(
            probability("node_failure", 1.5).unwrap_err().to_string(),
            "`node_failure` is 1.5: it must be a probability between 0 and 1"
        );
        assert!(probability("p", f64::NAN).unwrap_err().to_string().contains("`p` is NaN"));
        assert_eq!(
            count("replicas", 0, 1, 64).unwrap_err().to_string(),
            "`replicas` is 0: it must be a whole number from 1 to 64"
        );
    }
}
