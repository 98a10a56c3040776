//! Configuration and releases: versions that a service hands to every node, a few at a time.
//!
//! What is handed out is a `Document`: settings of any tier, and, since a version is made by people, perhaps a defect that only
//! shows under its own conditions. The service lets a version onto a stage of the nodes, waits, looks at how they do, and goes
//! on, or condemns the version and takes it back. A node validates what it is given, runs a version on probation before
//! it calls it good, keeps the last good one on its disk, and starts from that where the one on probation did not let it live.
//!
//! A process is made by the settings of one version. Another version's settings are for the next process: this one ends what it
//! has under way and starts anew, so that nothing is ever half of one version and half of another. What bounds the queue's state
//! must be the same on all replicas at each place of its order: there the leader's version has it changed by the order itself.
//! Every tier follows but the config service, whose own settings say how versions are handed out.
//!
//! Nodes ask; nobody has to know who listens. A deployment without a node of the role `config` has one version for ever.

mod agent;
mod defect;
mod disk;
mod document;
mod door;
mod rollout;
mod service;

pub(crate) use agent::Agent;
pub(crate) use defect::{Met, Work};
pub use document::RANGES;
pub(crate) use service::serve;

use sim::stack::{Setting, SettingKind};

/// The role's name.
pub const ROLE: &str = "config";

/// What scenarios can change about it: what operators push, and the safeguards.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "push.at",
        why: "when operators push a new version; 0s is never",
        default: "0s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "push.content",
        why: "what is pushed: a version that is `good`, one that no validator lets pass, or one with a hidden defect",
        default: "good",
        kind: SettingKind::Choice(&["good", "invalid", "defective"]),
    },
    Setting {
        name: "push.role",
        why: "the role whose nodes get it",
        default: "api",
        kind: SettingKind::Choice(&[
            "api", "balancer", "worker", "queue", "usage", "batch", "archive", "auth", "identity",
        ]),
    },
    Setting {
        name: "push.settings",
        why: "settings that the version changes for these nodes, such as `queue.lease=20s, queue.max-deliveries=7`",
        default: "",
        kind: SettingKind::Text,
    },
    Setting {
        name: "push.settings-invalid",
        why: "whether these are settings that no validator may let pass: what the law `config` goes by",
        default: "false",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "push.effect",
        why: "what the defect does to the request at hand or to the process; only a worker's answers can be `wrong`",
        default: "refuse",
        kind: SettingKind::Choice(&["refuse", "crash", "hang", "slow", "wrong"]),
    },
    Setting {
        name: "push.trigger",
        why: "what sets the defect off",
        default: "always",
        kind: SettingKind::Choice(&["always", "input", "half", "date", "age", "count", "load", "recovery"]),
    },
    Setting {
        name: "push.after",
        why: "when the defect shows: so long after a version's adoption (`age`), or on wall clocks after the start of 2026 (`date`)",
        default: "30s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "push.threshold",
        why: "from how many requests, in all (`count`) or at once (`load`), the defect shows",
        default: "100",
        kind: SettingKind::Number { least: 0, most: 1_000_000_000 },
    },
    Setting {
        name: "rollout.staged",
        why: "whether a version goes to 1, 10, 50 and then 100 percent of the nodes, or to all at once",
        default: "true",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "rollout.soak",
        why: "how long a stage must do well before the next",
        default: "10s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "rollout.gate",
        why: "whether a version whose nodes do badly is taken back",
        default: "true",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "config.validation",
        why: "whether nodes check a version, and try it on a known input, before they run it",
        default: "true",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "config.last-known-good",
        why: "whether a node that a version did not let live starts again from the last good one",
        default: "true",
        kind: SettingKind::Flag,
    },
];
