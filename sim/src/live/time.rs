//! Time as the machine has it.
#![expect(clippy::disallowed_types, reason = "this is the real world: its clock is the machine's")]

use std::future::Future;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

pub use crate::instant::{Elapsed, Instant};

/// The beginning of monotonic time: when this program first asked.
static BEGINNING: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

/// Monotonic time.
pub(crate) fn now_ns() -> u64 {
    u64::try_from(BEGINNING.elapsed().as_nanos()).expect("a program runs for less than 584 years")
}

/// The wall clock: the time since 1970-01-01 UTC. It may be off, and may be stepped either way.
pub fn wall_now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Waits until `duration` has passed.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// Waits until `deadline`.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, sleep: Box::pin(tokio::time::sleep_until(of_tokio(deadline))) }
}

/// `future`, unless `duration` passes first.
///
/// # Errors
/// [`Elapsed`] where it does.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    crate::instant::race(future, sleep(duration)).await
}

/// Waits for its deadline, to about a millisecond.
#[must_use = "a sleep does nothing unless it is awaited"]
#[derive(Debug)]
pub struct Sleep {
    deadline: Instant,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Sleep {
    /// When it ends.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Moves the deadline.
    pub fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.deadline = deadline;
        self.sleep.as_mut().reset(of_tokio(deadline));
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().poll(context)
    }
}

fn of_tokio(instant: Instant) -> tokio::time::Instant {
    let beginning = tokio::time::Instant::from_std(*BEGINNING);
    let since = Duration::from_nanos(instant.as_nanos());
    // The end of time, as saturated additions give it, is beyond what the machine can count.
    beginning.checked_add(since).unwrap_or_else(|| beginning + Duration::from_secs(100 * 365 * 24 * 3600))
}
