//! A scenario with every choice made: all that a [world](crate::world) is made from.

use crate::duration_text;
use crate::fault::{Fault, Inject};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of plans that this hogwash reads and writes.
pub const PLAN_VERSION: u32 = 1;

/// The role whose nodes run the workload's clients instead of the stack's own processes.
pub const CLIENT_ROLE: &str = "client";

/// A scenario with every choice made, explicit and versioned: what shrinking edits and replay reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_VERSION`] of the hogwash that wrote it.
    pub version: u32,
    /// The stack that it is for: [`crate::stack::Stack::name`].
    pub stack: String,
    /// The scenario that it was drawn from, such as `correlated/shared-power-loss`.
    pub scenario: String,
    /// The scenario's variant, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The seed of all its chance.
    pub seed: u64,
    /// How long the load and the faults last; then everything is healed.
    #[serde(with = "duration_text", rename = "duration")]
    pub duration_ns: u64,
    /// How long the healed stack may take to drain.
    #[serde(with = "duration_text", rename = "drain")]
    pub drain_ns: u64,
    /// What each law is expected to say; laws not named are expected to hold.
    #[serde(default)]
    pub expect: BTreeMap<String, String>,
    /// What the service promises its customers.
    #[serde(default, skip_serializing_if = "Objectives::is_empty")]
    pub objectives: Objectives,
    /// The stack's settings that differ from their defaults.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// What clients do.
    pub workload: Workload,
    /// How the network behaves while nothing is wrong.
    pub network: NetworkPlan,
    /// How disks behave while nothing is wrong.
    pub disk: DiskPlan,
    /// How many bytes each byte of the stack stands for: cards, buffers, disks and memory hold and carry that much less of
    /// them ([`Plan::to_scale`]).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub byte_scale: u32,
    /// The nodes, in order.
    #[serde(rename = "node")]
    pub nodes: Vec<NodePlan>,
    /// The faults, in order.
    #[serde(default, rename = "fault")]
    pub faults: Vec<Fault>,
}

impl Plan {
    /// The plan in the stack's own bytes: each stands for [`Plan::byte_scale`], so that cards and disks carry that much
    /// less of them in a second, and buffers, disks and memories hold that much less. To divide what there is, is to charge
    /// each byte that much more, in one place.
    ///
    /// What is counted and not measured stays: a packet is a packet to loss and latency, a sector is what is torn or kept.
    #[must_use]
    pub fn to_scale(mut self) -> Self {
        let scale = u64::from(std::mem::replace(&mut self.byte_scale, 1).max(1));
        if scale == 1 {
            return self;
        }
        let (network, disk) = (&mut self.network, &mut self.disk);
        let sizes = [
            &mut network.bandwidth_bytes_per_s,
            &mut network.buffer_bytes,
            &mut disk.bandwidth_bytes_per_s,
            &mut disk.capacity_bytes,
        ];
        for size in sizes.into_iter().chain(self.nodes.iter_mut().map(|node| &mut node.memory_bytes)) {
            *size = (*size / scale).max(1);
        }
        for fault in &mut self.faults {
            if let Inject::Bandwidth(bound) = &mut fault.inject {
                #[expect(clippy::cast_precision_loss, reason = "a scale has 32 bits")]
                let scale = scale as f64;
                bound.bytes_per_second /= scale;
            }
        }
        self
    }
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_one(scale: &u32) -> bool {
    *scale == 1
}

/// What the service promises its customers: those laws hold it to that are asked to, and to nothing that is not said here.
/// Shares are from 0 to 1. A request belongs to the window in which it was first sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Objectives {
    /// How long a window is; 10 s where nothing is said.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "duration_text::optional",
        rename = "window"
    )]
    pub window_ns: Option<u64>,
    /// In every window, the least share of requests that are answered well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<f64>,
    /// In every window, 99 of 100 good answers take no longer.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "duration_text::optional",
        rename = "latency"
    )]
    pub latency_ns: Option<u64>,
    /// Of the whole run's requests, the share that may fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_budget: Option<f64>,
    /// So long after a fault has ended, and no other has begun, nobody notices it any more.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "duration_text::optional",
        rename = "recovery"
    )]
    pub recovery_ns: Option<u64>,
    /// The share of customers that one cause may hurt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blast_radius: Option<f64>,
    /// In windows in which requests fail, each customer's share of good answers is at least this share of what all have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fairness: Option<f64>,
}

impl Objectives {
    /// Whether nothing is promised.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NodePlan {
    /// Its name: the role and a number from 1, such as `queue-2`.
    pub name: String,
    /// What runs on it: a role of the stack, or `client`.
    pub role: String,
    /// Its cores.
    pub cores: u32,
    /// Its memory, in bytes; a process that goes over it is killed.
    pub memory_bytes: u64,
    /// What it shares with others: at most one value a kind.
    #[serde(default)]
    pub domains: BTreeMap<String, String>,
    /// How far its wall clock is from true time at the start.
    #[serde(with = "duration_text::signed", rename = "clock-offset")]
    pub clock_offset_ns: i64,
    /// How much faster than true time its clock runs.
    pub clock_drift_parts_per_million: f64,
}

/// What clients do. Arrivals are open-loop: a slow answer does not slow the next request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Workload {
    /// How many clients there are.
    pub clients: u32,
    /// Requests a second, of all clients together.
    pub rate_per_s: f64,
    /// When they come.
    #[serde(default, skip_serializing_if = "Arrivals::is_poisson")]
    pub arrivals: Arrivals,
    /// Where present, the only operations that take place: `CLIENT.FIRST-LAST` or `CLIENT.NUMBER`. The others are
    /// drawn all the same and left out, so that those which stay keep their times and contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<String>>,
    /// The rates that follow, each from its time on, in order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "step")]
    pub steps: Vec<Step>,
}

/// When the requests of a workload come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// As people's do who know nothing of one another: each client is a Poisson process of its own.
    #[default]
    Poisson,
    /// As a load generator's do that keeps its rate: one in each slot of the time between two, at an instant drawn within it,
    /// the clients taking turns.
    Even,
}

impl Arrivals {
    /// All there are, by their names in files.
    pub const NAMES: [(&str, Self); 2] = [("poisson", Self::Poisson), ("even", Self::Even)];

    fn is_poisson(&self) -> bool {
        *self == Self::Poisson
    }
}

/// A change of a workload's rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Step {
    /// When it begins, in nanoseconds of true time since the world began.
    #[serde(with = "duration_text", rename = "at")]
    pub at_ns: u64,
    /// Requests a second from then on, of all clients together.
    pub rate_per_s: f64,
}

/// How the network behaves while nothing is wrong. Latencies are one way, by distance, which the domains `rack`,
/// `zone` and `region` of two nodes give: nodes share what neither or both have with the same value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NetworkPlan {
    /// Within one rack.
    #[serde(with = "duration_text", rename = "same-rack")]
    pub same_rack_ns: u64,
    /// Between racks of one zone.
    #[serde(with = "duration_text", rename = "same-zone")]
    pub same_zone_ns: u64,
    /// Between zones of one region.
    #[serde(with = "duration_text", rename = "same-region")]
    pub same_region_ns: u64,
    /// Between regions.
    #[serde(with = "duration_text", rename = "other-region")]
    pub other_region_ns: u64,
    /// Mean of the exponential that is added to each packet's latency, as a share of that latency.
    pub jitter: f64,
    /// The chance of a packet of the slow tail, which takes ten times as long.
    pub slow_tail: f64,
    /// Of each network card, in each direction, in bytes a second.
    pub bandwidth_bytes_per_s: u64,
    /// Of each direction of a stream: sent and not yet acknowledged, and received and not yet read.
    pub buffer_bytes: u64,
    /// How long a connection attempt waits for an answer.
    #[serde(with = "duration_text", rename = "connect-timeout")]
    pub connect_timeout_ns: u64,
    /// How long a stream's bytes are sent again without an answer before the connection is given up.
    #[serde(with = "duration_text", rename = "retransmit-timeout")]
    pub retransmit_timeout_ns: u64,
}

impl Default for NetworkPlan {
    fn default() -> Self {
        Self {
            same_rack_ns: 50_000,
            same_zone_ns: 150_000,
            same_region_ns: 500_000,
            other_region_ns: 30_000_000,
            jitter: 0.2,
            slow_tail: 0.001,
            bandwidth_bytes_per_s: 1_250_000_000,
            buffer_bytes: 256 * 1024,
            connect_timeout_ns: 20_000_000_000,
            retransmit_timeout_ns: 60_000_000_000,
        }
    }
}

/// How disks behave while nothing is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DiskPlan {
    /// Mean time of a read that misses the cache, and of a write's way to the medium.
    #[serde(with = "duration_text", rename = "latency")]
    pub latency_ns: u64,
    /// Mean time of a sync, on top of writing what is unsynced.
    #[serde(with = "duration_text", rename = "sync")]
    pub sync_ns: u64,
    /// Bytes a second to and from the medium.
    pub bandwidth_bytes_per_s: u64,
    /// Operations under way at once; more wait.
    pub queue_depth: u32,
    /// Bytes that fit.
    pub capacity_bytes: u64,
    /// The unit in which unsynced writes are kept or lost.
    pub sector_bytes: u32,
}

impl Default for DiskPlan {
    fn default() -> Self {
        Self {
            latency_ns: 80_000,
            sync_ns: 400_000,
            bandwidth_bytes_per_s: 1_000_000_000,
            queue_depth: 32,
            capacity_bytes: 1 << 40,
            sector_bytes: 512,
        }
    }
}
