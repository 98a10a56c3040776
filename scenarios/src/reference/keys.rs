//! The tree itself: every key of a scenario.

use super::{Key, Shape};
use crate::expectation::Expectation;
use crate::kinds::{Field, FieldKind, FieldValue, Group, Hits, KINDS, Kind};
use crate::scenario::BYTE_SCALE_MAX;
use sim::duration_text;
use sim::plan::{Arrivals, CLIENT_ROLE, DiskPlan, NetworkPlan};
use sim::stack::{Setting, SettingKind, Stack};

/// The keys of a scenario for `stack`.
pub fn keys(stack: &dyn Stack) -> Vec<Key> {
    let duration = Shape::Written("a duration such as `20s`");
    let settings = Shape::Table(settings(stack));
    vec![
        key("name", "what it is called: area/what-happens", Shape::Text, "name = \"power/my-feed\"").needed(),
        key(
            "why",
            "what it shows, in a sentence",
            Shape::Text,
            "why = \"Three replicas on one feed are one replica.\"",
        )
        .needed(),
        key(
            "duration",
            "how long load and faults last; then all is healed and the stack must drain",
            duration.clone(),
            "duration = \"120s\"",
        )
        .needed(),
        key("drain", "how long the healed stack may take to finish what it has", duration, "drain = \"60s\""),
        key(
            "nodes",
            "how many nodes each role has, and what they share",
            nodes(stack),
            "nodes.queue = { count = 3, domains = { power = \"A\" } }",
        ),
        key(
            "workload",
            "what clients do",
            Shape::Table(workload()),
            "workload = { clients = 40, rate = \"50/s\" }",
        )
        .needed(),
        key(
            "settings",
            "the stack's settings that differ from their defaults",
            settings.clone(),
            "settings = { \"queue.lease\" = \"5s\" }",
        ),
        network(),
        key(
            "disk",
            "how disks behave while nothing is wrong",
            part::<DiskPlan>(),
            "disk = { sync = \"2ms\" }",
        ),
        byte_scale(),
        key(
            "fault",
            "something that goes wrong",
            Shape::List(fault()),
            "fault = [{ at = \"20s\", for = \"5s\", inject.crash = { role = \"queue\" } }]",
        ),
        key(
            "expect",
            "what laws are expected to say, where that is not `held`",
            expect(),
            "expect = { delivery = \"held\" }",
        ),
        key(
            "objectives",
            "what the service promises its customers",
            Shape::Table(objectives()),
            "objectives = { availability = 0.99 }",
        ),
        variant(stack, settings),
    ]
}

fn network() -> Key {
    let why = "how the network behaves while nothing is wrong";
    key("network", why, part::<NetworkPlan>(), "network = { same-rack = \"50us\" }")
}

fn byte_scale() -> Key {
    let why = "how many bytes each byte of the stack stands for: links, disks and memory are charged so many";
    key("byte-scale", why, Shape::Whole(1, BYTE_SCALE_MAX), "byte-scale = 128").or("1")
}

fn variant(stack: &dyn Stack, settings: Shape) -> Key {
    key(
        "variant",
        "the same with something changed, mostly a safeguard turned off",
        Shape::List(vec![
            key("name", "what it is called", Shape::Text, "name = \"no-fsync\"").needed(),
            key("why", "what it shows", Shape::Text, "why = \"Acknowledging from memory.\"").needed(),
            key("set", "settings that it changes", settings, "set = { \"queue.durability\" = \"memory\" }"),
            key("nodes", "nodes that it changes", nodes(stack), "nodes.queue = { count = 5 }"),
            key("expect", "expectations that it changes", expect(), "expect = { delivery = \"violated\" }"),
        ]),
        "variant = [{ name = \"no-fsync\", why = \"…\", set = { \"queue.durability\" = \"memory\" } }]",
    )
}

fn key(name: &str, why: &str, shape: Shape, example: &str) -> Key {
    let (name, why, example) = (name.to_owned(), why.to_owned(), example.to_owned());
    Key { name, why, shape, needed: false, default: None, example }
}

impl Key {
    fn needed(mut self) -> Self {
        self.needed = true;
        self
    }

    fn or(mut self, default: impl Into<String>) -> Self {
        self.default = Some(default.into());
        self
    }
}

fn nodes(stack: &dyn Stack) -> Shape {
    let domain = Shape::Written("`A` for all of them, `spread:3` for three in turn, `own` for one each");
    let of = |count: u32, cores: u32| {
        Shape::Table(vec![
            key("count", "how many there are", Shape::Whole(0, 1_000), "count = 3").or(count.to_string()),
            key("cores", "the cores of each", Shape::Whole(1, 4_096), "cores = 32").or(cores.to_string()),
            key(
                "memory",
                "the memory of each; a process that has more is killed",
                Shape::WrittenOrNumber("a size such as `16GiB`"),
                "memory = \"16GiB\"",
            ),
            key(
                "domains",
                "what they share: kind and value",
                Shape::Map(Box::new(domain.clone())),
                "domains = { power = \"spread:2\" }",
            ),
            key(
                "clock-offset",
                "how far their clocks are off at the start",
                Shape::Written("a duration with a sign, or a range"),
                "clock-offset = \"-20ms..20ms\"",
            )
            .or("0s"),
            key(
                "clock-drift",
                "how fast their clocks gain, in parts per million",
                Shape::WrittenOrNumber("a number, or a range such as `-50..50`"),
                "clock-drift = \"-50..50\"",
            )
            .or("0"),
        ])
    };
    let roles = stack.roles().iter().map(|role| (role.name, role.why, of(role.count, role.cores)));
    let clients = [(CLIENT_ROLE, "machines on which clients run", of(1, 8))];
    Shape::Table(
        roles
            .chain(clients)
            .map(|(name, why, shape)| key(name, why, shape, &format!("{name} = {{ count = 3 }}")))
            .collect(),
    )
}

fn workload() -> Vec<Key> {
    vec![
        key("clients", "how many clients there are", Shape::Whole(0, 1_000_000), "clients = 40").needed(),
        key(
            "rate",
            "requests of all of them together, a second",
            Shape::Written("a rate such as `50/s`"),
            "rate = \"50/s\"",
        )
        .needed(),
        key(
            "arrivals",
            "when they come: by chance, as people's (`poisson`), or as a load generator's that keeps its rate (`even`)",
            Shape::Choice(Arrivals::NAMES.map(|(name, _)| name.to_owned()).to_vec()),
            "arrivals = \"even\"",
        ),
        key(
            "step",
            "the rates that follow",
            Shape::List(vec![
                key("at", "when it begins", Shape::Written("a duration such as `20s`"), "at = \"30s\"")
                    .needed(),
                key(
                    "rate",
                    "requests a second from then on",
                    Shape::Written("a rate such as `50/s`"),
                    "rate = \"80/s\"",
                )
                .needed(),
            ]),
            "step = [{ at = \"30s\", rate = \"80/s\" }]",
        ),
    ]
}

fn settings(stack: &dyn Stack) -> Vec<Key> {
    let setting = |setting: &Setting| {
        let shape = match setting.kind {
            SettingKind::Flag => Shape::Flag,
            SettingKind::Choice(words) => {
                Shape::Choice(words.iter().map(|word| (*word).to_owned()).collect())
            }
            SettingKind::Duration => Shape::Written("a duration such as `1.5s`"),
            SettingKind::Number { least, most } => Shape::Whole(least, most),
            SettingKind::Text => Shape::Text,
        };
        let quoted = !matches!(setting.kind, SettingKind::Flag | SettingKind::Number { .. });
        let value = if quoted { format!("\"{}\"", setting.default) } else { setting.default.to_owned() };
        key(setting.name, setting.why, shape, &format!("\"{}\" = {value}", setting.name)).or(setting.default)
    };
    stack.settings().iter().map(setting).collect()
}

/// A part of a plan with defaults, whatever its fields are.
fn part<T: Default + serde::Serialize>() -> Shape {
    let defaults = toml::Table::try_from(T::default()).expect("a plan's part is a table");
    let field = |(name, default): (String, toml::Value)| {
        let shape = match &default {
            toml::Value::String(_) => Shape::Written("a duration such as `1ms`"),
            toml::Value::Float(_) => Shape::Number(0.0, 1e15),
            _ if name.contains("bytes") => Shape::WrittenOrNumber("a size such as `1MiB`"),
            _ => Shape::Whole(1, 1 << 30),
        };
        let example = format!("{name} = {default}");
        let why = name.replace('-', " ");
        let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
        key(&name, &why, shape, &example).or(default)
    };
    Shape::Table(defaults.into_iter().map(field).collect())
}

fn fault() -> Vec<Key> {
    let times = Shape::Written("a duration, a range such as `20s..40s`, or `any`");
    let cause = |name: &str, why: &str, example: &str| key(name, why, Shape::Text, example);
    vec![
        key(
            "name",
            "what it is called; its chances are drawn under that name",
            Shape::Text,
            "name = \"feed\"",
        ),
        key("why", "why it is there", Shape::Text, "why = \"…\""),
        key("at", "when it begins; this or `after`", times.clone(), "at = \"20s..40s\""),
        key(
            "after",
            "what sets it off: one event",
            Shape::Table(vec![
                cause("fault-start", "another fault begins", "fault-start = \"feed\""),
                cause("fault-end", "another fault ends", "fault-end = \"feed\""),
                cause("lead", "a node of this role begins to lead", "lead = \"queue\""),
                cause("exit", "the process of a node of this role ends", "exit = \"worker\""),
                cause("boot", "the process of a node of this role starts again", "boot = \"worker\""),
                cause("load", "the cores of a node of this role have been busy", "load = \"worker\""),
                key(
                    "share",
                    "with `load`: the least share of the cores",
                    Shape::Number(0.0, 1.0),
                    "share = 0.9",
                )
                .or("1"),
                key("lasts", "with `load`: for how long", Shape::Written("a duration"), "lasts = \"3s\"")
                    .or("1s"),
                key(
                    "delay",
                    "how long after the event",
                    Shape::Written("a duration or a range"),
                    "delay = \"1s..3s\"",
                )
                .or("0s"),
            ]),
            "after = { fault-end = \"feed\", delay = \"1s..3s\" }",
        ),
        key("for", "how long it lasts", times, "for = \"10s\"").needed(),
        key("chance", "the chance that it takes place at all", Shape::Number(0.0, 1.0), "chance = 0.5")
            .or("1"),
        key(
            "times",
            "how often it takes place, each time drawn anew",
            Shape::WrittenOrNumber("a whole number, or a range such as `1..3`"),
            "times = \"1..3\"",
        )
        .or("1"),
        key("inject", "what goes wrong, and where", inject(), "inject.power-loss = { domain = \"power=A\" }")
            .needed(),
    ]
}

fn inject() -> Shape {
    let mut words: Vec<String> = KINDS.iter().map(|kind| kind.word.to_owned()).collect();
    words.extend(Group::ALL.map(|group| group.word().to_owned()));
    words.push("any".to_owned());
    let kinds = KINDS.iter().map(|kind| {
        let example = format!("inject.{} = {}", kind.word, "{ … }");
        let any = Shape::Choice(vec!["any".to_owned()]);
        key(kind.word, kind.why, Shape::Either(vec![any, Shape::Table(harm(kind))]), &example)
    });
    Shape::Either(vec![Shape::Table(kinds.collect()), Shape::Choice(words), Shape::Texts])
}

fn harm(kind: &Kind) -> Vec<Key> {
    let target = "`role=queue`, `power=A`, `node=queue-1`, `leader-of=queue`, `any=2`, `any` or `all`";
    let mut keys = match kind.hits {
        Hits::Nodes => target_keys(),
        Hits::Links => {
            let side =
                || Shape::Either(vec![Shape::Written(target), Shape::Texts, Shape::Table(target_keys())]);
            vec![
                key("from", "nodes on one side", side(), "from = \"leader-of=queue\"").needed(),
                key("to", "nodes on the other", side(), "to = \"role=queue\"").needed(),
            ]
        }
    };
    keys.extend(kind.fields.iter().map(field));
    keys
}

fn target_keys() -> Vec<Key> {
    vec![
        key("nodes", "nodes by name, or `where it happened`", Shape::Texts, "nodes = [\"queue-1\"]"),
        key("role", "the nodes of a role", Shape::Text, "role = \"queue\""),
        key(
            "count",
            "with `role`: how many of them",
            Shape::WrittenOrNumber("a whole number, or a range"),
            "count = \"1..2\"",
        ),
        key(
            "domain",
            "the nodes that share it: `kind=value`, or `kind` to draw one",
            Shape::Text,
            "domain = \"power=A\"",
        ),
        key(
            "fraction",
            "with `domain`: how much of it",
            Shape::WrittenOrNumber("a number from 0 to 1, or a range"),
            "fraction = \"0.2..0.5\"",
        ),
        key("leader-of", "whoever leads when it begins", Shape::Text, "leader-of = \"queue\""),
        key(
            "any",
            "so many nodes, drawn",
            Shape::WrittenOrNumber("a whole number, or a range"),
            "any = \"1..3\"",
        ),
        key(
            "target",
            "`any`: a node, a role or a domain, drawn",
            Shape::Choice(vec!["any".to_owned()]),
            "target = \"any\"",
        ),
    ]
}

fn field(field: &Field) -> Key {
    let shape = match field.kind {
        FieldKind::Duration => Shape::Written("a duration, a range, or `any`"),
        FieldKind::SignedDuration => Shape::Written("a duration with or without a minus, a range, or `any`"),
        FieldKind::Number(_, _) => Shape::WrittenOrNumber("a number, a range such as `0.1..0.5`, or `any`"),
        FieldKind::Flag => Shape::Either(vec![Shape::Flag, Shape::Choice(vec!["any".to_owned()])]),
    };
    let one = key(field.name, field.why, shape, field.example);
    match field.default {
        None => one.needed(),
        Some(FieldValue::Duration(range)) => one.or(duration_text::format(range.least)),
        Some(FieldValue::SignedDuration(range)) => one.or(format!("{}ns", range.least)),
        Some(FieldValue::Number(range)) => one.or(range.least.to_string()),
        Some(FieldValue::Flag(flag)) => one.or(flag.to_string()),
    }
}

fn expect() -> Shape {
    let law = |law: &str| {
        let verdict = Shape::Written("a verdict, or several such as `held | violated`");
        key(law, "what this law is expected to say", verdict, &format!("{law} = \"violated\"")).or("held")
    };
    Shape::Table(Expectation::laws().map(law).collect())
}

fn objectives() -> Vec<Key> {
    let duration = || Shape::Written("a duration");
    let share = || Shape::Number(0.0, 1.0);
    vec![
        key("window", "how long a window is", duration(), "window = \"10s\"").or("10s"),
        key(
            "availability",
            "in every window, the least share of requests that are answered well",
            share(),
            "availability = 0.99",
        ),
        key(
            "latency",
            "in every window, 99 of 100 good answers take no longer",
            duration(),
            "latency = \"2s\"",
        ),
        key(
            "error-budget",
            "of the whole run's requests, the share that may fail",
            share(),
            "error-budget = 0.01",
        ),
        key(
            "recovery",
            "so long after a fault has ended nobody notices it any more",
            duration(),
            "recovery = \"10s\"",
        ),
        key("blast-radius", "the share of customers that one cause may hurt", share(), "blast-radius = 0.2"),
        key(
            "fairness",
            "where requests fail, each customer's share of good answers, in parts of what all have",
            share(),
            "fairness = 0.5",
        ),
    ]
}
