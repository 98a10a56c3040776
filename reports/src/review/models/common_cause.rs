//! Common-cause failure: what shared causes make of independent ones.
//!
//! Sources: NUREG/CR-4780 (Mosleh et al. 1988) for the β-factor and multiple Greek letter models, NUREG/CR-5485 (Mosleh et al. 1998)
//! for the α-factor model and the estimators; Marshall & Olkin 1967 for common shocks.

use super::{ModelError, binomial, count, non_negative, open_probability, out_of_range};
use super::{probability, real};

/// The largest common-cause group: the basic events of a group of m are its 2^m − 1 subsets.
pub const GROUP_MAX: u64 = 10;

/// β-factor model: the probability that `failures` or more of `nodes` fail.
///
/// A share `beta` of each node's failure probability is one cause that takes all nodes; the rest is independent:
/// βP + T − βP·T with T the binomial tail of (1−β)P. For all N of N this is βP + ((1−β)P)^N − βP((1−β)P)^N.
pub fn beta_factor(failure: f64, beta: f64, nodes: u64, failures: u64) -> Result<f64, ModelError> {
    probability("failure", failure)?;
    probability("beta", beta)?;
    count("nodes", nodes, 1, 1_000_000)?;
    count("failures", failures, 1, nodes)?;
    let common = beta * failure;
    let independent = (1.0 - beta) * failure;
    let tail = binomial::upper_tail(failures, nodes, independent, 1.0 - independent);
    Ok(common + (1.0 - common) * tail)
}

/// Multiple Greek letter model: Q_k, the probability of the basic event that fails exactly a given set of k nodes, k = 1..m.
///
/// `letters` are β, γ, δ, …: the chance that a cause which took k nodes takes one more; m is their number and one.
/// Q_k = Q · (ρ_1…ρ_k)(1 − ρ_{k+1}) / C(m−1, k−1), with ρ_1 = 1 and ρ_{m+1} = 0 (NUREG/CR-4780, eq. 3.21).
pub fn multiple_greek_letter(failure: f64, letters: &[f64]) -> Result<Vec<f64>, ModelError> {
    probability("failure", failure)?;
    for &letter in letters {
        probability("letters", letter)?;
    }
    let size = group_size("letters", letters.len() + 1)?;
    let mut reached = 1.0;
    let mut answers = Vec::with_capacity(letters.len() + 1);
    for k in 1..=size {
        let next = usize::try_from(k - 1).ok().and_then(|index| letters.get(index)).copied().unwrap_or(0.0);
        answers.push(failure * reached * (1.0 - next) / choose(size - 1, k - 1));
        reached *= next;
    }
    Ok(answers)
}

/// How the tests behind an α-factor estimate were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Testing {
    /// All nodes at the same time.
    NonStaggered,
    /// One node at a time, in turn.
    Staggered,
}

/// α-factor model: Q_k for k = 1..m, from the fractions `alphas` of failure events that took exactly k nodes.
///
/// Non-staggered: Q_k = k/C(m−1, k−1) · α_k/α_t · Q with α_t = Σ k·α_k; staggered: Q_k = α_k/C(m−1, k−1) · Q
/// (NUREG/CR-5485, eq. 5.2 and 5.3). The fractions must sum to 1.
pub fn alpha_factor(failure: f64, alphas: &[f64], testing: Testing) -> Result<Vec<f64>, ModelError> {
    probability("failure", failure)?;
    let size = group_size("alphas", alphas.len())?;
    for &alpha in alphas {
        probability("alphas", alpha)?;
    }
    let sum: f64 = alphas.iter().sum();
    if (sum - 1.0).abs() > 1e-6 {
        return Err(out_of_range("alphas", format!("{alphas:?}, with sum {sum}"), "fractions that sum to 1"));
    }
    let weighted: f64 = (1..=size).zip(alphas).map(|(k, alpha)| real(k) * alpha).sum();
    let share = |k: u64, alpha: f64| match testing {
        Testing::NonStaggered => real(k) * alpha / weighted,
        Testing::Staggered => alpha,
    };
    Ok((1..=size)
        .zip(alphas)
        .map(|(k, &alpha)| failure * share(k, alpha) / choose(size - 1, k - 1))
        .collect())
}

/// The probability that `failures` or more nodes of a common-cause group are down.
///
/// `basic` are Q_1..Q_m as [`multiple_greek_letter`] or [`alpha_factor`] give them: each set of k nodes fails together with Q_k,
/// all sets independently. Exact: the 2^m − 1 basic events are folded in one by one, by sums of positive terms only.
pub fn group_failure(basic: &[f64], failures: u64) -> Result<f64, ModelError> {
    let size = group_size("basic", basic.len())?;
    count("failures", failures, 1, size)?;
    for &event in basic {
        probability("basic", event)?;
    }
    let sets = 1_usize << basic.len();
    let mut chances = vec![0.0; sets];
    chances[0] = 1.0;
    for event in 1..sets {
        let chance = basic[event.count_ones() as usize - 1];
        let mut next = vec![0.0; sets];
        for (down, before) in chances.iter().enumerate() {
            next[down] += before * (1.0 - chance);
            next[down | event] += before * chance;
        }
        chances = next;
    }
    let enough = |down: &usize| u64::from(down.count_ones()) >= failures;
    Ok((0..sets).filter(enough).map(|down| chances[down]).sum::<f64>().min(1.0))
}

/// α_k = n_k / Σ n_j, from counts of events that took exactly 1, 2, … m nodes (NUREG/CR-5485, eq. 5.11).
pub fn alpha_estimates(events: &[u64]) -> Result<Vec<f64>, ModelError> {
    let total = observed(events)?;
    Ok(events.iter().map(|&number| real(number) / total).collect())
}

/// β: the share of a node's failures that came with another's, Σ_{k≥2} k·n_k / Σ k·n_k.
///
/// For m = 2 this is 2·n_2 / (n_1 + 2·n_2), the non-staggered estimator of NUREG/CR-4780.
pub fn beta_estimate(events: &[u64]) -> Result<f64, ModelError> {
    observed(events)?;
    let weighted = || (1_u64..).zip(events).map(|(k, &number)| real(k) * real(number));
    Ok(weighted().skip(1).sum::<f64>() / weighted().sum::<f64>())
}

/// Common shock (Marshall & Olkin 1967): the probability that all `nodes` are down by `time_hours`.
///
/// Each node has its own shocks at `rate_per_hour`; one more stream of shocks at `common_rate_per_hour` takes all of them.
pub fn common_shock(
    rate_per_hour: f64,
    common_rate_per_hour: f64,
    time_hours: f64,
    nodes: u64,
) -> Result<f64, ModelError> {
    non_negative("rate_per_hour", rate_per_hour)?;
    non_negative("common_rate_per_hour", common_rate_per_hour)?;
    non_negative("time_hours", time_hours)?;
    count("nodes", nodes, 1, 1_000_000)?;
    let own = (-(-rate_per_hour * time_hours).exp_m1()).powf(real(nodes));
    let shared = -(-common_rate_per_hour * time_hours).exp_m1();
    Ok(shared + (1.0 - shared) * own)
}

/// Beta-binomial: the probability that `failures` or more of `nodes` fail, where the failure probability itself varies from one
/// occasion to the next with mean `failure` and the failures of two nodes have correlation `correlation`.
///
/// Source: Skellam 1948. A correlation of 0 is the binomial; 1 is the same binary everywhere: all N fail with P, for every N.
pub fn beta_binomial(failure: f64, correlation: f64, nodes: u64, failures: u64) -> Result<f64, ModelError> {
    open_probability("failure", failure)?;
    probability("correlation", correlation)?;
    count("nodes", nodes, 1, 1_000)?;
    count("failures", failures, 1, nodes)?;
    if correlation == 1.0 {
        return Ok(failure);
    }
    // Pólya's urn, node by node: the chance that the next node fails, given how many of those before it did.
    let spread = 1.0 - correlation;
    let mut chances = vec![1.0];
    for seen in 0..nodes {
        let mut next = vec![0.0; chances.len() + 1];
        for (failed, chance) in (0_u64..).zip(&chances) {
            let total = spread + correlation * real(seen);
            let fails = (failure * spread + correlation * real(failed)) / total;
            let survives = ((1.0 - failure) * spread + correlation * real(seen - failed)) / total;
            let index = usize::try_from(failed).expect("at most 1000 nodes");
            next[index] += chance * survives;
            next[index + 1] += chance * fails;
        }
        chances = next;
    }
    let skip = usize::try_from(failures).expect("at most 1000 nodes");
    Ok(chances.iter().skip(skip).sum::<f64>().min(1.0))
}

fn group_size(argument: &'static str, length: usize) -> Result<u64, ModelError> {
    let size = length as u64;
    if (1..=GROUP_MAX).contains(&size) {
        Ok(size)
    } else {
        Err(out_of_range(
            argument,
            format!("for a group of {size}"),
            format!("for a group of 1 to {GROUP_MAX} nodes"),
        ))
    }
}

fn observed(events: &[u64]) -> Result<f64, ModelError> {
    let total: f64 = events.iter().map(|&number| real(number)).sum();
    if total > 0.0 {
        Ok(total)
    } else {
        Err(ModelError::NotEnoughData {
            what: "the share of common-cause failures",
            reason: "no failure event was counted".to_owned(),
        })
    }
}

/// C(n, k) for the small groups here.
fn choose(n: u64, k: u64) -> f64 {
    (0..k).fold(1.0, |product, i| product * real(n - i) / real(i + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_fails_with_its_own_probability_whatever_is_shared() {
        let basic = multiple_greek_letter(1e-3, &[0.1, 0.5, 0.9]).unwrap();
        // The Q_k of all sets that hold one node sum to Q.
        let sum: f64 =
            (1_u64..).zip(&basic).map(|(k, event)| choose(basic.len() as u64 - 1, k - 1) * event).sum();
        assert!((sum - 1e-3).abs() < 1e-15);
    }

    #[test]
    fn without_correlation_the_beta_binomial_is_the_binomial() {
        let correlated = beta_binomial(0.01, 0.0, 5, 2).unwrap();
        let independent = binomial::at_least(2, 5, 0.01).unwrap();
        assert!((correlated / independent - 1.0).abs() < 1e-12);
        for nodes in 1..=7 {
            assert_eq!(beta_binomial(0.01, 1.0, nodes, nodes).unwrap(), 0.01);
        }
    }

    #[test]
    fn fractions_that_do_not_sum_to_one_are_refused() {
        let error = alpha_factor(1e-3, &[0.5, 0.2], Testing::Staggered).unwrap_err().to_string();
        assert!(error.contains("fractions that sum to 1"), "{error}");
        assert!(alpha_factor(1e-3, &[], Testing::Staggered).is_err());
        assert!(alpha_estimates(&[0, 0]).is_err());
    }
}
