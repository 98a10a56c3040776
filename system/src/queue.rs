//! The durable queue: first in, first out, kept by 2f+1 replicas, of which f may fail; where there are spares, f at a time.

pub mod client;
pub mod log;
pub mod paxos;
pub mod protocol;
pub mod server;
pub mod state;

pub use client::{Depth, Enqueued, JobStatus, Lease, NewJob, Outcome, QueueClient, QueueError};
pub use server::serve;
pub(crate) use server::serve_configured;
pub use state::{Amounts, Batch, Line};

use sim::history::Id;
use sim::stack::{Setting, SettingKind};

/// What histories call the lease of a job.
pub(crate) fn lease_name(job: Id) -> String {
    format!("job {job}")
}

/// What scenarios can change about the queue.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "queue.durability",
        why: "whether the queue syncs to disk before it acknowledges (`disk`), or acknowledges from memory",
        default: "disk",
        kind: SettingKind::Choice(&["disk", "memory"]),
    },
    Setting {
        name: "queue.lease",
        why: "how long a worker keeps a job without a sign of life before it is handed to another",
        default: "10s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "queue.election-timeout",
        why: "how long replicas wait for their leader before they elect another",
        default: "1s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "queue.spares",
        why: "how many of the queue's nodes, the last, do not vote until they take the place of one that is gone",
        default: "0",
        kind: SettingKind::Number { least: 0, most: 60 },
    },
    Setting {
        name: "queue.replace-after",
        why: "how long the leader does not hear a replica before it gives its place to a spare, where there is one",
        default: "30s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "queue.leader-write",
        why: "whether a leader counts on any majority of disks (`parallel`), or on none without its own (`first`)",
        default: "parallel",
        kind: SettingKind::Choice(&["parallel", "first"]),
    },
    Setting {
        name: "queue.step-down",
        why: "whether a leader that hears no majority gives up leading",
        default: "true",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "queue.reads",
        why: "whether a leader answers a read once a majority has `confirmed` that it still leads, or for all it knows (`unconfirmed`)",
        default: "confirmed",
        kind: SettingKind::Choice(&["confirmed", "unconfirmed"]),
    },
    Setting {
        name: "queue.max-deliveries",
        why: "how often a job is handed out before it is set aside as poison",
        default: "5",
        kind: SettingKind::Number { least: 1, most: 1000 },
    },
    Setting {
        name: "queue.hands-out",
        why: "which job is handed out first: the one that waits longest (`oldest-first`), or the latest (`newest-first`), which gives up the queue's order so that under overload some are done in time",
        default: "oldest-first",
        kind: SettingKind::Choice(&["oldest-first", "newest-first"]),
    },
    Setting {
        name: "queue.groups",
        why: "whether the jobs of one `customer` are handed out one after another, each when the one before is over, or every job as soon as a worker is free (`none`)",
        default: "none",
        kind: SettingKind::Choice(&["none", "customer"]),
    },
    Setting {
        name: "queue.group-lock",
        why: "whether a job of a group waits until the one before is over, or only goes out behind it",
        default: "true",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "queue.max-waiting",
        why: "how many jobs may wait; more are refused",
        default: "10000",
        kind: SettingKind::Number { least: 1, most: 10_000_000 },
    },
    Setting {
        name: "queue.retention",
        why: "how long a finished job's key and result are remembered",
        default: "5min",
        kind: SettingKind::Duration,
    },
];
