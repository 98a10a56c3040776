//! Scenarios: TOML files with a topology, a workload, faults with choices still open, and what is expected.

mod cause;
mod faults;
mod nodes;
mod overlay;
mod topology;

pub use cause::When;
pub(crate) use faults::ANY;
pub use faults::{FaultSpec, Harm, Injection, Targets};
pub(crate) use nodes::{CORES_MAX, DRIFT_MAX, MEMORY_MAX_BYTES, NODES_MAX, check_kind, expand};
pub use nodes::{Placement, RoleChange, RoleNodes};
pub(crate) use overlay::overlay;
pub use topology::{events_injection, topology};

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::error::ScenarioError;
use crate::expectation::Expectation;
use crate::section::{self, Log, Section, unknown};
use crate::value::{self, Wrong};
use sim::plan::{Arrivals, DiskPlan, NetworkPlan, NodePlan, Objectives, Step, Workload};
use sim::stack::Stack;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::DeValue;

/// The longest run that a file may ask for: ten years, in nanoseconds.
pub(crate) const DURATION_MAX_NS: u64 = 3_650 * 86_400 * 1_000_000_000;
/// The most clients that a file may ask for.
pub(crate) const CLIENTS_MAX: u64 = 1_000_000;
/// The most requests a second that a file may ask for.
pub(crate) const RATE_MAX_PER_S: f64 = 1e6;
/// The most requests of a whole run: each takes memory before it is made.
const REQUESTS_MAX: f64 = 1e9;
/// The most bytes that a file may have each byte stand for.
pub(crate) const BYTE_SCALE_MAX: u64 = 1 << 20;
const DRAIN_NS: u64 = 60_000_000_000;

/// An experiment: what a plan is drawn from.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name, `area/name`.
    pub name: String,
    /// What it shows, in a sentence or two.
    pub why: String,
    /// How long load and faults last.
    pub duration_ns: u64,
    /// How long the healed stack may take to drain.
    pub drain_ns: u64,
    /// The nodes by role, in order: the stack's roles, then clients.
    pub nodes: Vec<RoleNodes>,
    /// What clients ask for.
    pub workload: Workload,
    /// The network without faults.
    pub network: NetworkPlan,
    /// The disks without faults.
    pub disk: DiskPlan,
    /// How many bytes each byte of the stack stands for.
    pub byte_scale: u32,
    /// The stack's settings that differ from their defaults.
    pub settings: BTreeMap<String, String>,
    /// The faults.
    pub faults: Vec<FaultSpec>,
    /// What laws are expected to say; those not named are expected to hold.
    pub expect: BTreeMap<String, Expectation>,
    /// What the service promises its customers.
    pub objectives: Objectives,
    /// The same experiment with something changed.
    pub variants: Vec<Variant>,
}

/// A scenario with something changed, mostly a safeguard turned off.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub why: String,
    /// Settings that it changes.
    pub settings: BTreeMap<String, String>,
    /// Nodes that it changes, by role.
    pub nodes: BTreeMap<String, RoleChange>,
    /// Expectations that it changes.
    pub expect: BTreeMap<String, Expectation>,
}

impl Scenario {
    /// Reads a scenario for `stack`; `origin` names the file in messages.
    ///
    /// # Errors
    /// All that is wrong with it, at once.
    pub fn parse(source: &[u8], origin: &str, stack: &dyn Stack) -> Result<Self, ScenarioError> {
        let source = text_of(source, origin)?;
        let log = Log::default();
        let table = section::parse(source, &log);
        // What syntax errors leave of a file would only add noise.
        let readable = log.is_empty();
        let root = Section::root(table.get_ref(), "a scenario", &log);
        let scenario = if readable { read(&root, stack) } else { None };
        match scenario {
            Some(scenario) if log.is_empty() => Ok(scenario),
            _ => Err(Diagnostics::new(origin, source, log.into_problems()).into()),
        }
    }

    /// The variant called `name`.
    pub fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    /// The nodes by role with the changes of `variant`.
    pub fn nodes_of(&self, variant: Option<&Variant>) -> Vec<RoleNodes> {
        let change = |role: &RoleNodes| {
            let change = variant.and_then(|variant| variant.nodes.get(&role.role));
            change.map_or_else(|| role.clone(), |change| change.apply(role))
        };
        self.nodes.iter().map(change).collect()
    }
}

/// The file as text.
pub(crate) fn text_of<'a>(source: &'a [u8], origin: &str) -> Result<&'a str, ScenarioError> {
    std::str::from_utf8(source).map_err(|error| {
        let readable = String::from_utf8_lossy(&source[..error.valid_up_to()]);
        let at = readable.len();
        let problem = Diagnostic::new(at..at, "this is not UTF-8", "the text ends here");
        Diagnostics::new(origin, readable, vec![problem]).into()
    })
}

fn read(root: &Section<'_>, stack: &dyn Stack) -> Option<Scenario> {
    let name = root.need("name", "name = \"area/what-happens\"", value::text);
    let why = root.need("why", "why = \"what this shows, in a sentence\"", value::text);
    let duration = root.need("duration", "duration = \"120s\"", value::duration(1, DURATION_MAX_NS));
    let drain = root.get("drain", value::duration(0, DURATION_MAX_NS));
    let changes = nodes::changes(root, stack);
    let nodes = nodes::of_stack(stack, &changes);
    let workload = workload(root, duration.as_ref().map(|duration| *duration.get_ref()));
    let network = root.section("network", "the network").map(|section| overlay(&section, false));
    let disk = root.section("disk", "the disk").map(|section| overlay(&section, false));
    let byte_scale = byte_scale(root);
    let settings = settings(root, "settings", stack);
    let expect = expectations(root);
    let objectives = objectives(root);
    let variants = variants(root, "variant", stack);
    let worlds = worlds(&nodes, &variants);
    check_worlds(root, &worlds, workload.as_ref().map_or(0, |workload| workload.clients));
    let faults = faults::read(root, duration.as_ref().map(|duration| *duration.get_ref()), &worlds);
    root.finish();
    let workload = workload?;
    Some(Scenario {
        name: name?.into_inner(),
        why: why?.into_inner(),
        duration_ns: duration?.into_inner(),
        drain_ns: drain.map_or(DRAIN_NS, Spanned::into_inner),
        nodes,
        workload,
        network: network.unwrap_or_else(|| Some(NetworkPlan::default()))?,
        disk: disk.unwrap_or_else(|| Some(DiskPlan::default()))?,
        byte_scale,
        settings,
        faults,
        expect,
        objectives,
        variants,
    })
}

/// The nodes of the scenario and of each of its variants.
fn worlds(nodes: &[RoleNodes], variants: &[Variant]) -> Vec<World> {
    let changed = variants.iter().map(|variant| {
        let change = |role: &RoleNodes| match variant.nodes.get(&role.role) {
            Some(change) => change.apply(role),
            None => role.clone(),
        };
        let nodes = nodes::expand(&nodes.iter().map(change).collect::<Vec<_>>(), 0);
        World { nodes, variant: Some(variant.name.clone()) }
    });
    std::iter::once(World { nodes: nodes::expand(nodes, 0), variant: None }).chain(changed).collect()
}

/// The nodes that faults must be able to hit.
struct World {
    nodes: Vec<NodePlan>,
    variant: Option<String>,
}

fn check_worlds(root: &Section<'_>, worlds: &[World], clients: u32) {
    for World { nodes, .. } in worlds {
        let most = usize::try_from(NODES_MAX).unwrap_or(usize::MAX);
        if nodes.len() > most {
            let title = format!("{} nodes are too many: at most {NODES_MAX}", nodes.len());
            root.log.push(Diagnostic::of_file(title));
        }
        if clients > 0 && !nodes.iter().any(NodePlan::is_client) {
            let problem = Diagnostic::of_file("there are clients and no node that they could be on");
            root.log.push(problem.help("`nodes.client.count` must be at least 1"));
        }
    }
}

fn workload(root: &Section<'_>, duration_ns: Option<u64>) -> Option<Workload> {
    let Some(section) = root.section("workload", "the workload") else {
        if root.raw("workload").is_none() {
            root.missing("workload", "workload = { clients = 10, rate = \"50/s\" }");
        }
        return None;
    };
    let clients = section.need("clients", "clients = 10", value::whole(0, CLIENTS_MAX));
    let rate = section.need("rate", "rate = \"50/s\"", value::rate(RATE_MAX_PER_S));
    if let (Some(rate), Some(duration_ns)) = (&rate, duration_ns) {
        check_requests(&section, rate, duration_ns);
    }
    let arrivals = arrivals(&section);
    let steps = steps(&section, duration_ns, |step| {
        step.need("rate", "rate = \"80/s\"", value::rate(RATE_MAX_PER_S))
    });
    section.finish();
    let clients = u32::try_from(clients?.into_inner()).expect("at most a million");
    Some(Workload { clients, rate_per_s: rate?.into_inner(), arrivals, only: None, steps })
}

/// When the requests of a scenario's or a plan's workload come.
pub(crate) fn arrivals(workload: &Section<'_>) -> Arrivals {
    let read = |value: &DeValue<'_>| {
        let name = value::text(value)?;
        let found = Arrivals::NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, arrivals)| *arrivals).ok_or_else(|| Wrong::expected("`poisson` or `even`"))
    };
    workload.get("arrivals", read).map(Spanned::into_inner).unwrap_or_default()
}

/// The steps of a scenario's or a plan's workload, which name their rates differently.
pub(crate) fn steps(
    workload: &Section<'_>,
    duration_ns: Option<u64>,
    rate: impl Fn(&Section<'_>) -> Option<Spanned<f64>>,
) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for section in workload.sections("step", "a step") {
        let at = section.need("at", "at = \"30s\"", value::duration(0, DURATION_MAX_NS));
        let rate = rate(&section);
        section.finish();
        let (Some(at), Some(rate)) = (at, rate) else { continue };
        if let Some(duration_ns) = duration_ns {
            check_requests(&section, &rate, duration_ns);
        }
        let at_ns = *at.get_ref();
        if let Some(before) = steps.last().filter(|before| before.at_ns >= at_ns) {
            let label = format!("the one before is at {}", sim::duration_text::format(before.at_ns));
            section.log.push(Diagnostic::new(at.span(), "steps go in order of time", label));
        }
        steps.push(Step { at_ns, rate_per_s: rate.into_inner() });
    }
    steps
}

/// Refuses more requests than a machine can hold.
pub(crate) fn check_requests(section: &Section<'_>, rate: &Spanned<f64>, duration_ns: u64) {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let requests = *rate.get_ref() * (duration_ns as f64 / 1e9);
    if requests > REQUESTS_MAX {
        let label = format!("{requests:.0} requests in the whole run");
        let problem = Diagnostic::new(rate.span(), "too many requests", label);
        section.log.push(problem.help(format!("at most {REQUESTS_MAX:.0}: lower the rate or the duration")));
    }
}

/// How many bytes each byte of a scenario's or a plan's stack stands for.
pub(crate) fn byte_scale(root: &Section<'_>) -> u32 {
    let scale = root.get("byte-scale", value::whole(1, BYTE_SCALE_MAX));
    scale.map_or(1, |scale| u32::try_from(scale.into_inner()).expect("bounded when it was read"))
}

/// The settings at `key`, checked against the stack's. `"queue.lease" = …` and `queue.lease = …` are the same.
pub(crate) fn settings(section: &Section<'_>, key: &str, stack: &dyn Stack) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    if let Some(inner) = section.section(key, "the settings") {
        read_settings(&inner, "", stack, &mut settings);
    }
    settings
}

fn read_settings(
    section: &Section<'_>,
    prefix: &str,
    stack: &dyn Stack,
    settings: &mut BTreeMap<String, String>,
) {
    for (key, value) in section.entries() {
        let name = format!("{prefix}{}", key.get_ref());
        let setting = stack.settings().iter().find(|setting| setting.name == name);
        if let (None, DeValue::Table(_)) = (setting, value.get_ref()) {
            let inner = section.table_of(&name, value, "the settings").expect("it is a table");
            read_settings(&inner, &format!("{name}."), stack, settings);
            continue;
        }
        let Some(setting) = setting else {
            let names = stack.settings().iter().map(|setting| setting.name);
            let of = format!("the stack `{}`", stack.name());
            section.log.push(unknown(key.span(), "setting", &name, &of, names));
            continue;
        };
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            _ => String::new(),
        };
        match setting.check(&text) {
            Ok(()) => drop(settings.insert(name, text)),
            Err(allowed) => section.wrong(&name, value, value::Wrong::expected(allowed)),
        }
    }
}

/// The expectations of a scenario, a variant or a plan.
pub(crate) fn expectations(section: &Section<'_>) -> BTreeMap<String, Expectation> {
    let Some(inner) = section.section("expect", "the expectations") else { return BTreeMap::new() };
    let mut expect = BTreeMap::new();
    for (law, value) in inner.entries() {
        if !Expectation::laws().any(|known| known == *law.get_ref()) {
            let problem = unknown(law.span(), "law", law.get_ref(), "hogwash", Expectation::laws());
            section.log.push(problem);
            continue;
        }
        match value::text(value.get_ref()).ok().and_then(|text| text.parse().ok()) {
            Some(expected) => drop(expect.insert((*law.get_ref()).to_owned(), expected)),
            None => inner.wrong(law.get_ref(), value, Expectation::wrong()),
        }
    }
    expect
}

/// The objectives of a scenario or a plan: what the service promises its customers.
pub(crate) fn objectives(section: &Section<'_>) -> Objectives {
    let Some(inner) = section.section("objectives", "the objectives") else { return Objectives::default() };
    let duration = |key| inner.get(key, value::duration(1, DURATION_MAX_NS)).map(Spanned::into_inner);
    let share = |key| inner.get(key, value::number(0.0, 1.0)).map(Spanned::into_inner);
    let objectives = Objectives {
        window_ns: duration("window"),
        availability: share("availability"),
        latency_ns: duration("latency"),
        error_budget: share("error-budget"),
        recovery_ns: duration("recovery"),
        blast_radius: share("blast-radius"),
        fairness: share("fairness"),
    };
    inner.finish();
    objectives
}

/// The tables at `key` as variants of what the file is about.
pub fn variants(root: &Section<'_>, key: &str, stack: &dyn Stack) -> Vec<Variant> {
    let mut variants: Vec<Variant> = Vec::new();
    for section in root.sections(key, &format!("a {key}")) {
        let name = section.need("name", "name = \"what-is-off\"", value::text);
        let why = section.need("why", "why = \"what this shows\"", value::text);
        let settings = settings(&section, "set", stack);
        let nodes = nodes::changes(&section, stack);
        let expect = expectations(&section);
        if let Some(name) = &name
            && variants.iter().any(|variant| variant.name == *name.get_ref())
        {
            let title = format!("two {key}s are called `{}`", name.get_ref());
            root.log.push(Diagnostic::new(name.span(), title, format!("taken by a {key} above")));
        }
        section.finish();
        if let (Some(name), Some(why)) = (name, why) {
            let (name, why) = (name.into_inner(), why.into_inner());
            variants.push(Variant { name, why, settings, nodes, expect });
        }
    }
    variants
}
