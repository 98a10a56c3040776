//! Servers that share one queue: how long requests wait, and how near the cliff is.
//!
//! Sources: Erlang 1917; Gross, Shortle, Thompson & Harris 2008, chapter 2. Poisson arrivals, exponential service.

use super::{ModelError, count, finite, open_probability, positive, real};

/// The most servers.
pub const SERVERS_MAX: u64 = 10_000_000;

/// An M/M/c queue in its steady state. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Queue {
    /// Offered load over capacity, below 1.
    pub utilisation: f64,
    /// Erlang C: the chance that an arrival has to wait.
    pub wait_probability: f64,
    /// Mean wait before service.
    pub wait_seconds_mean: f64,
    /// How fast the backlog drains: c·μ − λ, per second.
    spare_per_second: f64,
}

impl Queue {
    /// Solves the queue: `arrivals_per_second` spread over `servers`, each of which serves `services_per_second`.
    pub fn solve(
        arrivals_per_second: f64,
        services_per_second: f64,
        servers: u64,
    ) -> Result<Self, ModelError> {
        positive("arrivals_per_second", arrivals_per_second)?;
        positive("services_per_second", services_per_second)?;
        count("servers", servers, 1, SERVERS_MAX)?;
        let load = finite("load", arrivals_per_second / services_per_second)?;
        positive("arrivals_per_second / services_per_second", load)?;
        let utilisation = load / real(servers);
        if utilisation >= 1.0 {
            return Err(unstable(load, utilisation));
        }
        // 1/B of Erlang B by its recursion: positive terms only. It may overflow to infinity, and then nobody waits.
        let mut inverse = 1.0;
        for server in 1..=servers {
            inverse = 1.0 + inverse * (real(server) / load);
        }
        let blocked = 1.0 / inverse;
        let wait_probability = blocked / (blocked + (1.0 - utilisation) * (1.0 - blocked));
        let spare_per_second = services_per_second * (real(servers) - load);
        Ok(Self {
            utilisation,
            wait_probability,
            wait_seconds_mean: finite("mean wait", wait_probability / spare_per_second)?,
            spare_per_second,
        })
    }

    /// P(an arrival waits longer than `seconds`).
    pub fn waits_longer(&self, seconds: f64) -> Result<f64, ModelError> {
        super::non_negative("seconds", seconds)?;
        Ok(self.wait_probability * (-self.spare_per_second * seconds).exp())
    }

    /// The wait in seconds that a share `quantile` of arrivals does not exceed, such as 0.99.
    pub fn wait_seconds_quantile(&self, quantile: f64) -> Result<f64, ModelError> {
        open_probability("quantile", quantile)?;
        let above = 1.0 - quantile;
        if self.wait_probability <= above {
            return Ok(0.0);
        }
        finite("wait", (self.wait_probability / above).ln() / self.spare_per_second)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, as it should here"
)]
fn unstable(load: f64, utilisation: f64) -> ModelError {
    ModelError::Unstable { utilisation, servers_min: (load.floor() as u64).saturating_add(1) }
}

/// M/M/1: the probability that the number in the queue reaches `level` before it falls to 0, starting from 1.
///
/// (r−1)/(r^L−1) with r = services/arrivals: the gambler's ruin, and 1/L where r = 1. The known answer of rare-event methods.
pub fn overflow_before_empty(
    arrivals_per_second: f64,
    services_per_second: f64,
    level: u64,
) -> Result<f64, ModelError> {
    positive("arrivals_per_second", arrivals_per_second)?;
    positive("services_per_second", services_per_second)?;
    count("level", level, 1, 1_000_000)?;
    let log_ratio = finite("load", services_per_second.ln() - arrivals_per_second.ln())?;
    if log_ratio == 0.0 {
        return Ok(1.0 / real(level));
    }
    Ok(log_ratio.exp_m1() / (log_ratio * real(level)).exp_m1())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_is_the_textbook_queue() {
        let queue = Queue::solve(0.5, 1.0, 1).unwrap();
        assert!((queue.wait_probability - 0.5).abs() < 1e-15);
        assert!((queue.wait_seconds_mean - 1.0).abs() < 1e-15);
        assert!((queue.waits_longer(2.0).unwrap() - 0.5 * (-1.0_f64).exp()).abs() < 1e-15);
        assert_eq!(queue.wait_seconds_quantile(0.4).unwrap(), 0.0);
    }

    #[test]
    fn a_queue_without_spare_capacity_says_how_many_servers_it_needs() {
        let error = Queue::solve(10_000.0, 10.0, 992).unwrap_err().to_string();
        assert_eq!(error, "the queue is unstable: utilisation is 1.0081; use at least 1001 servers");
        assert!(Queue::solve(1.0, 0.0, 1).is_err());
        assert!(Queue::solve(f64::NAN, 1.0, 1).is_err());
    }

    #[test]
    fn a_fair_walk_reaches_its_level_one_time_in_level() {
        assert_eq!(overflow_before_empty(2.0, 2.0, 10).unwrap(), 0.1);
        let near = overflow_before_empty(2.0, 2.0 + 1e-12, 10).unwrap();
        assert!((near - 0.1).abs() < 1e-9);
    }
}
