//! Review files: claims, a topology, initiating events with their frequencies and sources, a horizon, mitigations.
//!
//! Read as scenario files are: all problems at once, each with its place and the way out; unknown keys are refused.

mod event;

pub use event::{Event, Lasting, Place, Rate};

use scenarios::ScenarioError;
use scenarios::diagnostics::{Diagnostic, Diagnostics};
use scenarios::scenario::{self, Scenario, Variant};
use scenarios::section::{self, Log, Section};
use scenarios::value::{self, Wrong};
use sim::plan::NodePlan;
use sim::stack::Stack;
use std::collections::BTreeSet;
use std::path::Path;
use toml::Spanned;
use toml::de::DeValue;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;
/// A hundred years.
const HORIZON_MAX_NS: u64 = 100 * 8_766 * HOUR;
/// The longest simulated run that an event may ask for.
const RUN_MAX_NS: u64 = 24 * HOUR;
/// The most seeds of one event.
const SEEDS_MAX: u64 = 1_000_000;
/// The most nodes of one role that a claim can be about: every number of them that is down is a stratum.
const REPLICAS_MAX: u32 = 32;
/// With fewer requests a second, a second's worth does not tell up from down.
const RATE_MIN_PER_S: f64 = 4.0;

/// A review: what is claimed of a stack, and what may happen to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Review {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub why: String,
    /// How long is looked ahead, in hours.
    pub horizon_hours: f64,
    /// The confidence of every interval.
    pub confidence: f64,
    /// Seeds of each event.
    pub seeds: u64,
    /// The first seed.
    pub base: u64,
    /// How runs are made.
    pub run: Run,
    /// The world, without faults.
    pub topology: Scenario,
    /// What is claimed.
    pub claims: Vec<Claim>,
    /// What happens.
    pub events: Vec<Event>,
    /// What might help.
    pub mitigations: Vec<Variant>,
    /// Seeds of each event and mitigation.
    pub mitigation_seeds: u64,
    /// Whether mitigations are tried two by two as well.
    pub combinations: bool,
    /// The floor: seeds of each event and number of replicas; none where it was not asked for.
    pub floor_seeds: Option<u64>,
    /// The largest number of replicas of the floor.
    pub floor_replicas: u32,
    /// Seeds of each candidate of a minimal set; none where they were not asked for.
    pub set_seeds: Option<u64>,
    /// What production has shown so far.
    pub production: Option<Production>,
}

/// How the runs of a review are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// When an event's faults begin.
    pub at_ns: u64,
    /// How long they last in simulated time at most: what lasts longer is extrapolated.
    pub fault_ns: u64,
    /// How long is looked on after them.
    pub after_ns: u64,
    /// How long the healed stack may take to drain.
    pub drain_ns: u64,
    /// A request that is not acknowledged within this is not served.
    pub served_within_ns: u64,
    /// The service is down in a second in which a smaller share of the requests was served.
    pub down_below: f64,
}

impl Run {
    /// How long load lasts.
    pub fn duration_ns(&self) -> u64 {
        self.at_ns + self.fault_ns + self.after_ns
    }
}

/// A sentence of the form "N replicas, each fails with P, so P^N < R".
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub measure: Measure,
    /// The role whose nodes are the replicas.
    pub role: String,
    /// How many of them must fail together.
    pub failures: u32,
    /// R: the probability of a loss within the horizon, or the share of time down.
    pub target: f64,
    /// P as the claim states it: the share of time that one node is down; derived from the events where not given.
    pub node_unavailability: Option<f64>,
    /// Who claims it.
    pub source: Option<String>,
}

/// What a claim is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// The probability that an acknowledged request is lost within the horizon.
    Loss,
    /// The share of time that the service is down.
    Downtime,
}

/// Hours of production and what was seen in them.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Production {
    /// Hours watched.
    pub hours: f64,
    /// Losses seen in them.
    pub losses: u64,
    /// Outages seen in them.
    pub outages: u64,
    /// How long these lasted, all together, in hours.
    pub down_hours: Option<f64>,
    /// Where the figures come from.
    pub source: String,
}

impl Review {
    /// Reads a review of `stack`; `origin` is the file's path: scenarios are looked for beside it.
    ///
    /// # Errors
    /// All that is wrong with it, at once.
    pub fn parse(source: &[u8], origin: &str, stack: &dyn Stack) -> Result<Self, ScenarioError> {
        let source = std::str::from_utf8(source).map_err(|_| {
            ScenarioError::from(Diagnostics::new(origin, "", vec![Diagnostic::of_file("this is not UTF-8")]))
        })?;
        let log = Log::default();
        let table = section::parse(source, &log);
        // What syntax errors leave of a file would only add noise.
        let readable = log.is_empty();
        let root = Section::root(table.get_ref(), "a review", &log);
        let review = if readable { read(&root, origin, stack) } else { None };
        match review {
            Some(review) if log.is_empty() => Ok(review),
            _ => Err(Diagnostics::new(origin, source, log.into_problems()).into()),
        }
    }

    /// The worlds in which every event must be possible: as it is, and with each mitigation.
    fn worlds(topology: &Scenario, mitigations: &[Variant]) -> Vec<(Option<String>, Vec<NodePlan>)> {
        let changed =
            mitigations.iter().map(|change| (Some(change.name.clone()), topology.with(change).plan_nodes()));
        std::iter::once((None, topology.plan_nodes())).chain(changed).collect()
    }
}

fn read(root: &Section<'_>, origin: &str, stack: &dyn Stack) -> Option<Review> {
    let name = root.need("name", "name = \"region\"", value::text);
    let why = root.need("why", "why = \"what is to be decided, in a sentence\"", value::text);
    let horizon = root.need("horizon", "horizon = \"365d\"", value::duration(HOUR, HORIZON_MAX_NS));
    let confidence = root.get("confidence", value::number(0.5, 0.999_999));
    let seeds = root.need("seeds", "seeds = 40", value::whole(1, SEEDS_MAX));
    let base = root.get("first-seed", value::whole(0, u64::MAX));
    let run = run(root);
    let topology = topology(root, origin, stack);
    let mitigations = scenario::variants(root, "mitigation", stack);
    let seeds_of_mitigations = root.get("mitigation-seeds", value::whole(2, SEEDS_MAX));
    let combinations = root.get("combinations", value::flag);
    let floor = floor(root);
    let sets = root.section("minimal-sets", "the minimal sets");
    let set_seeds = sets.and_then(|section| {
        let seeds = section.need("seeds", "seeds = 2", value::whole(1, SEEDS_MAX));
        section.finish();
        seeds
    });
    let production = production(root);
    let worlds = topology.as_ref().map(|topology| Review::worlds(topology, &mitigations));
    let events = event::read(root, worlds.as_deref());
    let claims = claims(root, topology.as_ref());
    root.finish();
    let seeds = seeds?.into_inner();
    Some(Review {
        name: name?.into_inner(),
        why: why?.into_inner(),
        horizon_hours: event::hours(horizon?.into_inner()),
        confidence: confidence.map_or(0.95, Spanned::into_inner),
        seeds,
        base: base.map_or(0, Spanned::into_inner),
        run,
        topology: topology?,
        claims,
        events,
        mitigations,
        mitigation_seeds: seeds_of_mitigations.map_or(seeds.max(2), Spanned::into_inner),
        combinations: combinations.is_some_and(Spanned::into_inner),
        floor_seeds: floor.map(|(seeds, _)| seeds),
        floor_replicas: floor.map_or(0, |(_, replicas)| replicas),
        set_seeds: set_seeds.map(Spanned::into_inner),
        production,
    })
}

fn run(root: &Section<'_>) -> Run {
    let default = Run {
        at_ns: 10 * SECOND,
        fault_ns: 20 * SECOND,
        after_ns: 30 * SECOND,
        drain_ns: 60 * SECOND,
        served_within_ns: 2 * SECOND,
        down_below: 0.5,
    };
    let Some(section) = root.section("run", "the run") else { return default };
    let duration = |key: &str, least, otherwise| {
        section.get(key, value::duration(least, RUN_MAX_NS)).map_or(otherwise, Spanned::into_inner)
    };
    let run = Run {
        // The stack elects a leader first.
        at_ns: duration("at", 2 * SECOND, default.at_ns),
        // Its two halves are told apart, second by second.
        fault_ns: duration("fault", 4 * SECOND, default.fault_ns),
        after_ns: duration("after", SECOND, default.after_ns),
        drain_ns: duration("drain", SECOND, default.drain_ns),
        served_within_ns: duration("served-within", 1_000_000, default.served_within_ns),
        down_below: section
            .get("down-below", value::number(0.001, 1.0))
            .map_or(default.down_below, Spanned::into_inner),
    };
    if run.fault_ns / 2 < run.served_within_ns + SECOND {
        let title = "the fault is too short for how long a request may take";
        let place = section.place.clone().unwrap_or_default();
        let problem =
            Diagnostic::new(place, title, "its second half must be a second longer than `served-within`");
        section.log.push(problem.help("raise `fault`, or lower `served-within`"));
    }
    section.finish();
    run
}

fn topology(root: &Section<'_>, origin: &str, stack: &dyn Stack) -> Option<Scenario> {
    if root.raw("topology").is_none() {
        root.missing("topology", "topology = { scenario = \"steady/baseline\" }");
    }
    let section = root.section("topology", "the topology")?;
    let find = |name: &str| {
        let beside = Path::new(origin).parent().unwrap_or(Path::new("")).join(name);
        let path = if name.ends_with(".toml") { beside.display().to_string() } else { name.to_owned() };
        scenarios::library::find(&path, stack)
    };
    let topology = scenario::topology(&section, stack, &find)?;
    if topology.workload.rate_per_s < RATE_MIN_PER_S || topology.workload.clients == 0 {
        let title =
            format!("{} requests a second are too few to tell up from down", topology.workload.rate_per_s);
        let problem = Diagnostic::new(section.place.clone().unwrap_or_default(), title, "of this workload");
        section.log.push(problem.help(format!(
            "at least {RATE_MIN_PER_S}/s, as in `workload = {{ clients = 10, rate = \"20/s\" }}`"
        )));
    }
    Some(topology)
}

fn floor(root: &Section<'_>) -> Option<(u64, u32)> {
    let section = root.section("floor", "the floor")?;
    let seeds = section.need("seeds", "seeds = 4", value::whole(1, SEEDS_MAX));
    let replicas = section.get("replicas", value::whole(1, REPLICAS_MAX.into()));
    section.finish();
    let replicas = replicas.map_or(7, Spanned::into_inner);
    Some((seeds?.into_inner(), u32::try_from(replicas).unwrap_or(REPLICAS_MAX)))
}

fn production(root: &Section<'_>) -> Option<Production> {
    let section = root.section("production", "production")?;
    let hours = section.need("hours", "hours = 20000", above_zero(1e12));
    let losses = section.get("losses", value::whole(0, 1_000_000));
    let outages = section.get("outages", value::whole(0, 1_000_000));
    let down_hours = section.get("down-hours", above_zero(1e12));
    if let (Some(down), None | Some(0)) = (&down_hours, outages.as_ref().map(|outages| *outages.get_ref())) {
        let title = "hours of downtime without an outage";
        section.log.push(Diagnostic::new(down.span(), title, "of which outages?").help("add `outages = 2`"));
    }
    let source = section.need("source", "source = \"incidents.csv\"", value::text);
    section.finish();
    Some(Production {
        down_hours: down_hours.map(Spanned::into_inner),
        hours: hours?.into_inner(),
        losses: losses.map_or(0, Spanned::into_inner),
        outages: outages.map_or(0, Spanned::into_inner),
        source: source?.into_inner(),
    })
}

fn claims(root: &Section<'_>, topology: Option<&Scenario>) -> Vec<Claim> {
    let sections = root.sections("claim", "a claim");
    if sections.is_empty() && root.raw("claim").is_none() {
        root.log.push(Diagnostic::of_file("a review needs at least one `[[claim]]`").help(
            "add `[[claim]]` with `name`, `measure = \"loss\"`, `role = \"queue\"`, `failures = 3` and `target = 1e-9`",
        ));
    }
    let mut names = BTreeSet::new();
    let mut claims = Vec::new();
    for section in sections {
        let claim = claim(&section, topology);
        section.finish();
        let Some(claim) = claim else { continue };
        if !names.insert(claim.name.clone()) {
            let place = section.place.clone().unwrap_or_default();
            let title = format!("two claims are called `{}`", claim.name);
            root.log.push(Diagnostic::new(place.start..place.start + 1, title, "taken by a claim above"));
        }
        claims.push(claim);
    }
    claims
}

fn claim(section: &Section<'_>, topology: Option<&Scenario>) -> Option<Claim> {
    let name = section.need("name", "name = \"three replicas lose nothing\"", value::text);
    let measure =
        section.need("measure", "measure = \"loss\"", |value| match value::text(value).as_deref() {
            Ok("loss") => Ok(Measure::Loss),
            Ok("downtime") => Ok(Measure::Downtime),
            _ => Err(Wrong::expected("`loss` or `downtime`")),
        });
    let role = section.need("role", "role = \"queue\"", value::text);
    let nodes = role.as_ref().zip(topology).and_then(|(role, topology)| nodes_of(section, role, topology));
    let most = nodes.unwrap_or(REPLICAS_MAX);
    let failures = section.need("failures", "failures = 3", value::whole(1, most.into()));
    // A target of 0 can be shown by nothing.
    let target = section.need("target", "target = 1e-9", above_zero(1.0));
    let node_unavailability = section.get("node-unavailability", value::number(0.0, 1.0));
    let source = section.get("source", value::text);
    Some(Claim {
        name: name?.into_inner(),
        measure: measure?.into_inner(),
        role: role?.into_inner(),
        failures: u32::try_from(failures?.into_inner()).unwrap_or(REPLICAS_MAX),
        target: target?.into_inner(),
        node_unavailability: node_unavailability.map(Spanned::into_inner),
        source: source.map(Spanned::into_inner),
    })
}

/// A number above 0 that can be divided by.
fn above_zero(most: f64) -> impl Fn(&DeValue<'_>) -> Result<f64, Wrong> {
    move |value| {
        let inside = value::number(f64::MIN_POSITIVE, most)(value);
        inside.map_err(|_| Wrong::expected(format!("a number above 0, at most {most}")))
    }
}

/// How many nodes of the claim's role there are.
fn nodes_of(section: &Section<'_>, role: &Spanned<String>, topology: &Scenario) -> Option<u32> {
    let roles = || topology.nodes.iter().map(|nodes| nodes.role.as_str());
    let Some(nodes) = topology.nodes.iter().find(|nodes| nodes.role == *role.get_ref()) else {
        section.log.push(section::unknown(role.span(), "role", role.get_ref(), "the topology", roles()));
        return None;
    };
    if nodes.count == 0 || nodes.count > REPLICAS_MAX {
        let title = format!("a claim about {} nodes of role `{}`", nodes.count, role.get_ref());
        let problem = Diagnostic::new(role.span(), title, format!("1 to {REPLICAS_MAX} can be reviewed"));
        section.log.push(problem);
        return None;
    }
    Some(nodes.count)
}
