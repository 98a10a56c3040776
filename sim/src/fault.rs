//! Faults with every choice made, as plans hold them.

mod harms;

pub use harms::*;

use crate::duration_text;
use serde::{Deserialize, Serialize};

/// How a plan names whichever node of a role led last when the fault begins: this, and the role.
pub const LEADER_OF: &str = "leader of ";
/// How a plan names the node on which happened what set the fault off.
pub const WHERE_IT_HAPPENED: &str = "where it happened";

/// One thing going wrong: a kind, a target, a start, an end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fault {
    /// A name that is unique in its plan; chance used by the fault is drawn from the stream `fault/NAME`.
    pub name: String,
    /// When it begins, in nanoseconds of true time since the world began; with `after`, from when on it can be set off.
    #[serde(with = "duration_text", rename = "start")]
    pub start_ns: u64,
    /// When it is healed; with `after`, at the latest.
    #[serde(with = "duration_text", rename = "end")]
    pub end_ns: u64,
    /// What sets it off, where that is not the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// The domain (`kind=value`) through which its targets share it, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<String>,
    /// What goes wrong, and where.
    pub inject: Inject,
}

/// What sets a fault off: the first such event between the fault's start and its end. It does so once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct After {
    /// The event.
    pub event: Cause,
    /// How long after the event the fault begins, in nanoseconds.
    #[serde(with = "duration_text", rename = "delay")]
    pub delay_ns: u64,
    /// How long it then lasts, in nanoseconds.
    #[serde(with = "duration_text", rename = "length")]
    pub length_ns: u64,
}

/// What can set a fault off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Cause {
    /// The fault of this name begins, or any of that name and a number (`NAME.1`).
    FaultStart(String),
    /// The fault of this name ends, or any of that name and a number.
    FaultEnd(String),
    /// A node of this role begins to lead.
    Lead(String),
    /// The process of a node of this role ends.
    Exit(String),
    /// The process of a node of this role starts, other than for the first time.
    Boot(String),
    /// The cores of a node of this role have been busy for a while.
    Load(Load),
}

/// [`Cause::Load`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Load {
    /// The role.
    pub role: String,
    /// The least share of the node's cores that is busy, 0 to 1.
    pub share: f64,
    /// For how long without a pause, in nanoseconds.
    #[serde(with = "duration_text", rename = "lasts")]
    pub lasts_ns: u64,
}

/// The nodes that one kind of fault hits: one set, or links from one to another.
enum Sides<'a> {
    Nodes(&'a [String]),
    Links(&'a [String], &'a [String]),
}

macro_rules! inject {
    ($($(#[doc = $doc:literal])+ $name:ident($harm:ty) = $word:literal, $hits:ident)+) => {
        /// What goes wrong, and where: one variant a kind of fault.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub enum Inject {
            $($(#[doc = $doc])+ #[serde(rename = $word)] $name($harm),)+
        }

        impl Inject {
            /// The kind's word, as scenario files write it.
            pub fn word(&self) -> &'static str {
                match self { $(Self::$name(_) => $word,)+ }
            }

            fn sides(&self) -> Sides<'_> {
                match self { $(Self::$name(harm) => inject!($hits harm),)+ }
            }
        }
    };
    (nodes $harm:ident) => { Sides::Nodes(&$harm.nodes) };
    (links $harm:ident) => { Sides::Links(&$harm.from, &$harm.to) };
}

inject! {
    /// The hosts lose power at once: processes gone, unsynced writes kept, lost or torn sector by sector; peers hear
    /// silence. Power comes back at the end.
    PowerLoss(On) = "power-loss", nodes
    /// The mains fail: hosts run on from a battery, and lose power when it is empty, unless a generator has started.
    MainsLoss(MainsLoss) = "mains-loss", nodes
    /// The processes are killed; the hosts live on and reset their connections. Started again at the end.
    Crash(On) = "crash", nodes
    /// The processes are killed again and again, each a while after its supervisor has started it.
    CrashLoop(CrashLoop) = "crash-loop", nodes
    /// The processes are killed and started again at once, all together.
    Restart(On) = "restart", nodes
    /// The processes are asked to stop and killed where they take too long. Started again at the end.
    GracefulStop(GracefulStop) = "graceful-stop", nodes
    /// The processes stand still (as by SIGSTOP); their hosts' kernels go on.
    Pause(On) = "pause", nodes
    /// No packet passes.
    Cut(Cut) = "cut", links
    /// No packet passes for a while, then all do, again and again.
    Flap(Flap) = "flap", links
    /// Packets are held back, and arrive when it ends.
    Clog(Links) = "clog", links
    /// The nodes are clogged one after the other, and set free one after the other, in another order.
    SwizzleClog(On) = "swizzle-clog", nodes
    /// Packets take longer.
    Delay(Delay) = "delay", links
    /// Packets are lost by chance.
    Loss(Loss) = "loss", links
    /// Packets arrive twice by chance. A stream's user never sees it; a datagram's does.
    Duplicate(Chance) = "duplicate", links
    /// Packets are overtaken by chance. On a stream those behind wait for them.
    Reorder(Reorder) = "reorder", links
    /// Packets are damaged by chance: checksums find most and drop the packet, the others arrive with a bit changed.
    Corrupt(Corrupt) = "corrupt", links
    /// The links carry no more than so many bytes a second.
    Bandwidth(Bandwidth) = "bandwidth", links
    /// Every operation of the disk takes longer.
    SlowDisk(SlowDisk) = "slow-disk", nodes
    /// No operation of the disk comes to its end before the fault does; what the cache holds is still read.
    StuckDisk(On) = "stuck-disk", nodes
    /// The disk has no room for anything more.
    FullDisk(On) = "full-disk", nodes
    /// Reads, writes and syncs fail by chance, and do nothing.
    DiskError(DiskError) = "disk-error", nodes
    /// Syncs fail by chance, say so once, and forget what they were to make durable: a later one says that all is well.
    FailedSync(OnChance) = "failed-sync", nodes
    /// At the start, bits of what the disk holds flip by chance. They stay so.
    BitRot(OnChance) = "bit-rot", nodes
    /// Writes land elsewhere in their file by chance, and say that all is well.
    MisdirectedWrite(OnChance) = "misdirected-write", nodes
    /// Writes of several sectors end in the middle by chance, and say that all is well.
    TornWrite(OnChance) = "torn-write", nodes
    /// The machines are gone, with their disks. Others in their place, with empty ones, start at the end.
    LostDisk(On) = "lost-disk", nodes
    /// The disks die for good, one after the other, as each reaches the age at which its kind does: from then on every
    /// operation fails. Empty ones are there at the end.
    DiskDeath(DiskDeath) = "disk-death", nodes
    /// The wall clock is stepped at the start, and back at the end.
    ClockStep(ClockStep) = "clock-step", nodes
    /// The clock runs at another rate.
    ClockDrift(ClockDrift) = "clock-drift", nodes
    /// The clock stands still.
    ClockFreeze(On) = "clock-freeze", nodes
    /// The wall clock leaps to and fro. It is right again at the end.
    ClockLeap(ClockLeap) = "clock-leap", nodes
    /// The time source that the nodes follow is off: each takes its time over at its own next poll, and the right one
    /// at the end.
    BadTimeSource(BadTimeSource) = "bad-time-source", nodes
    /// All work takes longer.
    SlowCpu(SlowCpu) = "slow-cpu", nodes
    /// Others on the host take a share of the cores' time, in bursts.
    StolenCpu(StolenCpu) = "stolen-cpu", nodes
    /// Others on the host take a share of its memory: a process that has more than what is left is killed.
    MemoryPressure(Share) = "memory-pressure", nodes
    /// Names lead nowhere: looking one up says that there is none.
    NoNames(On) = "no-names", nodes
    /// Names lead to where their nodes no longer are: calls are answered by silence.
    StaleNames(On) = "stale-names", nodes
    /// Names lead to other nodes.
    WrongNames(On) = "wrong-names", nodes
}

impl Inject {
    /// The names of the nodes that it hits, each side of a link counted; as written, so `leader of ROLE` may be among them.
    pub fn targets(&self) -> Vec<&str> {
        let (one, other): (&[String], &[String]) = match self.sides() {
            Sides::Nodes(nodes) => (nodes, &[]),
            Sides::Links(from, to) => (from, to),
        };
        one.iter().chain(other).map(String::as_str).collect()
    }

    /// Both sides, where it hits links.
    pub fn links(&self) -> Option<(&[String], &[String])> {
        match self.sides() {
            Sides::Nodes(_) => None,
            Sides::Links(from, to) => Some((from, to)),
        }
    }
}
