//! Admission: what a server takes on at once. The rest is told to come back, at once and cheaply, instead of waiting until
//! it is too late for everybody.

use super::error::ApiError;
use axum::http::StatusCode;
use sim::memory::{Reservation, reserve};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies are counted in units of so many bytes, since a semaphore's permits are 32 bits.
const UNIT_BYTES: u64 = 1024;
/// The share of the node's memory that bodies may take.
const MEMORY_SHARE: u64 = 2;

/// Room for requests and for their bodies.
pub(crate) struct Admission {
    requests: Arc<Semaphore>,
    body_units: Arc<Semaphore>,
}

/// A request's place; given back when dropped.
pub(crate) struct Admitted {
    _request: OwnedSemaphorePermit,
    _body: OwnedSemaphorePermit,
    _memory: Reservation,
}

impl Admission {
    /// Room for so many requests, on a node with so much memory.
    pub(crate) fn new(requests_max: u64, memory_bytes: u64) -> Self {
        let requests = usize::try_from(requests_max);
        let units = usize::try_from(memory_bytes / MEMORY_SHARE / UNIT_BYTES);
        let semaphore = |permits: Result<usize, _>| {
            let permits = permits.unwrap_or(Semaphore::MAX_PERMITS);
            Arc::new(Semaphore::new(permits.clamp(1, Semaphore::MAX_PERMITS)))
        };
        Self { requests: semaphore(requests), body_units: semaphore(units) }
    }

    /// Takes a request with a body of at most `body_bytes`.
    ///
    /// # Errors
    /// 503 where there is no room.
    pub(crate) fn admit(&self, body_bytes: u64) -> Result<Admitted, ApiError> {
        let units = u32::try_from(body_bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let full = |_| {
            let text = "the server has as much to do as it can: try again";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", text)
        };
        let request = self.requests.clone().try_acquire_owned().map_err(full)?;
        let body = self.body_units.clone().try_acquire_many_owned(units).map_err(full)?;
        Ok(Admitted { _request: request, _body: body, _memory: reserve(body_bytes) })
    }
}
