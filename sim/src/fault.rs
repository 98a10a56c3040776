//! Faults with every choice made, as plans hold them.

use crate::duration_text;
use serde::{Deserialize, Serialize};

/// One thing going wrong: a kind, a target, a start, an end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fault {
    /// A name that is unique in its plan; chance used by the fault is drawn from the stream `fault/NAME`.
    pub name: String,
    /// When it begins, in nanoseconds of true time since the world began.
    #[serde(with = "duration_text", rename = "start")]
    pub start_ns: u64,
    /// When it is healed.
    #[serde(with = "duration_text", rename = "end")]
    pub end_ns: u64,
    /// The domain (`kind=value`) through which its targets share it, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
    /// What goes wrong, and where.
    pub inject: Inject,
}

/// What goes wrong, and where: one variant a kind of fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Inject {
    /// The hosts lose power at once: processes gone, unsynced writes kept, lost or torn sector by sector; peers hear
    /// silence. Power comes back at the end.
    PowerLoss(On),
    /// The processes are killed; the hosts live on and reset their connections. Started again at the end.
    Crash(On),
    /// The processes stand still (as by SIGSTOP); their hosts' kernels go on.
    Pause(On),
    /// No packet passes.
    Cut(Cut),
    /// Packets take longer.
    Delay(Delay),
    /// Packets are lost by chance.
    Loss(Loss),
    /// Every operation of the disk takes longer.
    SlowDisk(SlowDisk),
    /// The wall clock is stepped at the start, and back at the end.
    ClockStep(ClockStep),
    /// The clock runs at another rate.
    ClockDrift(ClockDrift),
}

/// The nodes that a fault hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct On {
    /// Their names; or, as `leader of ROLE`, whichever node of that role led last when the fault begins.
    pub nodes: Vec<String>,
}

/// [`Inject::Cut`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cut {
    /// Nodes on one side.
    pub from: Vec<String>,
    /// Nodes on the other; nodes named on both sides keep their links among themselves.
    pub to: Vec<String>,
    /// False: only packets from `from` to `to` are lost.
    pub both_ways: bool,
}

/// [`Inject::Delay`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Delay {
    /// Nodes that send.
    pub from: Vec<String>,
    /// Nodes that receive.
    pub to: Vec<String>,
    /// False: only packets from `from` to `to`.
    pub both_ways: bool,
    /// Added to every packet's latency, in nanoseconds.
    #[serde(with = "duration_text", rename = "by")]
    pub by_ns: u64,
    /// Added on top, evenly from 0 to this, in nanoseconds.
    #[serde(with = "duration_text", rename = "jitter")]
    pub jitter_ns: u64,
}

/// [`Inject::Loss`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Loss {
    /// Nodes that send.
    pub from: Vec<String>,
    /// Nodes that receive.
    pub to: Vec<String>,
    /// False: only packets from `from` to `to`.
    pub both_ways: bool,
    /// The chance that a packet is lost, 0 to 1. On a stream a loss costs retransmission time, never bytes.
    pub probability: f64,
}

/// [`Inject::SlowDisk`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SlowDisk {
    /// Their names, as in [`On`].
    pub nodes: Vec<String>,
    /// How many times longer every operation takes, at least 1.
    pub factor: f64,
}

/// [`Inject::ClockStep`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClockStep {
    /// Their names, as in [`On`].
    pub nodes: Vec<String>,
    /// How far, in signed nanoseconds: `-2s` steps back.
    #[serde(with = "duration_text::signed", rename = "by")]
    pub by_ns: i64,
}

/// [`Inject::ClockDrift`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClockDrift {
    /// Their names, as in [`On`].
    pub nodes: Vec<String>,
    /// Added to the clock's rate: 200 parts per million gains 200 µs a second. Above -1 000 000.
    pub parts_per_million: f64,
}

impl Inject {
    /// The kind's word, as scenario files write it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::PowerLoss(_) => "power-loss",
            Self::Crash(_) => "crash",
            Self::Pause(_) => "pause",
            Self::Cut(_) => "cut",
            Self::Delay(_) => "delay",
            Self::Loss(_) => "loss",
            Self::SlowDisk(_) => "slow-disk",
            Self::ClockStep(_) => "clock-step",
            Self::ClockDrift(_) => "clock-drift",
        }
    }

    /// The names of the nodes that it hits, each side of a link counted; as written, so `leader of ROLE` may be among them.
    pub fn targets(&self) -> Vec<&str> {
        let (one, other): (&[String], &[String]) = match self {
            Self::PowerLoss(on) | Self::Crash(on) | Self::Pause(on) => (&on.nodes, &[]),
            Self::Cut(cut) => (&cut.from, &cut.to),
            Self::Delay(delay) => (&delay.from, &delay.to),
            Self::Loss(loss) => (&loss.from, &loss.to),
            Self::SlowDisk(slow) => (&slow.nodes, &[]),
            Self::ClockStep(step) => (&step.nodes, &[]),
            Self::ClockDrift(drift) => (&drift.nodes, &[]),
        };
        one.iter().chain(other).map(String::as_str).collect()
    }
}
