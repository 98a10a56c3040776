//! What each kind of fault needs to know: whom it hits, and how hard.

use crate::duration_text;
use serde::{Deserialize, Serialize};

macro_rules! harms {
    ($($(#[doc = $doc:literal])+ $name:ident on nodes { $($fields:tt)* })+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub struct $name {
            /// The nodes' names; or, as `leader of ROLE`, whichever node of that role led last when the fault begins.
            pub nodes: Vec<String>,
            $($fields)*
        }
    )+};
    ($($(#[doc = $doc:literal])+ $name:ident on links { $($fields:tt)* })+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub struct $name {
            /// Nodes that send.
            pub from: Vec<String>,
            /// Nodes that receive; nodes named on both sides keep their links among themselves.
            pub to: Vec<String>,
            /// False: only packets from `from` to `to` are hit.
            pub both_ways: bool,
            $($fields)*
        }
    )+};
}

harms! {
    /// A fault that has no measure.
    On on nodes {}
    /// [`Inject::MainsLoss`](super::Inject::MainsLoss).
    MainsLoss on nodes {
        /// How long the battery lasts, in nanoseconds.
        #[serde(with = "duration_text", rename = "battery")]
        pub battery_ns: u64,
        /// The chance that the generator does not start, 0 to 1; 1 where there is none.
        pub generator_fails: f64,
    }
    /// [`Inject::CrashLoop`](super::Inject::CrashLoop).
    CrashLoop on nodes {
        /// How long a process lives each time, in nanoseconds.
        #[serde(with = "duration_text", rename = "lives")]
        pub lives_ns: u64,
    }
    /// [`Inject::GracefulStop`](super::Inject::GracefulStop).
    GracefulStop on nodes {
        /// How long a process may take to stop, in nanoseconds.
        #[serde(with = "duration_text", rename = "grace")]
        pub grace_ns: u64,
    }
    /// [`Inject::SlowDisk`](super::Inject::SlowDisk).
    SlowDisk on nodes {
        /// How many times longer every operation takes, at least 1. Of several at once the largest counts.
        pub factor: f64,
    }
    /// [`Inject::DiskError`](super::Inject::DiskError).
    DiskError on nodes {
        /// The chance that an operation fails, 0 to 1.
        pub probability: f64,
        /// Whether the first failure is the only one.
        pub once: bool,
    }
    /// A fault of nodes that strikes an operation by chance.
    OnChance on nodes {
        /// The chance, 0 to 1.
        pub probability: f64,
    }
    /// [`Inject::DiskDeath`](super::Inject::DiskDeath).
    DiskDeath on nodes {
        /// The time between the first of the disks to reach that age and the last, in nanoseconds.
        #[serde(with = "duration_text", rename = "spread")]
        pub spread_ns: u64,
    }
    /// [`Inject::ClockStep`](super::Inject::ClockStep).
    ClockStep on nodes {
        /// How far, in signed nanoseconds: `-2s` steps back.
        #[serde(with = "duration_text::signed", rename = "by")]
        pub by_ns: i64,
    }
    /// [`Inject::ClockDrift`](super::Inject::ClockDrift).
    ClockDrift on nodes {
        /// Added to the clock's rate: 200 parts per million gains 200 µs a second. Above -1 000 000.
        pub parts_per_million: f64,
    }
    /// [`Inject::ClockLeap`](super::Inject::ClockLeap).
    ClockLeap on nodes {
        /// The farthest that it is from where it was, either way, in nanoseconds.
        #[serde(with = "duration_text", rename = "by")]
        pub by_ns: u64,
        /// How often it leaps, in nanoseconds.
        #[serde(with = "duration_text", rename = "every")]
        pub every_ns: u64,
    }
    /// [`Inject::BadTimeSource`](super::Inject::BadTimeSource).
    BadTimeSource on nodes {
        /// How far the source is off, in signed nanoseconds.
        #[serde(with = "duration_text::signed", rename = "by")]
        pub by_ns: i64,
        /// How often a node asks it, in nanoseconds.
        #[serde(with = "duration_text", rename = "poll")]
        pub poll_ns: u64,
    }
    /// [`Inject::SlowCpu`](super::Inject::SlowCpu).
    SlowCpu on nodes {
        /// How many times longer all work takes, at least 1.
        pub factor: f64,
    }
    /// [`Inject::StolenCpu`](super::Inject::StolenCpu).
    StolenCpu on nodes {
        /// The share of the time that others take, 0 to 0.99.
        pub share: f64,
        /// How long their bursts and the pauses between take together, in nanoseconds.
        #[serde(with = "duration_text", rename = "period")]
        pub period_ns: u64,
    }
    /// A fault of nodes that takes a share of something.
    Share on nodes {
        /// The share, 0 to 1.
        pub share: f64,
    }
}

harms! {
    /// A fault of links that has no measure.
    Links on links {}
    /// [`Inject::Cut`](super::Inject::Cut).
    Cut on links {}
    /// [`Inject::Flap`](super::Inject::Flap).
    Flap on links {
        /// How long nothing passes each time, in nanoseconds.
        #[serde(with = "duration_text", rename = "down")]
        pub down_ns: u64,
        /// How long all passes in between, in nanoseconds.
        #[serde(with = "duration_text", rename = "up")]
        pub up_ns: u64,
    }
    /// [`Inject::Delay`](super::Inject::Delay).
    Delay on links {
        /// Added to every packet's latency, in nanoseconds.
        #[serde(with = "duration_text", rename = "by")]
        pub by_ns: u64,
        /// Added on top, evenly from 0 to this, in nanoseconds.
        #[serde(with = "duration_text", rename = "jitter")]
        pub jitter_ns: u64,
    }
    /// [`Inject::Loss`](super::Inject::Loss).
    Loss on links {
        /// The chance that a packet is lost, 0 to 1. On a stream a loss costs retransmission time, never bytes.
        pub probability: f64,
    }
    /// A fault of links that strikes a packet by chance.
    Chance on links {
        /// The chance, 0 to 1.
        pub probability: f64,
    }
    /// [`Inject::Reorder`](super::Inject::Reorder).
    Reorder on links {
        /// The chance that a packet is held back, 0 to 1.
        pub probability: f64,
        /// For how long at most, in nanoseconds.
        #[serde(with = "duration_text", rename = "by")]
        pub by_ns: u64,
    }
    /// [`Inject::Corrupt`](super::Inject::Corrupt).
    Corrupt on links {
        /// The chance that a packet is damaged, 0 to 1.
        pub probability: f64,
        /// The share of damaged packets that checksums do not find, 0 to 1. Of TCP's, between one in 16 million and one
        /// in ten thousand million segments got through damaged (Stone & Partridge, SIGCOMM 2000, section 8).
        pub undetected: f64,
    }
    /// [`Inject::Bandwidth`](super::Inject::Bandwidth).
    Bandwidth on links {
        /// Bytes a second that each link carries, each way.
        pub bytes_per_second: f64,
    }
}
