//! One job.

use super::JobResult;
use serde::{Deserialize, Serialize};
use sim::history::{Digest, Id};

/// One job, from its enqueueing until it is forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its identity.
    pub id: Id,
    /// Its idempotency key.
    pub key: String,
    /// The group within which jobs are handed out one after another.
    pub group: Option<u32>,
    /// What to do.
    pub request: String,
    /// With what.
    pub body: Digest,
    /// How often it was handed out since it was enqueued, or put back after it was set aside.
    pub deliveries: u32,
    /// How many of those came back since the worker could not get the body, which says nothing of the job.
    pub returned: u32,
    /// The attempt that last put it back after it was set aside.
    pub redriven_by: Option<u64>,
    /// How far it is.
    pub stage: Stage,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// To be handed out.
    Waiting,
    /// Given back, to be handed out later.
    Delayed {
        /// When, in the state's time.
        until_ns: u64,
    },
    /// Handed out.
    Leased {
        /// To whom.
        worker: String,
        /// The fencing token, greater than any earlier one.
        token: u64,
        /// The request to lease that got it.
        attempt: u64,
        /// When the lease ends, in the state's time.
        expires_ns: u64,
    },
    /// Over.
    Ended {
        /// The lease that ended it.
        token: u64,
        /// When, in the state's time.
        ended_ns: u64,
        /// With what.
        result: JobResult,
    },
    /// Set aside.
    Quarantined {
        /// When, in the state's time.
        ended_ns: u64,
        /// Why.
        reason: String,
    },
}

/// A job as it is handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its identity.
    pub id: Id,
    /// Its idempotency key.
    pub key: String,
    /// What to do.
    pub request: String,
    /// With what.
    pub body: Digest,
    /// How often it was handed out, this time included.
    pub delivery: u32,
    /// The fencing token.
    pub token: u64,
    /// How long the lease lasts from this moment of the order on.
    pub lease_ns: u64,
}

impl Job {
    /// The job as it was handed out, at this time of the state; none where it is not.
    pub fn grant(&self, clock_ns: u64) -> Option<Grant> {
        let Stage::Leased { token, expires_ns, .. } = self.stage else { return None };
        let lease_ns = expires_ns.saturating_sub(clock_ns);
        Some(Grant {
            id: self.id,
            key: self.key.clone(),
            request: self.request.clone(),
            body: self.body,
            delivery: self.deliveries,
            token,
            lease_ns,
        })
    }

    /// Whether nothing more will happen to it.
    pub fn is_over(&self) -> bool {
        self.stage.is_over()
    }

    /// The token of the lease that ended it.
    pub fn ended_by(&self) -> Option<u64> {
        match self.stage {
            Stage::Ended { token, .. } => Some(token),
            _ => None,
        }
    }
}

impl Stage {
    /// Whether nothing more will happen to the job.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Quarantined { .. })
    }
}

impl JobResult {
    /// The output's digest; none with a refusal.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Output { output, .. } => Some(output.digest),
            Self::Refused { .. } => None,
        }
    }
}
