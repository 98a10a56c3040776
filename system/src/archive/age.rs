//! How old objects are. A node counts how long it has been running, on the monotonic clock, which nobody sets: a wall clock that is set
//! ahead would make everything old at once, on every node that is told the same wrong time.

use super::file::{self, Came};
use crate::nanoseconds;
use sim::fs;
use sim::stack::Deployment;
use sim::time::{Instant, sleep, wall_now};
use std::io;
use std::time::Duration;

/// How long the node had been running when it last noted that.
const RUNNING: &str = "/archive.running";
/// How often it does. What it runs after its last note does not count: objects stay for longer then, never for less.
const NOTE_EVERY: Duration = Duration::from_secs(60);

/// A node's count, and for how long it keeps objects.
pub(super) struct Ages {
    /// How long other processes of this node ran before this one.
    before_ns: u64,
    since: Instant,
    retention: Duration,
    by_wall_clock: bool,
}

impl Ages {
    /// Goes on from what was noted. A note that is gone or damaged counts for nothing.
    pub(super) async fn read(deployment: &Deployment) -> io::Result<Self> {
        let note = if fs::exists(RUNNING).await { file::unseal(&fs::read(RUNNING).await?) } else { None };
        let noted_ns = note.and_then(|note| Some(u64::from_le_bytes(*note.first_chunk()?)));
        Ok(Self {
            before_ns: noted_ns.unwrap_or_default(),
            since: Instant::now(),
            retention: deployment.duration("archive.retention"),
            by_wall_clock: deployment.setting("archive.retention-by") == "wall-clock",
        })
    }

    /// Notes now and then how long the node has been running, until its disk fails.
    pub(super) async fn note(&self) -> io::Error {
        loop {
            sleep(NOTE_EVERY).await;
            let note = file::seal(&self.running_ns().to_le_bytes());
            if let Err(error) = fs::replace(RUNNING, note).await {
                return error;
            }
        }
    }

    /// That the node has been running for as long at least: an object came then.
    pub(super) fn at_least(&mut self, running_ns: u64) {
        self.before_ns = self.before_ns.max(running_ns);
    }

    /// How long an object has to be kept.
    pub(super) fn retention(&self) -> Duration {
        self.retention
    }

    /// That an object comes now, which is on disk after this time.
    pub(super) fn came(&self, write: Duration) -> Came {
        Came { write_ns: nanoseconds(write), ..self.came_elsewhere(0) }
    }

    /// That an object comes now from a node where it is so old.
    pub(super) fn came_elsewhere(&self, age_ns: u64) -> Came {
        Came { running_ns: self.running_ns(), wall_ns: nanoseconds(wall_now()), age_ns, write_ns: 0 }
    }

    /// How old an object is that came then.
    pub(super) fn age_ns(&self, came: Came) -> u64 {
        let since_ns = if self.by_wall_clock {
            nanoseconds(wall_now()).saturating_sub(came.wall_ns)
        } else {
            self.running_ns().saturating_sub(came.running_ns)
        };
        came.age_ns.saturating_add(since_ns.saturating_sub(came.write_ns))
    }

    fn running_ns(&self) -> u64 {
        self.before_ns.saturating_add(nanoseconds(self.since.elapsed()))
    }
}
