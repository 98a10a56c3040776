//! From a scenario, a variant and a seed to a plan: every choice made.

use crate::diagnostics::{nearest, one_of};
use crate::error::ScenarioError;
use crate::kinds::{FieldValue, Kind};
use crate::scenario::{FaultSpec, Harm, Injection, Scenario, Targets, Variant, When};
use crate::target::{Resolved, Target, draw_duration, draw_number, draw_whole};
use crate::value::Between;
use serde::Deserialize as _;
use sim::fault::{After, Fault, Inject};
use sim::plan::{NodePlan, PLAN_VERSION, Plan};
use sim::rng::Stream;
use sim::stack::Stack;

/// Makes every choice of `scenario`: the same arguments give the same plan on every machine.
///
/// Each fault draws from streams of its own (`faults/NAME/…`), so taking one away leaves the others as they were.
///
/// # Errors
/// Where there is no such variant, or an override (`--set key=value`) is no setting of the stack.
pub fn plan(
    scenario: &Scenario,
    stack: &dyn Stack,
    variant: Option<&str>,
    seed: u64,
    overrides: &[(String, String)],
) -> Result<Plan, ScenarioError> {
    let variant = variant.map(|name| find_variant(scenario, name)).transpose()?;
    let mut settings = scenario.settings.clone();
    let mut expect = scenario.expect.clone();
    if let Some(variant) = variant {
        settings.extend(variant.settings.clone());
        expect.extend(variant.expect.clone());
    }
    for (name, value) in overrides {
        check_override(stack, name, value)?;
        settings.insert(name.clone(), value.clone());
    }
    let nodes = crate::scenario::expand(&scenario.nodes_of(variant), seed);
    let faults = scenario.faults.iter().flat_map(|fault| draw(fault, &nodes, scenario.duration_ns, seed));
    Ok(Plan {
        version: PLAN_VERSION,
        stack: stack.name().to_owned(),
        scenario: scenario.name.clone(),
        variant: variant.map(|variant| variant.name.clone()),
        seed,
        duration_ns: scenario.duration_ns,
        drain_ns: scenario.drain_ns,
        expect: expect.into_iter().map(|(law, expected)| (law, expected.to_string())).collect(),
        objectives: scenario.objectives,
        settings,
        workload: scenario.workload.clone(),
        network: scenario.network.clone(),
        disk: scenario.disk.clone(),
        byte_scale: scenario.byte_scale,
        faults: faults.collect(),
        nodes,
    })
}

fn find_variant<'a>(scenario: &'a Scenario, name: &str) -> Result<&'a Variant, ScenarioError> {
    scenario.variant(name).ok_or_else(|| {
        let names: Vec<&str> = scenario.variants.iter().map(|variant| variant.name.as_str()).collect();
        let hint = if names.is_empty() {
            format!(": `{}` has no variants", scenario.name)
        } else {
            format!(": `{}` has {}", scenario.name, one_of(names))
        };
        ScenarioError::Unknown { sort: "variant", name: name.to_owned(), hint }
    })
}

fn check_override(stack: &dyn Stack, name: &str, value: &str) -> Result<(), ScenarioError> {
    let wrong = |reason| ScenarioError::Set { argument: format!("{name}={value}"), reason };
    let names = || stack.settings().iter().map(|setting| setting.name);
    let setting = stack.settings().iter().find(|setting| setting.name == name).ok_or_else(|| {
        let near = nearest(name, names()).map(|near| format!("; did you mean `{near}`?"));
        wrong(format!(
            "the stack `{}` has no setting `{name}`{}",
            stack.name(),
            near.unwrap_or_else(|| format!(", it has {}", one_of(names())))
        ))
    })?;
    setting.check(value).map_err(|allowed| wrong(format!("`{name}` must be {allowed}")))
}

/// The fault with its choices made, as often as chance has it take place.
fn draw(fault: &FaultSpec, nodes: &[NodePlan], duration_ns: u64, seed: u64) -> Vec<Fault> {
    let stream = |what: &str| Stream::named(seed, &format!("faults/{}/{what}", fault.name));
    if !stream("chance").chance(fault.chance) {
        return Vec::new();
    }
    let times = draw_whole(&fault.times, &mut stream("times"));
    (1..=times).map(|time| draw_one(fault, fault_name(fault, time), nodes, duration_ns, seed)).collect()
}

/// What the fault is called that is the `time`-th of its block, counting from 1.
pub(crate) fn fault_name(fault: &FaultSpec, time: u64) -> String {
    match fault.times.fixed() {
        Some(1) => fault.name.clone(),
        _ => format!("{}.{time}", fault.name),
    }
}

fn draw_one(fault: &FaultSpec, name: String, nodes: &[NodePlan], duration_ns: u64, seed: u64) -> Fault {
    let stream = |what: &str| Stream::named(seed, &format!("faults/{name}/{what}"));
    let length_ns = draw_duration(&fault.length_ns, &mut stream("for")).max(1);
    let (inject, shared) = match &fault.harm {
        Harm::One(injection) => inject(injection, nodes, stream),
        Harm::Open(kinds) => {
            let mixed = mix(kinds, |kind| Stream::named(seed, &format!("faults/{}/mix/{kind}", fault.name)));
            let kind = *stream("kind").pick(&mixed).expect("a mix has a kind");
            inject(&Injection::open(kind), nodes, stream)
        }
    };
    let (start_ns, end_ns, after) = match &fault.when {
        When::At(at_ns) => {
            let start_ns = draw_duration(at_ns, &mut stream("at"));
            // The run's end heals everything, so no fault may last longer.
            (start_ns, start_ns.saturating_add(length_ns).min(duration_ns), None)
        }
        When::After { event, delay_ns } => {
            let delay_ns = draw_duration(delay_ns, &mut stream("delay"));
            (0, duration_ns, Some(After { event: event.clone(), delay_ns, length_ns }))
        }
    };
    Fault { name, start_ns, end_ns, after, shared, inject }
}

/// The kinds that a seed leaves on: each with a chance of a half, all where that leaves none.
fn mix(kinds: &[&'static Kind], stream: impl Fn(&str) -> Stream) -> Vec<&'static Kind> {
    let on: Vec<&'static Kind> = kinds.iter().copied().filter(|kind| stream(kind.word).chance(0.5)).collect();
    if on.is_empty() { kinds.to_vec() } else { on }
}

fn inject(
    injection: &Injection,
    nodes: &[NodePlan],
    stream: impl Fn(&str) -> Stream,
) -> (Inject, Option<String>) {
    let mut table = toml::Table::new();
    for (name, value) in &injection.fields {
        let drawn = draw_field(value, &mut stream(name));
        table.insert((*name).to_owned(), drawn.to_toml());
    }
    let mut shared = None;
    let mut side = |key: &str, targets: &[Target]| {
        let mut names: Vec<String> = Vec::new();
        for (place, target) in targets.iter().enumerate() {
            let found: Resolved = target.resolve(nodes, |what| stream(&format!("{key}/{place}/{what}")));
            shared = shared.take().or(found.shared);
            names.extend(found.nodes.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
        }
        let names = names.into_iter().map(toml::Value::String).collect();
        table.insert(key.to_owned(), toml::Value::Array(names));
    };
    match &injection.targets {
        Targets::On(target) => side("nodes", std::slice::from_ref(target)),
        Targets::Between { from, to } => {
            side("from", from);
            side("to", to);
        }
    }
    (inject_of(injection.kind, table), shared)
}

/// The fault of `sim` with this word and these fields, which were checked against its row in [`crate::kinds`].
pub(crate) fn inject_of(word: &str, fields: toml::Table) -> Inject {
    let tagged = [(word.to_owned(), toml::Value::Table(fields))].into_iter().collect();
    Inject::deserialize(toml::Value::Table(tagged)).expect("a test holds every row against sim's faults")
}

fn draw_field(value: &FieldValue, stream: &mut Stream) -> FieldValue {
    match value {
        FieldValue::Duration(range) => FieldValue::Duration(Between::exactly(draw_duration(range, stream))),
        FieldValue::SignedDuration(range) => {
            FieldValue::SignedDuration(Between::exactly(draw_signed(range, stream)))
        }
        FieldValue::Number(range) => FieldValue::Number(Between::exactly(draw_number(range, stream))),
        FieldValue::Flag(flag) => FieldValue::Flag(*flag),
    }
}

/// A signed duration of `range`, as readable as [`draw_duration`] has it.
pub(crate) fn draw_signed(range: &Between<i64>, stream: &mut Stream) -> i64 {
    let width = range.most.abs_diff(range.least);
    range.least.saturating_add_unsigned(draw_duration(&Between { least: 0, most: width }, stream))
}
