//! The data of a page, as its script reads them.

use super::ledger::{Ledger, id_of};
use super::{Explanation, Page};
use scenarios::describe;
use serde::Serialize;
use sim::history::{Event, Fact, Id, NodeIndex};
use std::collections::{BTreeMap, BTreeSet};

/// Requests whose way is drawn.
const WAYS_MOST: usize = 12;
/// Marks that are drawn, beside those of ways, processes and faults.
const MARKS_MOST: usize = 1500;
/// Points of the goodput and latency curves.
const POINTS: u64 = 120;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Data<'a> {
    scenario: &'a str,
    variant: Option<&'a str>,
    seed: u64,
    digest: &'a str,
    end_ns: u64,
    duration_ns: u64,
    reproduce: &'a str,
    laws: Vec<LawData<'a>>,
    faults: Vec<FaultData>,
    groups: Vec<Group>,
    lanes: Vec<Lane<'a>>,
    down: Vec<Down>,
    marks: Vec<Mark>,
    arrows: Vec<Arrow>,
    curve: Vec<Point>,
    ledger: Ledger,
    explanation: Option<&'a Explanation>,
    left_out: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct LawData<'a> {
    name: &'a str,
    sentence: &'static str,
    verdict: &'static str,
    expected: &'a str,
    exercised: u64,
    violations: &'a [invariants::Violation],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct FaultData {
    name: String,
    words: String,
    kind: &'static str,
    start_ns: u64,
    end_ns: u64,
    lanes: Vec<u32>,
}

/// Lanes that stand together, since their nodes share something.
#[derive(Serialize)]
struct Group {
    label: String,
    lanes: Vec<u32>,
}

#[derive(Serialize)]
struct Lane<'a> {
    name: &'a str,
    role: &'a str,
    domains: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Down {
    lane: u32,
    from_ns: u64,
    to_ns: u64,
    cause: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Mark {
    lane: u32,
    at_ns: u64,
    word: &'static str,
    text: String,
    way: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Arrow {
    from_lane: u32,
    from_ns: u64,
    to_lane: u32,
    to_ns: u64,
    way: String,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Point {
    at_ns: u64,
    submitted: u32,
    received: u32,
    p50_ns: Option<u64>,
    p99_ns: Option<u64>,
}

pub(super) fn of<'a>(page: &'a Page<'a>) -> Data<'a> {
    let plan = page.plan;
    let names: Vec<_> = plan.nodes.iter().map(|node| node.name.clone()).collect();
    let end_ns = page.events.last().map_or(plan.duration_ns, |event| event.at_ns);
    let mut left_out = Vec::new();
    let ways = ways(page, &mut left_out);
    let (marks, arrows) = marks(page.events, &ways, &mut left_out);
    Data {
        scenario: &plan.scenario,
        variant: plan.variant.as_deref(),
        seed: plan.seed,
        digest: page.digest,
        end_ns,
        duration_ns: plan.duration_ns,
        reproduce: page.reproduce,
        laws: laws(page),
        faults: faults(page),
        groups: groups(page),
        lanes: plan.nodes.iter().map(lane).collect(),
        down: down(page.events, end_ns),
        marks,
        arrows,
        curve: curve(page.events, end_ns),
        ledger: Ledger::of(page.events, &names),
        explanation: page.explanation,
        left_out,
    }
}

fn laws<'a>(page: &'a Page<'a>) -> Vec<LawData<'a>> {
    let law = |law: &invariants::Law| {
        let (finding, expected) = page.findings.get(law.name)?;
        let (verdict, violations) = (finding.verdict.word(), finding.violations.as_slice());
        Some(LawData {
            name: law.name,
            sentence: law.sentence,
            verdict,
            expected,
            exercised: finding.exercised,
            violations,
        })
    };
    invariants::LAWS.iter().filter_map(law).collect()
}

fn faults(page: &Page<'_>) -> Vec<FaultData> {
    let mut lanes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for event in page.events {
        if let Fact::FaultStart { fault, nodes } = &event.fact {
            lanes.insert(*fault, nodes.iter().map(|node| node.0).collect());
        }
    }
    let data = |(index, fault): (u32, &sim::fault::Fault)| FaultData {
        name: fault.name.clone(),
        words: describe::fault(fault),
        kind: fault.inject.word(),
        start_ns: fault.start_ns,
        end_ns: fault.end_ns,
        lanes: lanes.remove(&index).unwrap_or_default(),
    };
    (0..).zip(&page.plan.faults).map(data).collect()
}

/// Nodes by the domain kind that a fault of the plan shares; by role where none does.
fn groups(page: &Page<'_>) -> Vec<Group> {
    let shared = page.plan.faults.iter().find_map(|fault| fault.shared.as_ref()?.split_once('='));
    let mut groups: Vec<Group> = Vec::new();
    for (lane, node) in (0..).zip(&page.plan.nodes) {
        let label = match shared {
            Some((kind, _)) => {
                node.domains.get(kind).map_or(format!("no {kind}"), |value| format!("{kind}={value}"))
            }
            None => node.role.clone(),
        };
        match groups.iter_mut().find(|group| group.label == label) {
            Some(group) => group.lanes.push(lane),
            None => groups.push(Group { label, lanes: vec![lane] }),
        }
    }
    groups
}

fn lane(node: &sim::plan::NodePlan) -> Lane<'_> {
    let domains = node.domains.iter().map(|(kind, value)| format!("{kind}={value}")).collect();
    Lane { name: &node.name, role: &node.role, domains }
}

fn down(events: &[Event], end_ns: u64) -> Vec<Down> {
    let mut open: BTreeMap<NodeIndex, (u64, String)> = BTreeMap::new();
    let mut down = Vec::new();
    for event in events {
        match &event.fact {
            Fact::Exit { cause } => {
                open.insert(event.node, (event.at_ns, cause.to_string()));
            }
            Fact::Boot { .. } => {
                if let Some((from_ns, cause)) = open.remove(&event.node) {
                    down.push(Down { lane: event.node.0, from_ns, to_ns: event.at_ns, cause });
                }
            }
            _ => {}
        }
    }
    down.extend(open.into_iter().map(|(node, (from_ns, cause))| Down {
        lane: node.0,
        from_ns,
        to_ns: end_ns,
        cause,
    }));
    down
}

/// The requests whose way is drawn: those that violations are about, or else the first few of the run.
fn ways(page: &Page<'_>, left_out: &mut Vec<String>) -> BTreeSet<Id> {
    let violations = page.findings.values().flat_map(|(finding, _)| &finding.violations);
    let about: BTreeSet<Id> = violations.flat_map(|violation| violation.ids.iter().copied()).collect();
    let (ids, sort) = if about.is_empty() {
        (page.events.iter().filter_map(|event| id_of(&event.fact)).collect(), "requests")
    } else {
        (about, "requests that violations are about")
    };
    if ids.len() > WAYS_MOST {
        left_out.push(format!("the ways of {} of {} {sort}", ids.len() - WAYS_MOST, ids.len()));
    }
    ids.into_iter().take(WAYS_MOST).collect()
}

/// Marks on lanes, and the arrows between consecutive events of one request on different nodes.
fn marks(events: &[Event], ways: &BTreeSet<Id>, left_out: &mut Vec<String>) -> (Vec<Mark>, Vec<Arrow>) {
    let (mut marks, mut arrows, mut passed_over) = (Vec::new(), Vec::new(), 0_usize);
    let mut last: BTreeMap<Id, (u64, NodeIndex)> = BTreeMap::new();
    for event in events {
        let id = id_of(&event.fact);
        let drawn = match id {
            Some(id) => ways.contains(&id) && !matches!(event.fact, Fact::Expect { .. }),
            None => is_a_turn(&event.fact) && marks.len() < MARKS_MOST,
        };
        if event.node == sim::history::WORLD || !drawn {
            passed_over += 1;
            continue;
        }
        let way = id.map(|id| id.to_string());
        let fields = event.fact.fields().into_iter().map(|(name, value)| format!("{name} {value}"));
        let text = fields.collect::<Vec<_>>().join(", ");
        marks.push(Mark {
            lane: event.node.0,
            at_ns: event.at_ns,
            word: event.fact.word(),
            text,
            way: way.clone(),
        });
        if let (Some(id), Some(way)) = (id, way)
            && let Some((from_ns, from)) = last.insert(id, (event.at_ns, event.node))
            && from != event.node
        {
            let (from_lane, to_lane) = (from.0, event.node.0);
            arrows.push(Arrow { from_lane, from_ns, to_lane, to_ns: event.at_ns, way });
        }
    }
    if passed_over > 0 {
        left_out.push(format!("{passed_over} of {} events", events.len()));
    }
    (marks, arrows)
}

/// What a reader looks for on a lane whatever the violation.
fn is_a_turn(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Boot { .. }
            | Fact::Exit { .. }
            | Fact::Panic { .. }
            | Fact::DiskLoss { .. }
            | Fact::Lead { .. }
            | Fact::Note { .. }
    )
}

/// Goodput, and latencies from the first submission to the result, over time.
fn curve(events: &[Event], end_ns: u64) -> Vec<Point> {
    let width_ns = (end_ns / POINTS).max(1);
    let mut points: Vec<(Point, Vec<u64>)> = Vec::new();
    let mut sent: BTreeMap<Id, u64> = BTreeMap::new();
    for event in events {
        let index = usize::try_from(event.at_ns / width_ns).unwrap_or(usize::MAX).min(1 + POINTS as usize);
        while points.len() <= index {
            let at_ns = width_ns * points.len() as u64;
            points.push((Point { at_ns, ..Point::default() }, Vec::new()));
        }
        match event.fact {
            Fact::Submit { id, attempt } => {
                points[index].0.submitted += u32::from(attempt == 1);
                sent.entry(id).or_insert(event.at_ns);
            }
            Fact::Receive { id, .. } => {
                points[index].0.received += 1;
                points[index].1.extend(sent.remove(&id).map(|at_ns| event.at_ns - at_ns));
            }
            _ => {}
        }
    }
    let finished = points.into_iter().map(|(mut point, mut latencies_ns)| {
        latencies_ns.sort_unstable();
        let rank =
            |share: usize| latencies_ns.get((latencies_ns.len().saturating_sub(1)) * share / 100).copied();
        (point.p50_ns, point.p99_ns) = (rank(50), rank(99));
        point
    });
    finished.collect()
}
