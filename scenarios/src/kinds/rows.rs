//! The rows: every kind of fault.

use super::{Field, FieldKind, FieldValue, Group, Hits, Kind};
use crate::value::Between;

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;
const SIGNED_S: i64 = 1_000_000_000;

const BOTH_WAYS: Field = Field {
    name: "both-ways",
    why: "whether packets from `to` to `from` are hit too",
    kind: FieldKind::Flag,
    default: Some(FieldValue::Flag(true)),
    example: "both-ways = false",
    open: FieldValue::Flag(true),
};

const CHANCE: FieldKind = FieldKind::Number(0.0, 1.0);

const fn durations(least: u64, most: u64) -> FieldValue {
    FieldValue::Duration(Between { least, most })
}

const fn moment(length: u64) -> FieldValue {
    durations(length, length)
}

const fn signed(least: i64, most: i64) -> FieldValue {
    FieldValue::SignedDuration(Between { least, most })
}

const fn numbers(least: f64, most: f64) -> FieldValue {
    FieldValue::Number(Between { least, most })
}

const fn exactly(number: f64) -> FieldValue {
    numbers(number, number)
}

/// All kinds of fault.
pub const KINDS: &[Kind] = &[
    Kind {
        word: "power-loss",
        why: "the hosts lose power: processes gone, unsynced writes kept, lost or torn; peers hear silence",
        group: Group::Power,
        hits: Hits::Nodes,
        fields: &[],
    },
    Kind {
        word: "mains-loss",
        why: "the mains fail: hosts run on from a battery, and lose power when it is empty, unless a generator has started",
        group: Group::Power,
        hits: Hits::Nodes,
        fields: &[
            Field {
                name: "battery",
                why: "how long the battery lasts",
                kind: FieldKind::Duration,
                default: None,
                example: "battery = \"30s\"",
                open: durations(0, 30 * S),
            },
            Field {
                name: "generator-fails",
                why: "the chance that the generator does not start; 1 where there is none",
                kind: FieldKind::Number(0.0, 1.0),
                default: Some(exactly(1.0)),
                example: "generator-fails = 0.05",
                open: numbers(0.0, 1.0),
            },
        ],
    },
    Kind {
        word: "crash",
        why: "the processes are killed; the hosts live on and reset their connections",
        group: Group::Process,
        hits: Hits::Nodes,
        fields: &[],
    },
    Kind {
        word: "crash-loop",
        why: "the processes are killed again and again, each a while after its supervisor has started it",
        group: Group::Process,
        hits: Hits::Nodes,
        fields: &[Field {
            name: "lives",
            why: "how long a process lives each time",
            kind: FieldKind::Duration,
            default: None,
            example: "lives = \"2s\"",
            open: durations(100 * MS, 5 * S),
        }],
    },
    Kind {
        word: "restart",
        why: "the processes are killed and started again at once, all together",
        group: Group::Process,
        hits: Hits::Nodes,
        fields: &[],
    },
    Kind {
        word: "graceful-stop",
        why: "the processes are asked to stop, and killed where they take too long",
        group: Group::Process,
        hits: Hits::Nodes,
        fields: &[Field {
            name: "grace",
            why: "how long a process may take to stop",
            kind: FieldKind::Duration,
            default: Some(moment(10 * S)),
            example: "grace = \"10s\"",
            open: durations(100 * MS, 10 * S),
        }],
    },
    Kind {
        word: "pause",
        why: "the processes stand still, their hosts' kernels go on",
        group: Group::Process,
        hits: Hits::Nodes,
        fields: &[],
    },
    Kind {
        word: "cut",
        why: "no packet passes",
        group: Group::Network,
        hits: Hits::Links,
        fields: &[BOTH_WAYS],
    },
    Kind {
        word: "flap",
        why: "no packet passes for a while, then all do, again and again",
        group: Group::Network,
        hits: Hits::Links,
        fields: &[
            BOTH_WAYS,
            Field {
                name: "down",
                why: "how long nothing passes each time",
                kind: FieldKind::Duration,
                default: None,
                example: "down = \"1s\"",
                open: durations(50 * MS, 3 * S),
            },
            Field {
                name: "up",
                why: "how long all passes in between",
                kind: FieldKind::Duration,
                default: None,
                example: "up = \"2s\"",
                open: durations(50 * MS, 3 * S),
            },
        ],
    },
    Kind {
        word: "clog",
        why: "packets are held back, and arrive when it ends",
        group: Group::Network,
        hits: Hits::Links,
        fields: &[BOTH_WAYS],
    },
    Kind {
        word: "swizzle-clog",
        why: "the nodes' links are clogged one node after the other, and set free one after the other in another order",
        group: Group::Network,
        hits: Hits::Nodes,
        fields: &[],
    },
    Kind {
        word: "delay",
        why: "packets take longer",
        group: Group::Network,
        hits: Hits::Links,
        fields: &[
            BOTH_WAYS,
            Field {
                name: "by",
                why: "added to every packet's latency",
                kind: FieldKind::Duration,
                default: None,
                example: "by = \"200ms\"",
                open: durations(MS, 500 * MS),
            },
            Field {
                name: "jitter",
                why: "added on top, evenly from 0 to this",
                kind: FieldKind::Duration,
                default: Some(moment(0)),
                example: "jitter = \"50ms\"",
                open: durations(0, 200 * MS),
            },
        ],
    },
    Kind {
        word: "loss",
        why: "packets are lost by chance",
        group: Group::Network,
        hits: Hits::Links,
        fields: &[
            BOTH_WAYS,
            Field {
                name: "probability",
                why: "the chance that a packet is lost",
                kind: CHANCE,
                default: None,
                example: "probability = 0.01",
                open: numbers(0.01, 0.5),
            },
        ],
    },
    Kind {
        word: "duplicate",
        why: "packets arrive twice by chance; a stream's user never sees it, a datagram's does",
        group: Group::Network,
        hits: Hits::Links,
        fields: &[
            BOTH_WAYS,
            Field {
                name: "probability",
                why: "the chance that a packet arrives twice",
                kind: CHANCE,
                default: None,
                example: "probability = 0.1",
                open: numbers(0.01, 1.0),
            },
        ],
    },
    Kind {
        word: "reorder",
        why: "packets are overtaken by chance; on a stream those behind wait for them",
        group: Group::Network,
        hits: Hits::Links,
        fields: &[
            BOTH_WAYS,
            Field {
                name: "probability",
                why: "the chance that a packet is held back",
                kind: CHANCE,
                default: None,
                example: "probability = 0.1",
                open: numbers(0.01, 0.5),
            },
            Field {
                name: "by",
                why: "for how long at most",
                kind: FieldKind::Duration,
                default: None,
                example: "by = \"100ms\"",
                open: durations(MS, 500 * MS),
            },
        ],
    },
    Kind {
        word: "corrupt",
        why: "packets are damaged by chance; checksums find most of it and drop the packet",
        group: Group::Network,
        hits: Hits::Links,
        fields: &[
            BOTH_WAYS,
            Field {
                name: "probability",
                why: "the chance that a packet is damaged",
                kind: CHANCE,
                default: None,
                example: "probability = 0.05",
                open: numbers(0.001, 0.2),
            },
            Field {
                name: "undetected",
                why: "the share of damage that checksums do not find",
                kind: FieldKind::Number(0.0, 1.0),
                default: Some(exactly(0.0)),
                example: "undetected = 0.001",
                open: numbers(0.0, 0.0),
            },
        ],
    },
    Kind {
        word: "bandwidth",
        why: "the links carry no more than so many bytes a second",
        group: Group::Network,
        hits: Hits::Links,
        fields: &[
            BOTH_WAYS,
            Field {
                name: "bytes-per-second",
                why: "bytes a second that each link carries, each way",
                kind: FieldKind::Number(1.0, 1e12),
                default: None,
                example: "bytes-per-second = 100000",
                open: numbers(20_000.0, 5_000_000.0),
            },
        ],
    },
    Kind {
        word: "slow-disk",
        why: "every operation of the disk takes longer",
        group: Group::Disk,
        hits: Hits::Nodes,
        fields: &[Field {
            name: "factor",
            why: "how many times longer; of several at once the largest counts",
            kind: FieldKind::Number(1.0, 1e6),
            default: None,
            example: "factor = 10",
            open: numbers(2.0, 50.0),
        }],
    },
    Kind {
        word: "stuck-disk",
        why: "no operation of the disk comes to its end before the fault does",
        group: Group::Disk,
        hits: Hits::Nodes,
        fields: &[],
    },
    Kind {
        word: "full-disk",
        why: "the disk has no room for anything more",
        group: Group::Disk,
        hits: Hits::Nodes,
        fields: &[],
    },
    Kind {
        word: "disk-error",
        why: "reads, writes and syncs fail by chance, and do nothing",
        group: Group::Disk,
        hits: Hits::Nodes,
        fields: &[
            Field {
                name: "probability",
                why: "the chance that an operation fails",
                kind: CHANCE,
                default: None,
                example: "probability = 0.01",
                open: numbers(0.001, 0.2),
            },
            Field {
                name: "once",
                why: "whether the first failure is the only one",
                kind: FieldKind::Flag,
                default: Some(FieldValue::Flag(false)),
                example: "once = true",
                open: FieldValue::Flag(false),
            },
        ],
    },
    Kind {
        word: "failed-sync",
        why: "syncs fail by chance, say so once, and forget what they were to make durable",
        group: Group::Disk,
        hits: Hits::Nodes,
        fields: &[Field {
            name: "probability",
            why: "the chance that a sync fails",
            kind: CHANCE,
            default: None,
            example: "probability = 0.1",
            open: numbers(0.01, 0.5),
        }],
    },
    Kind {
        word: "bit-rot",
        why: "at the start, bits of what the disk holds flip by chance; they stay so",
        group: Group::Disk,
        hits: Hits::Nodes,
        fields: &[Field {
            name: "probability",
            why: "the chance that a sector has a bit flipped",
            kind: CHANCE,
            default: None,
            example: "probability = 0.001",
            open: numbers(0.0001, 0.05),
        }],
    },
    Kind {
        word: "misdirected-write",
        why: "writes land elsewhere in their file by chance, and say that all is well",
        group: Group::Disk,
        hits: Hits::Nodes,
        fields: &[Field {
            name: "probability",
            why: "the chance that a write does",
            kind: CHANCE,
            default: None,
            example: "probability = 0.01",
            open: numbers(0.001, 0.05),
        }],
    },
    Kind {
        word: "torn-write",
        why: "writes of several sectors end in the middle by chance, and say that all is well",
        group: Group::Disk,
        hits: Hits::Nodes,
        fields: &[Field {
            name: "probability",
            why: "the chance that a write does",
            kind: CHANCE,
            default: None,
            example: "probability = 0.01",
            open: numbers(0.001, 0.05),
        }],
    },
    Kind {
        word: "lost-disk",
        why: "the machines are gone with their disks; others with empty ones start at the end",
        group: Group::Disk,
        hits: Hits::Nodes,
        fields: &[],
    },
    Kind {
        word: "disk-death",
        why: "the disks die for good, each as it reaches the age at which its kind does; empty ones are there at the end",
        group: Group::Disk,
        hits: Hits::Nodes,
        fields: &[Field {
            name: "spread",
            why: "the time between the first of them to reach that age and the last",
            kind: FieldKind::Duration,
            default: None,
            example: "spread = \"10s\"",
            open: durations(0, 10 * S),
        }],
    },
    Kind {
        word: "clock-step",
        why: "the wall clock is stepped at the start and back at the end",
        group: Group::Clock,
        hits: Hits::Nodes,
        fields: &[Field {
            name: "by",
            why: "how far; with a minus, back",
            kind: FieldKind::SignedDuration,
            default: None,
            example: "by = \"-2s\"",
            open: signed(-60 * SIGNED_S, 60 * SIGNED_S),
        }],
    },
    Kind {
        word: "clock-drift",
        why: "the clock runs at another rate",
        group: Group::Clock,
        hits: Hits::Nodes,
        fields: &[Field {
            name: "parts-per-million",
            why: "added to the clock's rate: 200 gains 200 µs a second",
            kind: FieldKind::Number(-999_999.0, 1e7),
            default: None,
            example: "parts-per-million = 200",
            open: numbers(-500.0, 500.0),
        }],
    },
    Kind {
        word: "clock-freeze",
        why: "the clock stands still",
        group: Group::Clock,
        hits: Hits::Nodes,
        fields: &[],
    },
    Kind {
        word: "clock-leap",
        why: "the wall clock leaps to and fro, and is right again at the end",
        group: Group::Clock,
        hits: Hits::Nodes,
        fields: &[
            Field {
                name: "by",
                why: "the farthest that it is from where it was, either way",
                kind: FieldKind::Duration,
                default: None,
                example: "by = \"10s\"",
                open: durations(10 * MS, 60 * S),
            },
            Field {
                name: "every",
                why: "how often it leaps",
                kind: FieldKind::Duration,
                default: None,
                example: "every = \"500ms\"",
                open: durations(100 * MS, 5 * S),
            },
        ],
    },
    Kind {
        word: "bad-time-source",
        why: "the time source that the nodes follow is off: each takes its time over at its own next poll",
        group: Group::Clock,
        hits: Hits::Nodes,
        fields: &[
            Field {
                name: "by",
                why: "how far it is off; with a minus, behind",
                kind: FieldKind::SignedDuration,
                default: None,
                example: "by = \"5min\"",
                open: signed(-600 * SIGNED_S, 600 * SIGNED_S),
            },
            Field {
                name: "poll",
                why: "how often a node asks it",
                kind: FieldKind::Duration,
                default: Some(moment(16 * S)),
                example: "poll = \"16s\"",
                open: durations(S, 16 * S),
            },
        ],
    },
    Kind {
        word: "slow-cpu",
        why: "all work takes longer",
        group: Group::Host,
        hits: Hits::Nodes,
        fields: &[Field {
            name: "factor",
            why: "how many times longer",
            kind: FieldKind::Number(1.0, 1e6),
            default: None,
            example: "factor = 4",
            open: numbers(1.5, 10.0),
        }],
    },
    Kind {
        word: "stolen-cpu",
        why: "others on the host take a share of the cores' time, in bursts",
        group: Group::Host,
        hits: Hits::Nodes,
        fields: &[
            Field {
                name: "share",
                why: "the share of the time that others take",
                kind: FieldKind::Number(0.0, 0.99),
                default: None,
                example: "share = 0.5",
                open: numbers(0.1, 0.9),
            },
            Field {
                name: "period",
                why: "how long a burst and the pause after it take together",
                kind: FieldKind::Duration,
                default: Some(moment(100 * MS)),
                example: "period = \"100ms\"",
                open: durations(10 * MS, 2 * S),
            },
        ],
    },
    Kind {
        word: "memory-pressure",
        why: "others on the host take a share of its memory; a process that has more than what is left is killed",
        group: Group::Host,
        hits: Hits::Nodes,
        fields: &[Field {
            name: "share",
            why: "the share of the memory that others take",
            kind: FieldKind::Number(0.0, 1.0),
            default: None,
            example: "share = 0.9",
            open: numbers(0.3, 0.95),
        }],
    },
    Kind {
        word: "no-names",
        why: "names lead nowhere: looking one up says that there is none",
        group: Group::Names,
        hits: Hits::Nodes,
        fields: &[],
    },
    Kind {
        word: "stale-names",
        why: "names lead to where their nodes no longer are: calls are answered by silence",
        group: Group::Names,
        hits: Hits::Nodes,
        fields: &[],
    },
    Kind {
        word: "wrong-names",
        why: "names lead to other nodes",
        group: Group::Names,
        hits: Hits::Nodes,
        fields: &[],
    },
];
