//! What can be taken from a plan, and in which order.

use super::{Event, Size, Tester};
use crate::kinds::{self, FieldKind, Hits, Kind};
use crate::planner::inject_of;
use crate::store::Broken;
use sim::duration_text;
use sim::fault::{Fault, Inject, LEADER_OF, WHERE_IT_HAPPENED};
use sim::history::Id;
use sim::plan::{DiskPlan, NetworkPlan, NodePlan, Plan};
use sim::stack::Stack;
use std::collections::{BTreeMap, BTreeSet};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;

/// A longer list is not tried item by item: what that would still take from it is not worth its runs.
const PARTS_MAX: usize = 16;

/// The plan that gets smaller.
struct Shrinking<'a, 'b> {
    plan: Plan,
    tester: &'a mut Tester<'b>,
    events: &'a dyn Fn(&Event<'_>),
}

/// Every pass once.
pub(super) fn round(
    plan: &Plan,
    broken: &Broken,
    stack: &dyn Stack,
    tester: &mut Tester<'_>,
    events: &dyn Fn(&Event<'_>),
) -> Plan {
    let mut shrinking = Shrinking { plan: plan.clone(), tester, events };
    // Few requests make every later run a fast one, so the guess at them comes first.
    shrinking.guess_operations(&broken.ids);
    shrinking.faults();
    shrinking.operations();
    shrinking.weaken();
    shrinking.clients();
    shrinking.nodes(stack);
    shrinking.settings();
    shrinking.ordinary();
    shrinking.times();
    shrinking.plan
}

impl Shrinking<'_, '_> {
    /// Goes on with the first of `candidates` that still fails; whether there was one.
    fn take(&mut self, what: &str, candidates: Vec<Plan>) -> bool {
        let mut candidates = candidates;
        candidates.retain(|candidate| *candidate != self.plan);
        let Some(place) = self.tester.first(&candidates) else { return false };
        self.plan = candidates.swap_remove(place);
        (self.events)(&Event::Smaller { what, size: Size::of(&self.plan), runs: self.tester.runs() });
        true
    }

    /// Keeps as few of `items` as fail still: none, or without each half, each quarter and so on. `build` makes the plan with
    /// those that are kept, where there is one.
    fn minimize<T: Clone>(
        &mut self,
        what: &str,
        mut items: Vec<T>,
        build: impl Fn(&Plan, &[T]) -> Option<Plan>,
    ) {
        let none = build(&self.plan, &[]);
        if items.is_empty() || none.is_some_and(|plan| self.take(what, vec![plan])) {
            return;
        }
        let mut size = items.len().div_ceil(2);
        while items.len() >= 2 {
            self.sweep(what, &mut items, size, &build);
            let finer = (size / 2).max(1);
            if size == 1 || items.len().div_ceil(finer) > PARTS_MAX {
                return;
            }
            size = finer;
        }
    }

    /// Takes away each part of `size` that is not needed, from first to last.
    fn sweep<T: Clone>(
        &mut self,
        what: &str,
        items: &mut Vec<T>,
        size: usize,
        build: &impl Fn(&Plan, &[T]) -> Option<Plan>,
    ) {
        let mut from = 0;
        while from < items.len() && items.len() >= 2 {
            let starts: Vec<usize> = (from..items.len()).step_by(size).collect();
            let without = |start: &usize| {
                let kept = [&items[..*start], &items[(start + size).min(items.len())..]].concat();
                (!kept.is_empty()).then(|| build(&self.plan, &kept)).flatten().map(|plan| (*start, plan))
            };
            let (starts, plans): (Vec<usize>, Vec<Plan>) = starts.iter().filter_map(without).unzip();
            let Some(place) = self.tester.first(&plans) else { return };
            from = starts[place];
            items.drain(from..(from + size).min(items.len()));
            self.plan = plans.into_iter().nth(place).expect("it is one of them");
            let size = Size::of(&self.plan);
            (self.events)(&Event::Smaller { what, size, runs: self.tester.runs() });
        }
    }

    /// The requests that the law named, alone, where the plan has all of them still.
    fn guess_operations(&mut self, ids: &[Id]) {
        if self.plan.workload.only.is_some() {
            return;
        }
        let all: BTreeSet<Id> = operations(&self.plan).into_iter().collect();
        let named: Vec<Id> = ids.iter().copied().filter(|id| all.contains(id)).collect();
        let mut guesses = vec![Vec::new()];
        guesses.extend(named.first().map(|first| vec![*first]));
        guesses.push(named.clone());
        let clients: BTreeSet<u32> = named.iter().map(|id| id.client()).collect();
        guesses.push(all.into_iter().filter(|id| clients.contains(&id.client())).collect());
        let plans = guesses.iter().map(|kept| with_operations(&self.plan, kept)).collect();
        self.take("requests that the law does not name", plans);
    }

    fn operations(&mut self) {
        let all = operations(&self.plan);
        self.minimize("requests", all, |plan, kept| Some(with_operations(plan, kept)));
    }

    fn faults(&mut self) {
        let all = self.plan.faults.clone();
        self.minimize("faults", all, |plan, kept| Some(Plan { faults: kept.to_vec(), ..plan.clone() }));
    }

    /// Fewer targets, shorter, less harm: fault by fault.
    fn weaken(&mut self) {
        for index in 0..self.plan.faults.len() {
            let (kind, fields) = take_apart(&self.plan.faults[index].inject);
            let sides: &[&str] = if kind.hits == Hits::Nodes { &["nodes"] } else { &["from", "to"] };
            for side in sides {
                let names = names_of(&fields, side);
                self.minimize("a fault's targets", names, |plan, kept| {
                    (!kept.is_empty()).then(|| with_field(plan, index, side, kept.to_vec().into()))
                });
            }
            for field in kind.fields {
                while self.take("a fault's strength", self.weaker(index, field.name, field.kind)) {}
            }
            while self.take("a fault's length", self.shorter(index)) {}
        }
    }

    fn weaker(&self, index: usize, name: &str, kind: FieldKind) -> Vec<Plan> {
        let (_, fields) = take_apart(&self.plan.faults[index].inject);
        let values = fields.get(name).map(|value| weaker(value, kind)).unwrap_or_default();
        values.into_iter().map(|value| with_field(&self.plan, index, name, value)).collect()
    }

    fn shorter(&self, index: usize) -> Vec<Plan> {
        let fault = &self.plan.faults[index];
        let length_ns = match &fault.after {
            None => fault.end_ns - fault.start_ns,
            Some(after) => after.length_ns,
        };
        let shorter = [64, 8, 2].map(|parts| (length_ns / parts).div_ceil(MILLISECOND) * MILLISECOND);
        let shorter = shorter.into_iter().filter(|shorter| *shorter < length_ns);
        shorter.map(|shorter| with_length(&self.plan, index, shorter)).collect()
    }

    /// Clients that have nothing to do. Each client's rate stays to the bit, or the run says that it did not.
    fn clients(&mut self) {
        let last = operations(&self.plan).iter().map(|id| id.client()).max();
        let needed = last.map_or(1, |last| last + 1);
        let workload = &self.plan.workload;
        if workload.only.is_none() || needed >= workload.clients {
            return;
        }
        let fewer_a_second = |rate_per_s: f64| rate_per_s * f64::from(needed) / f64::from(workload.clients);
        let mut fewer = self.plan.clone();
        fewer.workload.clients = needed;
        fewer.workload.rate_per_s = fewer_a_second(workload.rate_per_s);
        fewer.workload.steps.iter_mut().for_each(|step| step.rate_per_s = fewer_a_second(step.rate_per_s));
        self.take("clients", vec![fewer]);
    }

    /// Never so few that the run fails for want of them, whatever happens to them: that is another failure.
    fn nodes(&mut self, stack: &dyn Stack) {
        let harmed = !self.plan.faults.is_empty();
        // Whole roles first: a tier that plays no part goes in one run.
        for role in stack.roles().iter().filter(|role| has_role(&self.plan, role.name)).collect::<Vec<_>>() {
            let kept: Vec<NodePlan> =
                self.plan.nodes.iter().filter(|node| node.role != role.name).cloned().collect();
            let plan = with_nodes(&self.plan, &kept);
            let plan = plan.filter(|plan| !(harmed && self.fails_unharmed(plan)));
            self.take("a tier", plan.into_iter().collect());
        }
        let before = self.plan.clone();
        self.minimize("nodes", before.nodes.clone(), with_nodes);
        if harmed && self.plan != before && self.fails_unharmed(&self.plan.clone()) {
            self.plan = before;
        }
    }

    fn fails_unharmed(&mut self, plan: &Plan) -> bool {
        self.tester.first(&[Plan { faults: Vec::new(), ..plan.clone() }]).is_some()
    }

    fn settings(&mut self) {
        let all: Vec<(String, String)> = self.plan.settings.clone().into_iter().collect();
        self.minimize("settings", all, |plan, kept| {
            Some(Plan { settings: kept.iter().cloned().collect(), ..plan.clone() })
        });
    }

    /// An ordinary network, ordinary disks, true clocks.
    fn ordinary(&mut self) {
        let plan = &self.plan;
        let network = Plan { network: NetworkPlan::default(), ..plan.clone() };
        let disk = Plan { disk: DiskPlan::default(), ..plan.clone() };
        let mut clocks = plan.clone();
        for node in &mut clocks.nodes {
            node.clock_offset_ns = 0;
            node.clock_drift_parts_per_million = 0.0;
        }
        self.take("the network's difference from the ordinary", vec![network]);
        self.take("the disks' difference from the ordinary", vec![disk]);
        self.take("the clocks' errors", vec![clocks]);
    }

    /// The run as short as its faults and requests let it be, and times that are easy to read. Never a shorter drain: any
    /// stack fails to drain in no time.
    fn times(&mut self) {
        let timed = self.plan.faults.iter().filter(|fault| fault.after.is_none());
        let last_fault_ns = timed.map(|fault| fault.end_ns).max().unwrap_or(0);
        let last_request_ns = last_operation_ns(&self.plan);
        let least_ns = last_fault_ns.max(last_request_ns + 1).div_ceil(SECOND) * SECOND;
        if least_ns < self.plan.duration_ns {
            let middle_ns = (least_ns + self.plan.duration_ns) / 2 / SECOND * SECOND;
            let shorter = |duration_ns| with_duration(&self.plan, duration_ns);
            self.take("the run's length", vec![shorter(least_ns), shorter(middle_ns.max(least_ns))]);
        }
        for index in 0..self.plan.faults.len() {
            let Fault { start_ns, end_ns, .. } = self.plan.faults[index];
            if self.plan.faults[index].after.is_some() {
                continue;
            }
            let rounded = [SECOND, 100 * MILLISECOND].map(|unit| {
                let (start_ns, end_ns) = (start_ns / unit * unit, end_ns.div_ceil(unit) * unit);
                with_times(&self.plan, index, start_ns, end_ns.min(self.plan.duration_ns))
            });
            if !end_ns.is_multiple_of(SECOND) || !start_ns.is_multiple_of(SECOND) {
                // Longer, but only by what makes it readable; a length below a second stays.
                let readable = rounded.into_iter().filter(|_| end_ns - start_ns >= SECOND);
                self.take("a fault's odd times", readable.collect());
            }
        }
    }
}

/// The requests that the plan's clients make, in order of client.
pub(super) fn operations(plan: &Plan) -> Vec<Id> {
    let of = |client| sim::workload::operations(&plan.workload, plan.seed, client, plan.duration_ns);
    (0..plan.workload.clients).flat_map(of).map(|operation| operation.id).collect()
}

fn last_operation_ns(plan: &Plan) -> u64 {
    let of = |client| sim::workload::operations(&plan.workload, plan.seed, client, plan.duration_ns);
    let all = (0..plan.workload.clients).flat_map(of);
    all.map(|operation| operation.at_ns).max().unwrap_or(0)
}

fn with_operations(plan: &Plan, kept: &[Id]) -> Plan {
    let mut plan = plan.clone();
    plan.workload.only = Some(ranges(kept));
    plan
}

/// `CLIENT.FIRST-LAST` for each run of consecutive requests of one client.
fn ranges(ids: &[Id]) -> Vec<String> {
    let mut ranges: Vec<(u32, u32, u32)> = Vec::new();
    for id in ids.iter().collect::<BTreeSet<_>>() {
        match ranges.last_mut() {
            Some((client, _, last)) if *client == id.client() && *last + 1 == id.operation() => *last += 1,
            _ => ranges.push((id.client(), id.operation(), id.operation())),
        }
    }
    let text = |(client, first, last): (u32, u32, u32)| match first == last {
        true => format!("{client}.{first}"),
        false => format!("{client}.{first}-{last}"),
    };
    ranges.into_iter().map(text).collect()
}

/// The plan with only the nodes `kept`; none where a fault would hit nobody or clients have no node.
fn with_nodes(plan: &Plan, kept: &[NodePlan]) -> Option<Plan> {
    let names: BTreeSet<&str> = kept.iter().map(|node| node.name.as_str()).collect();
    let roles: BTreeSet<&str> = kept.iter().map(|node| node.role.as_str()).collect();
    if kept.is_empty() || (plan.workload.clients > 0 && !kept.iter().any(NodePlan::is_client)) {
        return None;
    }
    let stays = |name: &String| match name.strip_prefix(LEADER_OF) {
        Some(role) => roles.contains(role),
        None if name == WHERE_IT_HAPPENED => true,
        None => names.contains(name.as_str()),
    };
    let faults = plan.faults.iter().map(|fault| {
        let (kind, mut fields) = take_apart(&fault.inject);
        for side in ["nodes", "from", "to"] {
            if fields.contains_key(side) {
                let names: Vec<String> = names_of(&fields, side).into_iter().filter(stays).collect();
                if names.is_empty() {
                    return None;
                }
                fields.insert(side.to_owned(), names.into());
            }
        }
        Some(Fault { inject: inject_of(kind.word, fields), ..fault.clone() })
    });
    Some(Plan { faults: faults.collect::<Option<_>>()?, nodes: kept.to_vec(), ..plan.clone() })
}

fn with_times(plan: &Plan, index: usize, start_ns: u64, end_ns: u64) -> Plan {
    let mut plan = plan.clone();
    (plan.faults[index].start_ns, plan.faults[index].end_ns) = (start_ns, end_ns);
    plan
}

fn with_length(plan: &Plan, index: usize, length_ns: u64) -> Plan {
    let mut plan = plan.clone();
    let fault = &mut plan.faults[index];
    match &mut fault.after {
        None => fault.end_ns = fault.start_ns + length_ns,
        Some(after) => after.length_ns = length_ns,
    }
    plan
}

/// The plan over sooner; faults that wait for their cause wait no longer than that.
fn with_duration(plan: &Plan, duration_ns: u64) -> Plan {
    let mut plan = Plan { duration_ns, ..plan.clone() };
    for fault in plan.faults.iter_mut().filter(|fault| fault.after.is_some()) {
        fault.end_ns = fault.end_ns.min(duration_ns);
    }
    plan
}

fn with_field(plan: &Plan, index: usize, name: &str, value: toml::Value) -> Plan {
    let mut plan = plan.clone();
    let (kind, mut fields) = take_apart(&plan.faults[index].inject);
    fields.insert(name.to_owned(), value);
    plan.faults[index].inject = inject_of(kind.word, fields);
    plan
}

/// The kind of a fault, and its fields as a file has them.
fn take_apart(inject: &Inject) -> (&'static Kind, toml::Table) {
    let kind = kinds::find(inject.word()).expect("a test holds every fault against the rows");
    let tagged = toml::Table::try_from(inject).expect("a fault is a table with one key");
    let fields: BTreeMap<String, toml::Value> = tagged.into_iter().collect();
    let fields = fields.into_values().next().and_then(|fields| fields.as_table().cloned());
    (kind, fields.expect("a fault's fields are a table"))
}

/// The fault hitting one of its nodes only, for each of them; of links, one of the nodes that they come from.
pub(crate) fn one_target_each(inject: &Inject) -> Vec<Inject> {
    let (kind, fields) = take_apart(inject);
    let side = if kind.hits == Hits::Nodes { "nodes" } else { "from" };
    let alone = |name: String| {
        let mut fields = fields.clone();
        fields.insert(side.to_owned(), vec![name].into());
        inject_of(kind.word, fields)
    };
    names_of(&fields, side).into_iter().map(alone).collect()
}

fn has_role(plan: &Plan, role: &str) -> bool {
    plan.nodes.iter().any(|node| node.role == role)
}

fn names_of(fields: &toml::Table, side: &str) -> Vec<String> {
    let names = fields.get(side).and_then(toml::Value::as_array).into_iter().flatten();
    names.filter_map(toml::Value::as_str).map(str::to_owned).collect()
}

/// Weaker values of a fault's field, weakest first; none below what could still be felt.
fn weaker(value: &toml::Value, kind: FieldKind) -> Vec<toml::Value> {
    match (kind, value) {
        (FieldKind::Flag, toml::Value::Boolean(true)) => vec![false.into()],
        (FieldKind::Duration, toml::Value::String(text)) => {
            let length_ns = duration_text::parse(text).unwrap_or(0);
            let shorter =
                [0, length_ns / 8, length_ns / 2].map(|shorter| shorter / MILLISECOND * MILLISECOND);
            let shorter = shorter.into_iter().filter(|shorter| *shorter < length_ns);
            shorter.map(|shorter| duration_text::format(shorter).into()).collect()
        }
        (FieldKind::SignedDuration, toml::Value::String(text)) => {
            let by_ns = duration_text::signed::parse(text).unwrap_or(0);
            let sign = if by_ns < 0 { "-" } else { "" };
            let smaller = [8, 2].map(|parts| by_ns.unsigned_abs() / parts / MILLISECOND * MILLISECOND);
            let smaller = smaller.into_iter().filter(|smaller| *smaller > 0);
            smaller.map(|smaller| format!("{sign}{}", duration_text::format(smaller)).into()).collect()
        }
        (FieldKind::Number(least, most), toml::Value::Float(number)) => {
            let floor = if most <= 1.0 { 0.01 } else { least.max(1.0) };
            let half = (number / 2.0 * 1e4).round() / 1e4;
            let felt = half.abs() >= floor && half.abs() < number.abs() && half >= least;
            felt.then_some(half.into()).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_written_as_ranges() {
        let ids = [(3, 1), (3, 2), (3, 3), (3, 7), (1, 0)].map(|(client, number)| Id::new(client, number));
        assert_eq!(ranges(&ids), ["1.0", "3.1-3", "3.7"]);
        assert!(ranges(&[]).is_empty());
    }
}
