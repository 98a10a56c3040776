//! A replica among the tasks of its process. Each brings what happened, one at a time, and does itself what comes of it:
//! nothing waits for a task of the replica's own.

use super::replica::Replica;
use sim::time::{Instant, sleep_until};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A replica that the tasks of its process share.
#[derive(Clone)]
pub(super) struct Shared(Arc<Seat>);

struct Seat {
    replica: Mutex<Clocked>,
    /// Told when the replica's next turn comes before its alarm.
    sooner: Notify,
}

struct Clocked {
    replica: Replica,
    /// When the alarm rings.
    alarm: Instant,
}

impl Shared {
    pub(super) fn new(replica: Replica) -> Self {
        let clocked = Clocked { alarm: Instant::now(), replica };
        Self(Arc::new(Seat { replica: Mutex::new(clocked), sooner: Notify::new() }))
    }

    /// Has the replica take in an event, and do what is due.
    pub(super) fn event(&self, event: impl FnOnce(&mut Replica, Instant)) {
        let mut clocked = self.lock();
        let now = Instant::now();
        event(&mut clocked.replica, now);
        clocked.replica.turn(now);
        // An alarm that rings too early costs less than moving it at every event.
        if clocked.replica.wake_at() < clocked.alarm {
            self.0.sooner.notify_one();
        }
    }

    /// Gives the replica a turn whenever something is due although nothing happens, for ever.
    pub(super) async fn keep_time(self) {
        let mut alarm = pin!(sleep_until(Instant::now()));
        loop {
            tokio::select! {
                biased;
                () = &mut alarm => self.event(|_, _| ()),
                () = self.0.sooner.notified() => {}
            }
            let mut clocked = self.lock();
            clocked.alarm = clocked.replica.wake_at();
            alarm.as_mut().reset(clocked.alarm);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Clocked> {
        self.0.replica.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
