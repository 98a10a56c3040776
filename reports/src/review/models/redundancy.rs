//! The claim: N replicas, each fails with probability P, so all fail with P^N; and its relatives for k of n.

use super::{ModelError, binomial, count, finite, open_probability, probability, real};

/// The most replicas or nodes that a claim may speak of.
pub const NODES_MAX: u64 = 1_000_000;

/// P^N: the probability that all `replicas` fail, if they fail independently.
///
/// Source: the claim under review (design §9); any textbook. `failure` is the probability that one replica fails in the period meant.
pub fn all_fail(failure: f64, replicas: u64) -> Result<f64, ModelError> {
    probability("failure", failure)?;
    count("replicas", replicas, 1, NODES_MAX)?;
    never_a_bare_zero(failure.powf(real(replicas)), failure)
}

/// The probability that fewer than `needed` of `nodes` are up, each up with probability `availability`, independently.
///
/// Source: binomial; Barlow & Proschan 1975, k-out-of-n systems.
pub fn k_of_n_unavailability(availability: f64, needed: u64, nodes: u64) -> Result<f64, ModelError> {
    probability("availability", availability)?;
    count("nodes", nodes, 1, NODES_MAX)?;
    count("needed", needed, 1, nodes)?;
    let failure = 1.0 - availability;
    never_a_bare_zero(binomial::upper_tail(nodes - needed + 1, nodes, failure, availability), failure)
}

/// How many independent replicas would fail together as rarely: ln(all_fail) / ln(failure).
///
/// Source: NUREG/CR-5485 writes the same ratio as a common-cause penalty. With independent replicas it is N.
pub fn effective_replicas(all_fail: f64, failure: f64) -> Result<f64, ModelError> {
    open_probability("all_fail", all_fail)?;
    open_probability("failure", failure)?;
    finite("number of effective replicas", all_fail.ln() / failure.ln())
}

/// An answer may be 0 only where nothing ever fails, not because a number was too small to write down.
fn never_a_bare_zero(answer: f64, failure: f64) -> Result<f64, ModelError> {
    if answer == 0.0 && failure > 0.0 {
        return Err(ModelError::NotRepresentable { answer: "probability" });
    }
    Ok(answer)
}
