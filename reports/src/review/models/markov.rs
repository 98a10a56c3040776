//! Continuous-time Markov chains, solved without a subtraction.
//!
//! Plain LU elimination in 64 bits loses all digits where repair is a million times faster than failure, which is exactly
//! where replicated storage lives. The elimination of Grassmann, Taksar & Heyman (1985, "Regenerative analysis and steady state
//! distributions for Markov chains") adds and multiplies positive numbers only, so every digit survives; the transient solution here
//! keeps to the same rule.

use super::{ModelError, count, finite, non_negative, out_of_range};

/// The most states a chain may have: elimination takes the cube of it.
pub const STATES_MAX: u64 = 1_500;

/// How often a first step is doubled at most: 2^100 transitions.
const DOUBLINGS_MAX: f64 = 100.0;

/// The rates of a chain: `rate(i, j)` per hour from state i to state j.
#[derive(Clone, Debug)]
pub struct Chain {
    states: usize,
    rates: Vec<f64>,
}

impl Chain {
    /// A chain without transitions.
    pub fn new(states: usize) -> Result<Self, ModelError> {
        count("states", states as u64, 2, STATES_MAX)?;
        Ok(Self { states, rates: vec![0.0; states * states] })
    }

    /// Adds a transition, or adds to one that is there. From a state to itself is nothing, and left out.
    pub fn add(&mut self, from: usize, to: usize, rate_per_hour: f64) -> Result<(), ModelError> {
        non_negative("rate_per_hour", rate_per_hour)?;
        for state in [from, to] {
            if state >= self.states {
                return Err(out_of_range("state", state, format!("below {}", self.states)));
            }
        }
        if from != to {
            self.rates[from * self.states + to] += rate_per_hour;
        }
        Ok(())
    }

    /// The number of states.
    pub fn states(&self) -> usize {
        self.states
    }

    fn rate(&self, from: usize, to: usize) -> f64 {
        self.rates[from * self.states + to]
    }

    /// The share of time spent in each state in the long run. Every state must be reachable from state 0 and lead back to it.
    pub fn steady_state(&self) -> Result<Vec<f64>, ModelError> {
        let size = self.states;
        let mut rates = self.rates.clone();
        let mut outs = vec![0.0; size];
        for last in (1..size).rev() {
            let out: f64 = (0..last).map(|to| rates[last * size + to]).sum();
            if out <= 0.0 {
                return Err(out_of_range("chain", format!("stuck in state {last}"), "irreducible"));
            }
            outs[last] = out;
            for from in 0..last {
                let share = rates[from * size + last] / out;
                if share > 0.0 {
                    for to in (0..last).filter(|&to| to != from) {
                        rates[from * size + to] += share * rates[last * size + to];
                    }
                }
            }
        }
        let mut weights = vec![0.0; size];
        weights[0] = 1.0;
        for state in 1..size {
            let inflow: f64 = (0..state).map(|from| weights[from] * rates[from * size + state]).sum();
            weights[state] = inflow / outs[state];
        }
        let total = finite("steady state", weights.iter().sum())?;
        Ok(weights.into_iter().map(|weight| weight / total).collect())
    }

    /// The mean time, in hours (or whatever unit the rates are per), from `start` until state `absorbing` is first entered.
    ///
    /// Sends the absorbing state back to the start at rate 1 and reads the answer from the steady state: the mean cycle is the mean time
    /// asked for plus one hour, and no subtraction is needed to take that hour away.
    pub fn mean_hours_until(&self, absorbing: usize, start: usize) -> Result<f64, ModelError> {
        if absorbing == start || absorbing >= self.states || start >= self.states {
            return Err(out_of_range("absorbing", absorbing, "another state of the chain than `start`"));
        }
        let mut cycle = self.clone();
        cycle.rates[absorbing * self.states..][..self.states].fill(0.0);
        cycle.add(absorbing, start, 1.0)?;
        cycle.swap(0, start);
        let ends = if absorbing == 0 { start } else { absorbing };
        let shares = cycle.steady_state()?;
        let before: f64 = (0..self.states).filter(|&state| state != ends).map(|state| shares[state]).sum();
        finite("mean time", before / shares[ends])
    }

    /// From `start`: the probability to have entered `absorbing` within `hours`, and the expected number of entries if the chain starts
    /// again from `start` at once after each.
    pub fn entries_within(&self, absorbing: usize, start: usize, hours: f64) -> Result<Entries, ModelError> {
        non_negative("hours", hours)?;
        if absorbing == start || absorbing >= self.states || start >= self.states {
            return Err(out_of_range("absorbing", absorbing, "another state of the chain than `start`"));
        }
        let mut stays = self.clone();
        stays.rates[absorbing * self.states..][..self.states].fill(0.0);
        let first = Transient::after(&stays, hours, None)?;
        let mut renews = stays;
        let mut entry = vec![0.0; self.states];
        for (from, rate) in entry.iter_mut().enumerate() {
            *rate = renews.rate(from, absorbing);
            renews.rates[from * self.states + absorbing] = 0.0;
            renews.add(from, start, *rate)?;
        }
        let repeated = Transient::after(&renews, hours, Some(entry))?;
        Ok(Entries {
            probability: first.transition[start * self.states + absorbing].min(1.0),
            expected: finite("expected number of entries", repeated.reward[start])?,
        })
    }

    fn swap(&mut self, one: usize, other: usize) {
        let size = self.states;
        for column in 0..size {
            self.rates.swap(one * size + column, other * size + column);
        }
        for row in 0..size {
            self.rates.swap(row * size + one, row * size + other);
        }
    }
}

/// Entries into a state within a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entries {
    /// P(at least one).
    pub probability: f64,
    /// Their expected number, where the chain starts anew after each.
    pub expected: f64,
}

/// exp(Q·t) and the reward gathered until t, by doubling a short step: products and sums of numbers that are never negative.
struct Transient {
    transition: Vec<f64>,
    reward: Vec<f64>,
}

impl Transient {
    fn after(chain: &Chain, hours: f64, reward: Option<Vec<f64>>) -> Result<Self, ModelError> {
        let size = chain.states;
        if hours == 0.0 {
            return Ok(Self { transition: identity(size), reward: vec![0.0; size] });
        }
        // Any rate at or above all of the chain's will do; the floor keeps a chain that never moves clear of denormal numbers.
        let fastest = (0..size)
            .map(|from| (0..size).map(|to| chain.rate(from, to)).sum::<f64>())
            .fold(0.5 / hours, f64::max);
        let jumps = finite("number of transitions", fastest * hours)?;
        // A first step of at most half a transition, so that the series below is short.
        let doublings = if jumps > 0.5 { (jumps * 2.0).log2().ceil() } else { 0.0 };
        if doublings > DOUBLINGS_MAX {
            return Err(out_of_range("hours", hours, "fewer than 1e30 transitions of the chain"));
        }
        let step = hours / doublings.exp2();
        let gains = reward.unwrap_or_else(|| vec![0.0; size]);
        let mut state = Self::short(chain, fastest, step, &gains);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
        for _ in 0..doublings as u32 {
            state.double(size);
        }
        Ok(state)
    }

    /// Uniformisation: e^{Qh} = Σ Poisson(k; qh)·P^k with P = I + Q/q, and its integral, term by term.
    fn short(chain: &Chain, fastest: f64, step: f64, gains: &[f64]) -> Self {
        let size = chain.states;
        let mut jump: Vec<f64> = chain.rates.iter().map(|rate| rate / fastest).collect();
        for state in 0..size {
            let leaves: f64 = jump[state * size..][..size].iter().sum();
            jump[state * size + state] += (1.0 - leaves).max(0.0);
        }
        let mean = fastest * step;
        let mut power = identity(size);
        let mut weight = (-mean).exp();
        let mut transition: Vec<f64> = power.iter().map(|entry| entry * weight).collect();
        // The integral of the k-th Poisson weight over the step is P(more than k jumps)/q, summed from its own series.
        let mut reward = vec![0.0; size];
        for jumps in 1..=30_u32 {
            let above = poisson_above(jumps - 1, mean) / fastest;
            for (total, gain) in reward.iter_mut().zip(times(&power, gains, size)) {
                *total += above * gain;
            }
            power = product(&power, &jump, size);
            weight *= mean / f64::from(jumps);
            for (total, entry) in transition.iter_mut().zip(&power) {
                *total += weight * entry;
            }
        }
        Self { transition, reward }
    }

    fn double(&mut self, size: usize) {
        let later = times(&self.transition, &self.reward, size);
        for (reward, more) in self.reward.iter_mut().zip(later) {
            *reward += more;
        }
        self.transition = product(&self.transition, &self.transition, size);
        // Each row is a distribution. Without this, doubling would double the rounding error of the sum as well.
        for row in self.transition.chunks_mut(size) {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|entry| *entry /= sum);
        }
    }
}

fn identity(size: usize) -> Vec<f64> {
    (0..size * size).map(|index| if index % (size + 1) == 0 { 1.0 } else { 0.0 }).collect()
}

fn product(left: &[f64], right: &[f64], size: usize) -> Vec<f64> {
    let mut answer = vec![0.0; size * size];
    for row in 0..size {
        for inner in 0..size {
            let factor = left[row * size + inner];
            if factor > 0.0 {
                for column in 0..size {
                    answer[row * size + column] += factor * right[inner * size + column];
                }
            }
        }
    }
    answer
}

fn times(matrix: &[f64], vector: &[f64], size: usize) -> Vec<f64> {
    matrix.chunks(size).map(|row| row.iter().zip(vector).map(|(entry, value)| entry * value).sum()).collect()
}

/// P(more than `jumps`) of a Poisson variable with a mean of at most one half.
fn poisson_above(jumps: u32, mean: f64) -> f64 {
    let mut term = (-mean).exp();
    for k in 1..=jumps + 1 {
        term *= mean / f64::from(k);
    }
    let mut sum = term;
    for k in jumps + 2..jumps + 32 {
        term *= mean / f64::from(k);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_states(breaks: f64, mends: f64) -> Chain {
        let mut chain = Chain::new(2).unwrap();
        chain.add(0, 1, breaks).unwrap();
        chain.add(1, 0, mends).unwrap();
        chain
    }

    #[test]
    fn the_steady_state_of_two_states_is_the_ratio_of_their_rates() {
        let shares = two_states(1e-12, 1.0).steady_state().unwrap();
        assert!((shares[1] / (1e-12 / (1.0 + 1e-12)) - 1.0).abs() < 1e-14);
    }

    #[test]
    fn time_to_absorption_does_not_depend_on_how_states_are_numbered() {
        // Up (2) to degraded (0) to lost (1): the mean is that of two replicas.
        let mut chain = Chain::new(3).unwrap();
        for (from, to, rate) in [(2, 0, 0.002), (0, 1, 0.001), (0, 2, 0.1)] {
            chain.add(from, to, rate).unwrap();
        }
        assert!((chain.mean_hours_until(1, 2).unwrap() / 51_500.0 - 1.0).abs() < 1e-12);
        let mut other = Chain::new(3).unwrap();
        for (from, to, rate) in [(1, 2, 0.002), (2, 0, 0.001), (2, 1, 0.1)] {
            other.add(from, to, rate).unwrap();
        }
        assert!((other.mean_hours_until(0, 1).unwrap() / 51_500.0 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_single_failure_follows_the_exponential_law_over_ten_decades() {
        for hours in [1e-6, 1.0, 1e3, 1e9] {
            let entries = two_states(1e-3, 0.0).entries_within(1, 0, hours).unwrap();
            let expected = -(-1e-3 * hours).exp_m1();
            assert!((entries.probability / expected - 1.0).abs() < 1e-12, "{hours}: {}", entries.probability);
            assert!((entries.expected / (1e-3 * hours) - 1.0).abs() < 1e-12, "{hours}: {}", entries.expected);
        }
    }

    #[test]
    fn a_chain_that_cannot_come_back_is_refused() {
        let error = two_states(1.0, 0.0).steady_state().unwrap_err().to_string();
        assert!(error.contains("stuck in state 1"), "{error}");
        assert!(Chain::new(0).is_err());
        assert!(two_states(1.0, 1.0).clone().add(0, 9, 1.0).is_err());
        assert!(two_states(1.0, 1.0).mean_hours_until(0, 0).is_err());
    }
}
