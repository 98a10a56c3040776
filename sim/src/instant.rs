//! Points of monotonic time, the same in both worlds.

use crate::time;
use std::future::Future;
use std::ops::{Add, AddAssign, Sub};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// A point of monotonic time on one node's clock; those of different nodes cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// Now, on this node's clock.
    pub fn now() -> Self {
        Self(time::now_ns())
    }

    /// The time that has passed since, on this node's clock.
    pub fn elapsed(self) -> Duration {
        Self::now() - self
    }

    /// Nanoseconds since the clock's beginning.
    pub fn as_nanos(self) -> u64 {
        self.0
    }

    /// The point `nanoseconds` after the clock's beginning.
    pub fn from_nanos(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of time, some 584 years on.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Zero where `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A time limit passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline has passed")]
pub struct Elapsed;

impl From<Elapsed> for std::io::Error {
    fn from(elapsed: Elapsed) -> Self {
        Self::new(std::io::ErrorKind::TimedOut, elapsed)
    }
}

/// `future`, unless `limit` ends first; `future` is asked first.
pub(crate) async fn race<F: Future>(
    future: F,
    limit: impl Future<Output = ()>,
) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut limit = pin!(limit);
    std::future::poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        limit.as_mut().poll(context).map(|()| Err(Elapsed))
    })
    .await
}
