//! Two stored runs side by side: verdicts, counts, latencies, plans, and the first event in which they differ.

use crate::ledger::Ledger;
use crate::measures::Latencies;
use crate::past::PastRun;
use crate::words::length;
use anyhow::Result;
use invariants::Verdict;
use scenarios::{plan_file, replay};
use serde_json::{Value, json};
use sim::history::Event;
use std::collections::{BTreeMap, BTreeSet};

/// Differences of plans that a person is shown; JSON has all.
const PLAN_LINES_MOST: usize = 30;

/// What two runs have in common and where they part.
pub struct Comparison {
    sides: [Side; 2],
    /// Both digests are equal.
    pub same_history: bool,
    /// Each law says the same of both.
    pub same_verdicts: bool,
    first: Option<First>,
    plan: Vec<PlanDifference>,
}

struct Side {
    folder: String,
    title: String,
    digest: String,
    verdicts: BTreeMap<String, Verdict>,
    events: u64,
    messages: u64,
    simulated_ns: u64,
    ledger: Ledger,
    latencies: Latencies,
}

/// The first events that differ, as lines.
struct First {
    equal: u64,
    before: String,
    then: [String; 2],
}

/// One value that the plans do not have in common; none where one of them has nothing there.
struct PlanDifference {
    place: String,
    values: [Option<String>; 2],
}

impl Comparison {
    /// Compares two runs.
    ///
    /// # Errors
    /// Where a history cannot be read.
    pub fn of(one: &PastRun, other: &PastRun) -> Result<Self> {
        let sides = [Side::of(one), Side::of(other)];
        let first = replay::first_difference(one.history(), other.history())?;
        let line = |run: &PastRun, event: &Option<Event>| {
            event.as_ref().map_or("the history has ended".to_owned(), |event| replay::line(event, &run.plan))
        };
        let first = first.map(|first| First {
            equal: first.equal,
            before: first.before.as_ref().map_or("none".to_owned(), |event| replay::line(event, &one.plan)),
            then: [line(one, &first.first), line(other, &first.second)],
        });
        Ok(Self {
            same_history: sides[0].digest == sides[1].digest,
            same_verdicts: sides[0].verdicts == sides[1].verdicts,
            sides,
            first,
            plan: plan_differences(one, other)?,
        })
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = table(&self.rows());
        lines.push(match &self.first {
            None => "the histories are equal, bit for bit".to_owned(),
            Some(First { equal: 0, .. }) => "not even the first events are equal".to_owned(),
            Some(First { equal: 1, before, .. }) => format!("the first event is equal: {before}"),
            Some(First { equal, before, .. }) => {
                format!("the first {equal} events are equal; the last of them: {before}")
            }
        });
        if let Some(First { then, .. }) = &self.first {
            lines.push(format!("  A then: {}", then[0]));
            lines.push(format!("  B then: {}", then[1]));
        }
        lines.push(if self.plan.is_empty() {
            "the plans are equal".to_owned()
        } else {
            "the plans differ:".to_owned()
        });
        for PlanDifference { place, values: [a, b] } in self.plan.iter().take(PLAN_LINES_MOST) {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
            lines.push(format!("  {place}: A has {}, B has {}", value(a), value(b)));
        }
        let more = self.plan.len().saturating_sub(PLAN_LINES_MOST);
        if more > 0 {
            lines.push(format!("  {more} differences more: `--message-format json` has them all"));
        }
        lines
    }

    fn rows(&self) -> Vec<[String; 3]> {
        let mut rows = Vec::new();
        let mut row = |name: &str, value: &dyn Fn(&Side) -> String| {
            rows.push([name.to_owned(), value(&self.sides[0]), value(&self.sides[1])]);
        };
        row("", &|side| side.title.clone());
        row("digest", &|side| side.digest[..16].to_owned());
        let laws: BTreeSet<&String> = self.sides.iter().flat_map(|side| side.verdicts.keys()).collect();
        for law in laws {
            row(law, &|side| side.verdicts.get(law).map_or("not asked".to_owned(), Verdict::to_string));
        }
        row("simulated", &|side| length(side.simulated_ns));
        row("events", &|side| side.events.to_string());
        row("messages", &|side| side.messages.to_string());
        row("sent", &|side| side.ledger.submitted.to_string());
        row("acknowledged", &|side| side.ledger.acknowledged.to_string());
        row("done", &|side| side.ledger.done.to_string());
        row("received", &|side| side.ledger.received.to_string());
        row("refused", &|side| side.ledger.refused.to_string());
        row("given up", &|side| side.ledger.given_up.to_string());
        row("missing", &|side| side.ledger.missing.len().to_string());
        let shown = |latency_ns: Option<u64>| latency_ns.map_or("none".to_owned(), length);
        row("latency p50", &|side| shown(side.latencies.p50_ns));
        row("latency p99", &|side| shown(side.latencies.p99_ns));
        row("latency max", &|side| shown(side.latencies.max_ns));
        rows
    }

    /// One JSON line.
    pub fn json(&self) -> Value {
        let side = |side: &Side| {
            json!({"folder": side.folder, "digest": side.digest, "verdicts": side.verdicts, "sim-ns": side.simulated_ns,
                "events": side.events, "messages": side.messages, "ledger": side.ledger, "latency-ns": side.latencies})
        };
        let first = self.first.as_ref().map(|first| {
            json!({"equal": first.equal, "before": first.before, "a": first.then[0], "b": first.then[1]})
        });
        let plan =
            self.plan.iter().map(|one| json!({"place": one.place, "a": one.values[0], "b": one.values[1]}));
        json!({"v": 1, "type": "compared", "same-verdicts": self.same_verdicts, "same-history": self.same_history,
            "a": side(&self.sides[0]), "b": side(&self.sides[1]), "first-difference": first, "plan": plan.collect::<Vec<_>>()})
    }
}

impl Side {
    fn of(run: &PastRun) -> Self {
        let capsule = &run.capsule;
        Self {
            folder: run.folder.display().to_string(),
            title: run.title(),
            digest: capsule.digest.clone(),
            verdicts: capsule.verdicts.clone(),
            events: capsule.events,
            messages: capsule.messages,
            simulated_ns: capsule.sim_ns,
            ledger: Ledger::of(run.events(), &run.node_names()),
            latencies: Latencies::of(run),
        }
    }
}

/// Rows in columns; where the two values differ, the row says so.
fn table(rows: &[[String; 3]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second, third) = (width(0), width(1), width(2));
    let line = |[name, a, b]: &[String; 3]| {
        let sign = if a == b { "" } else { "differs" };
        format!("{name:first$}  {a:second$}  {b:third$}  {sign}").trim_end().to_owned()
    };
    let head = format!("{:first$}  {:second$}  {:third$}", "", "A", "B").trim_end().to_owned();
    std::iter::once(head).chain(rows.iter().map(line)).collect()
}

fn plan_differences(one: &PastRun, other: &PastRun) -> Result<Vec<PlanDifference>> {
    let values = |run: &PastRun| -> Result<BTreeMap<String, String>> {
        let plan: toml::Table = plan_file::write(&run.plan).parse()?;
        let mut values = BTreeMap::new();
        flatten("", &toml::Value::Table(plan), &mut values);
        Ok(values)
    };
    let (one, other) = (values(one)?, values(other)?);
    let mut places: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    // Of a node or a fault that only one plan has, it is enough to say that.
    let alone =
        places.iter().filter(|place| place.ends_with(".name")).map(|place| place.trim_end_matches("name"));
    let alone = alone.filter(|item| {
        !(one.contains_key(&format!("{item}name")) && other.contains_key(&format!("{item}name")))
    });
    let alone: Vec<String> = alone.map(str::to_owned).collect();
    places.retain(|place| place.ends_with(".name") || !alone.iter().any(|item| place.starts_with(item)));
    let pairs = places.into_iter().map(|place| PlanDifference {
        place: place.clone(),
        values: [one.get(place).cloned(), other.get(place).cloned()],
    });
    Ok(pairs.filter(|pair| pair.values[0] != pair.values[1]).collect())
}

/// Every value of a plan by its place; nodes and faults go by their names, so that one that is missing shifts no other.
fn flatten(place: &str, value: &toml::Value, values: &mut BTreeMap<String, String>) {
    let within = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                flatten(&within(name), value, values);
            }
        }
        toml::Value::Array(list) if list.iter().all(|one| one.get("name").is_some()) && !list.is_empty() => {
            for one in list {
                let name = one.get("name").and_then(toml::Value::as_str).unwrap_or_default();
                flatten(&within(name), one, values);
            }
        }
        other => drop(values.insert(place.to_owned(), other.to_string())),
    }
}
