//! Identity and auth: who has an account, and whether a request's credential is good.
//!
//! | part | runs | does |
//! |---|---|---|
//! | management plane | on nodes of the role `identity` | makes accounts and revokes them, rarely; signs credentials |
//! | data plane | on nodes of the role `auth` | follows the management plane's log, answers who is known and who is revoked |
//! | edge | in every API server | checks signatures, asks the data plane, remembers what it said for a while |
//!
//! Each works without the one before it: an account that is made stays good though the management plane is gone for days, and
//! goes on being let in for a while though all of the data plane is. What that costs is bounded: nobody is let in by anything
//! older than `auth.revocation-bound`, and a revocation counts as made once a majority of the data plane keeps it. An edge asks
//! all of the data plane and decides by a majority, so that its answer has every revocation made before the question. The age of
//! an answer is then counted on one clock, the edge's own, and the management plane's absence makes nothing old.
//!
//! A credential is the account's number and an Ed25519 signature of it. Only the management plane can sign, and forged ones
//! reach nobody but the edge. An address can be signed for somebody without one, on an account's behalf and until a moment: by any
//! API server, with a key that changes by itself. Those who make accounts and revoke others' are not told apart from
//! anybody: there are no operators here, a credential has no end of its own, and no key of credentials is retired. A deployment without nodes of the role `auth` lets everybody in.

mod address;
mod cache;
mod edge;
mod identity;
mod log;
mod management;
mod protocol;
mod replica;
mod token;

pub(crate) use address::Address;
pub(crate) use edge::{Edge, Refusal};
pub(crate) use management::{Management, ManagementError};

use crate::config::Agent;
use sim::history::Fact;
use sim::stack::{Process, Setting, SettingKind};
use std::sync::Arc;
use std::time::Duration;

/// The role of the data plane's nodes.
pub const ROLE: &str = "auth";
/// The role of the management plane's nodes.
pub const IDENTITY_ROLE: &str = "identity";
/// The port that nodes of both roles are called at.
pub const PORT: u16 = 77;

/// Silence of a node for longer than this is taken for its death.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// What scenarios can change about it.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "auth.cache-for",
        why: "how long an API server lets an account in without asking again",
        default: "5s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "auth.cache-refusals-for",
        why: "how long it turns an account away without asking again: what was unknown may just have been made",
        default: "1s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "auth.cache-entries",
        why: "how many accounts it remembers",
        default: "100000",
        kind: SettingKind::Number { least: 2, most: 100_000_000 },
    },
    Setting {
        name: "auth.serve-stale",
        why: "whether it goes by what it remembers while the data plane does not answer",
        default: "true",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "auth.revocation-bound",
        why: "how long after its revocation an account may still be let in anywhere",
        default: "30s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "auth.bounded",
        why: "whether an API server lets nobody in by anything older than that bound",
        default: "true",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "auth.enrolment-bound",
        why: "how long after it was made an account may still be unknown",
        default: "10s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "auth.follow-every",
        why: "how often the data plane asks the management plane for news",
        default: "500ms",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "auth.address-key-for",
        why: "how long a key signs addresses before the next one does; it is good for as long again, and no address for longer",
        default: "24h",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "auth.accounts-max",
        why: "how many accounts there may be",
        default: "1000000",
        kind: SettingKind::Number { least: 1, most: 100_000_000 },
    },
];

/// Runs one node of the data plane, until its process ends: should its disk or port fail, that is at once.
pub(crate) async fn serve(process: Process, agent: Arc<Agent>) {
    if let Err(error) = replica::run(&process, &agent).await {
        sim::node::record(Fact::Note { text: format!("the auth node ends: {error}") });
    }
}

/// Runs one node of the management plane, until its process ends. The first makes and revokes accounts; the others keep
/// copies of its log, which nobody reads: a copy may be behind what the data plane has, so that none of its nodes could be sure
/// by it of what it had before its disk was lost.
pub(crate) async fn serve_identity(process: Process, agent: Arc<Agent>) {
    let first = process.deployment.of_role(IDENTITY_ROLE).next();
    let ended = match first.is_some_and(|first| first.name == process.node.name) {
        true => identity::run(&process, &agent).await,
        false => replica::run(&process, &agent).await,
    };
    if let Err(error) = ended {
        sim::node::record(Fact::Note { text: format!("the identity node ends: {error}") });
    }
}
