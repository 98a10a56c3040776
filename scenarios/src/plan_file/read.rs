//! Reading plans: nothing is taken on trust, since people edit them and other versions write them.

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::error::ScenarioError;
use crate::kinds::{self, Hits};
use crate::planner::inject_of;
use crate::scenario::{
    CLIENTS_MAX, CORES_MAX, DRIFT_MAX, DURATION_MAX_NS, MEMORY_MAX_BYTES, NODES_MAX, RATE_MAX_PER_S,
    arrivals, byte_scale, check_kind, check_requests, expectations, objectives, overlay, settings, steps,
    text_of,
};
use crate::section::{self, Log, Section, unknown};
use crate::target::{check_planned, check_role};
use crate::value::{self, Wrong};
use serde::Deserialize as _;
use sim::duration_text;
use sim::fault::{After, Cause, Fault, Inject, WHERE_IT_HAPPENED};
use sim::plan::{CLIENT_ROLE, NodePlan, PLAN_VERSION, Plan, Workload};
use sim::stack::Stack;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::DeValue;

/// Reads the plan of a file for `stack`; `origin` names the file in messages.
///
/// # Errors
/// All that is wrong with it, at once; of a plan of another version or stack, only that.
pub fn read(source: &[u8], origin: &str, stack: &dyn Stack) -> Result<Plan, ScenarioError> {
    let source = text_of(source, origin)?;
    let log = Log::default();
    let table = section::parse(source, &log);
    let root = Section::root(table.get_ref(), "a plan", &log);
    let plan = if log.is_empty() && is_for(&root, stack) { plan(&root, stack) } else { None };
    match plan {
        Some(plan) if log.is_empty() => Ok(plan),
        _ => Err(Diagnostics::new(origin, source, log.into_problems()).into()),
    }
}

/// Whether the plan is of our version and for `stack`; otherwise says why it cannot be read.
fn is_for(root: &Section<'_>, stack: &dyn Stack) -> bool {
    let version = root.need("version", "version = 1", value::whole(0, u64::MAX));
    let name = root.need("stack", &format!("stack = \"{}\"", stack.name()), value::text);
    if let Some(version) = &version
        && *version.get_ref() != u64::from(PLAN_VERSION)
    {
        let given = version.get_ref();
        let title = format!("this plan is of version {given}");
        let label = format!("this hogwash reads version {PLAN_VERSION}");
        let help = "the same seed gives another run in another version: use the hogwash that wrote the plan, or draw a new one with `hogwash run`";
        root.log.push(Diagnostic::new(version.span(), title, label).help(help));
        return false;
    }
    if let Some(name) = &name
        && name.get_ref() != stack.name()
    {
        let title = format!("this plan is for the stack `{}`", name.get_ref());
        let label = format!("this program runs the stack `{}`", stack.name());
        root.log
            .push(Diagnostic::new(name.span(), title, label).help("run it with that stack's own program"));
        return false;
    }
    version.is_some() && name.is_some()
}

fn plan(root: &Section<'_>, stack: &dyn Stack) -> Option<Plan> {
    let scenario = root.need("scenario", "scenario = \"area/what-happens\"", value::text);
    let variant = root.get("variant", value::text);
    let seed = root.need("seed", "seed = 0", value::whole(0, u64::MAX));
    let duration = root.need("duration", "duration = \"120s\"", value::duration(1, DURATION_MAX_NS));
    let drain = root.need("drain", "drain = \"60s\"", value::duration(0, DURATION_MAX_NS));
    let expect = expectations(root);
    let objectives = objectives(root);
    let settings = settings(root, "settings", stack);
    let duration_ns = duration.as_ref().map(|duration| *duration.get_ref());
    let workload = workload(root, duration_ns);
    let network = part(root, "network", "the network").and_then(|section| overlay(&section, true));
    let disk = part(root, "disk", "the disk").and_then(|section| overlay(&section, true));
    let byte_scale = byte_scale(root);
    let nodes = nodes(root, stack);
    let faults = match (&nodes, duration_ns) {
        (Some(nodes), Some(duration_ns)) => faults(root, nodes, duration_ns),
        _ => {
            // Without its nodes, no target of a fault could be judged.
            root.raw("fault");
            None
        }
    };
    if let (Some(workload), Some(nodes)) = (&workload, &nodes)
        && workload.clients > 0
        && !nodes.iter().any(NodePlan::is_client)
    {
        let problem = Diagnostic::of_file("there are clients and no node that they could be on");
        root.log.push(problem.help("add a node with `role = \"client\"`, or set `workload.clients` to 0"));
    }
    root.finish();
    Some(Plan {
        version: PLAN_VERSION,
        stack: stack.name().to_owned(),
        scenario: scenario?.into_inner(),
        variant: variant.map(Spanned::into_inner),
        seed: seed?.into_inner(),
        duration_ns: duration_ns?,
        drain_ns: drain?.into_inner(),
        expect: expect.into_iter().map(|(law, expected)| (law, expected.to_string())).collect(),
        objectives,
        settings,
        workload: workload?,
        network: network?,
        disk: disk?,
        byte_scale,
        nodes: nodes?,
        faults: faults?,
    })
}

fn part<'a>(root: &Section<'a>, key: &str, what: &str) -> Option<Section<'a>> {
    if root.raw(key).is_none() {
        root.missing(key, &format!("[{key}]"));
    }
    root.section(key, what)
}

fn workload(root: &Section<'_>, duration_ns: Option<u64>) -> Option<Workload> {
    let section = part(root, "workload", "the workload")?;
    let clients = section.need("clients", "clients = 10", value::whole(0, CLIENTS_MAX));
    let rate = section.need("rate-per-s", "rate-per-s = 50.0", value::number(0.0, RATE_MAX_PER_S));
    let only = section.get("only", |value| {
        let texts = value::texts(value)?;
        match texts.iter().find(|text| sim::workload::parse_only(text).is_none()) {
            Some(_) => Err(Wrong::expected("operations such as `3.0-17` (client 3, its first 18) or `3.22`")),
            None => Ok(texts),
        }
    });
    if let (Some(rate), Some(duration_ns)) = (&rate, duration_ns) {
        check_requests(&section, rate, duration_ns);
    }
    let arrivals = arrivals(&section);
    let steps = steps(&section, duration_ns, |step| {
        step.need("rate-per-s", "rate-per-s = 80.0", value::number(0.0, RATE_MAX_PER_S))
    });
    section.finish();
    Some(Workload {
        clients: u32::try_from(clients?.into_inner()).expect("at most a million"),
        rate_per_s: rate?.into_inner(),
        arrivals,
        only: only.map(Spanned::into_inner),
        steps,
    })
}

fn nodes(root: &Section<'_>, stack: &dyn Stack) -> Option<Vec<NodePlan>> {
    let sections = root.sections("node", "a node");
    if sections.is_empty() {
        root.log.push(Diagnostic::of_file("a plan needs at least one node").help("add a `[[node]]`"));
    } else if u64::try_from(sections.len()).unwrap_or(u64::MAX) > NODES_MAX {
        let title = format!("{} nodes are too many: at most {NODES_MAX}", sections.len());
        root.log.push(Diagnostic::of_file(title));
        return None;
    }
    let mut taken: BTreeMap<String, ()> = BTreeMap::new();
    let mut nodes = Vec::new();
    let expected = sections.len();
    for section in sections {
        let name = section.need("name", "name = \"queue-1\"", node_name);
        if let Some(name) = &name
            && taken.insert(name.get_ref().clone(), ()).is_some()
        {
            let title = format!("two nodes are called `{}`", name.get_ref());
            root.log.push(Diagnostic::new(name.span(), title, "taken by a node above"));
        }
        nodes.extend(node(&section, name, stack));
    }
    (expected > 0 && nodes.len() == expected).then_some(nodes)
}

fn node(section: &Section<'_>, name: Option<Spanned<String>>, stack: &dyn Stack) -> Option<NodePlan> {
    let role = section.need("role", "role = \"queue\"", value::text);
    let roles = || stack.roles().iter().map(|role| role.name).chain([CLIENT_ROLE]);
    if let Some(role) = &role
        && !roles().any(|known| known == role.get_ref())
    {
        let of = format!("the stack `{}`", stack.name());
        section.log.push(unknown(role.span(), "role", role.get_ref(), &of, roles()));
    }
    let cores = section.need("cores", "cores = 8", value::whole(1, CORES_MAX));
    let memory =
        section.need("memory-bytes", "memory-bytes = 17179869184", value::bytes(1, MEMORY_MAX_BYTES));
    let domains = domains(section);
    let offset = section.need("clock-offset", "clock-offset = \"0s\"", |value| {
        let fixed = value::signed_durations(value)?.fixed();
        fixed.ok_or_else(|| Wrong::expected("one duration: a plan leaves no choice open"))
    });
    let drift = section.need(
        "clock-drift-parts-per-million",
        "clock-drift-parts-per-million = 0.0",
        value::number(-DRIFT_MAX, DRIFT_MAX),
    );
    section.finish();
    Some(NodePlan {
        name: name?.into_inner(),
        role: role?.into_inner(),
        cores: u32::try_from(cores?.into_inner()).expect("bounded when it was read"),
        memory_bytes: memory?.into_inner(),
        domains: domains?,
        clock_offset_ns: offset?.into_inner(),
        clock_drift_parts_per_million: drift?.into_inner(),
    })
}

fn node_name(value: &toml::de::DeValue<'_>) -> Result<String, Wrong> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let name = value::text(value)?;
    let fits = name.len() <= 64 && name.chars().all(plain);
    fits.then_some(name).ok_or_else(|| Wrong::expected("a plain name such as `queue-1`, at most 64 letters"))
}

fn domains(section: &Section<'_>) -> Option<BTreeMap<String, String>> {
    if section.raw("domains").is_none() {
        return Some(BTreeMap::new());
    }
    let inner = section.section("domains", "the domains")?;
    let entries: Vec<_> = inner.entries().collect();
    let read = entries.into_iter().map(|(kind, value)| {
        check_kind(&inner, &kind);
        match value::text(value.get_ref()) {
            Ok(text) => Some(((*kind.get_ref()).to_owned(), text)),
            Err(wrong) => {
                inner.wrong(kind.get_ref(), value, wrong);
                None
            }
        }
    });
    let read: Vec<_> = read.collect();
    read.into_iter().collect()
}

fn faults(root: &Section<'_>, nodes: &[NodePlan], duration_ns: u64) -> Option<Vec<Fault>> {
    let mut faults: Vec<Fault> = Vec::new();
    let sections = root.sections("fault", "a fault");
    let expected = sections.len();
    for section in sections {
        let name = section.need("name", "name = \"crash-1\"", value::text);
        if let Some(name) = &name
            && faults.iter().any(|fault| fault.name == *name.get_ref())
        {
            let title = format!("two faults are called `{}`", name.get_ref());
            root.log.push(Diagnostic::new(name.span(), title, "taken by a fault above"));
        }
        faults.extend(fault(&section, name, nodes, duration_ns));
    }
    (faults.len() == expected).then_some(faults)
}

fn fault(
    section: &Section<'_>,
    name: Option<Spanned<String>>,
    nodes: &[NodePlan],
    duration_ns: u64,
) -> Option<Fault> {
    let start = section.need("start", "start = \"20s\"", value::duration(0, DURATION_MAX_NS));
    let end = section.need("end", "end = \"30s\"", value::duration(0, DURATION_MAX_NS));
    if let (Some(start), Some(end)) = (&start, &end) {
        if end.get_ref() <= start.get_ref() {
            let label = format!("it begins at {}", duration_text::format(*start.get_ref()));
            section.log.push(Diagnostic::new(end.span(), "the fault ends before it begins", label));
        } else if *end.get_ref() > duration_ns {
            let label = format!("the run lasts {}", duration_text::format(duration_ns));
            let problem = Diagnostic::new(end.span(), "the fault lasts past the end of the run", label);
            section.log.push(problem.help("end it earlier, or raise `duration`"));
        }
    }
    let after = section.get("after", |value| after(value, nodes));
    let after_is_wrong = section.raw("after").is_some() && after.is_none();
    let shared = section.get("shared", |value| {
        let text = value::text(value)?;
        let pair = text.split_once('=').is_some_and(|(kind, value)| !kind.is_empty() && !value.is_empty());
        pair.then_some(text).ok_or_else(|| Wrong::expected("a domain such as `power=A`"))
    });
    if section.raw("inject").is_none() {
        section.missing("inject", "inject.crash = { nodes = [\"queue-1\"] }");
    }
    let inject = section.section("inject", "hogwash").and_then(|inner| inject(&inner, nodes));
    section.finish();
    if let (Some(inject), None) = (&inject, &after)
        && inject.targets().contains(&WHERE_IT_HAPPENED)
        && !after_is_wrong
    {
        let place = section.place.clone().unwrap_or_default();
        let title = format!("`{WHERE_IT_HAPPENED}` is nowhere");
        section.log.push(Diagnostic::new(place, title, "nothing sets the fault off: it begins at a time"));
    }
    if after_is_wrong {
        return None;
    }
    Some(Fault {
        name: name?.into_inner(),
        start_ns: start?.into_inner(),
        end_ns: end?.into_inner(),
        after: after.map(Spanned::into_inner),
        shared: shared.map(Spanned::into_inner),
        inject: inject?,
    })
}

/// What sets a fault off. Its cause may be a fault that the plan has no more: nothing sets it off then.
fn after(value: &DeValue<'_>, nodes: &[NodePlan]) -> Result<After, Wrong> {
    let spanned = Spanned::new(0..0, value.clone());
    let after = After::deserialize(toml::de::ValueDeserializer::from(spanned)).map_err(|error| {
        Wrong::expected(format!(
            "what sets a fault off, as in `{{ event = {{ lead = \"queue\" }}, delay = \"1s\", length = \"5s\" }}` ({})",
            error.message()
        ))
    })?;
    let role = match &after.event {
        Cause::FaultStart(_) | Cause::FaultEnd(_) => None,
        Cause::Lead(role) | Cause::Exit(role) | Cause::Boot(role) => Some(role),
        Cause::Load(load) if !(0.0..=1.0).contains(&load.share) => {
            return Err(Wrong::expected("a share of the cores from 0 to 1"));
        }
        Cause::Load(load) => Some(&load.role),
    };
    if let Some(role) = role {
        check_role(role, nodes)
            .map_err(|(wrong, _)| Wrong::expected(format!("a role that has nodes ({wrong})")))?;
    }
    if after.length_ns == 0 || after.length_ns > DURATION_MAX_NS || after.delay_ns > DURATION_MAX_NS {
        return Err(Wrong::expected("a length above 0s, and times within what a run can last"));
    }
    Ok(after)
}

fn inject(section: &Section<'_>, nodes: &[NodePlan]) -> Option<Inject> {
    let entries: Vec<_> = section.entries().collect();
    let [(word, value)] = &entries[..] else {
        let place = section.place.clone().unwrap_or_default();
        let label = format!("this has {}", entries.len());
        section.log.push(Diagnostic::new(place, "a fault injects one kind of harm", label));
        return None;
    };
    let Some(kind) = kinds::find(word.get_ref()) else {
        section.log.push(unknown(word.span(), "fault", word.get_ref(), "hogwash", kinds::words()));
        return None;
    };
    let table = section.table_of(kind.word, value, &format!("`{}`", kind.word))?;
    let mut fields = toml::Table::new();
    let sides: &[&str] = if kind.hits == Hits::Nodes { &["nodes"] } else { &["from", "to"] };
    for side in sides {
        let names = table.need(side, &format!("{side} = [\"queue-1\"]"), value::texts);
        if let Some(names) = names {
            check_names(&table, side, &names, nodes);
            let names = names.into_inner().into_iter().map(toml::Value::String).collect();
            fields.insert((*side).to_owned(), toml::Value::Array(names));
        }
    }
    for field in kind.fields {
        let read = table.need(field.name, field.example, |value| field.kind.read_fixed(value));
        fields.extend(read.map(|read| (field.name.to_owned(), read.into_inner().to_toml())));
    }
    table.finish();
    let complete = fields.len() == sides.len() + kind.fields.len();
    complete.then(|| inject_of(kind.word, fields))
}

fn check_names(table: &Section<'_>, side: &str, names: &Spanned<Vec<String>>, nodes: &[NodePlan]) {
    if names.get_ref().is_empty() {
        let title = "the fault hits nothing";
        table.log.push(Diagnostic::new(names.span(), title, format!("`{side}` names no node")));
    }
    let wrong = names.get_ref().iter().find_map(|name| check_planned(name, nodes).err());
    if let Some((label, help)) = wrong {
        let problem = Diagnostic::new(names.span(), "the fault's target is impossible", label);
        table.log.push(problem.helps(help));
    }
}
