//! Requests that crash the server which handles them, and their retries which crash the next.
//!
//! Source: an M/G/∞ queue (Takács 1962): each crash is a customer, its restart the service. The number of servers down is Poisson,
//! whatever the distribution of restart times.

use super::{ModelError, count, finite, non_negative, positive, real};
use statrs::function::gamma::gamma_lr;

/// Poison requests against a fleet that restarts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Poison {
    /// Poison requests a minute.
    pub requests_per_minute: f64,
    /// How often each is retried, on another server each time.
    pub retries: u64,
    /// How long a crashed server takes to come back, in seconds.
    pub restart_seconds: f64,
}

impl Poison {
    /// The mean number of servers down at once: r(1+k)τ.
    pub fn servers_down_mean(&self) -> Result<f64, ModelError> {
        non_negative("requests_per_minute", self.requests_per_minute)?;
        count("retries", self.retries, 0, 1_000_000)?;
        positive("restart_seconds", self.restart_seconds)?;
        let crashes = self.requests_per_minute * real(self.retries + 1);
        finite("mean number of servers down", crashes * (self.restart_seconds / 60.0))
    }

    /// P(more than `servers` are down at once): the tail of a Poisson variable, through the incomplete gamma function of `statrs`.
    pub fn more_down_than(&self, servers: u64) -> Result<f64, ModelError> {
        let mean = self.servers_down_mean()?;
        count("servers", servers, 0, 1_000_000)?;
        if mean == 0.0 {
            return Ok(0.0);
        }
        if mean > 1e7 {
            // So far above any number of servers allowed that no digit is lost.
            return Ok(1.0);
        }
        Ok(gamma_lr(real(servers) + 1.0, mean).clamp(0.0, 1.0))
    }
}
