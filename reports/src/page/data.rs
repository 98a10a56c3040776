//! What a page shows, in numbers and words: read by the drawing, and by scripts and tools from the page itself.

use super::Page;
use crate::ledger::Ledger;
use crate::measures::{latencies, quantile};
use crate::past::PastRun;
use crate::ways::{Follower, id_of, is_a_turn};
use crate::words;
use invariants::LAWS;
use scenarios::describe;
use scenarios::explain::Explanation;
use serde::Serialize;
use sim::history::{Event, Fact, Id, NodeIndex};
use sim::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};

/// Requests whose way is drawn.
const WAYS_MOST: usize = 12;
/// Requests whose way is drawn where no violation says which: the slowest.
const WAYS_SLOWEST: usize = 5;
/// Marks that are drawn, beside those of ways.
const MARKS_MOST: usize = 1500;
/// Points of the goodput and latency curves.
const POINTS: u64 = 120;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Data<'a> {
    v: u32,
    pub(super) scenario: &'a str,
    pub(super) variant: Option<&'a str>,
    pub(super) seed: u64,
    pub(super) digest: &'a str,
    pub(super) end_ns: u64,
    pub(super) duration_ns: u64,
    pub(super) reproduce: &'a str,
    pub(super) laws: Vec<LawData<'a>>,
    pub(super) faults: Vec<FaultData>,
    pub(super) groups: Vec<Group>,
    pub(super) lanes: Vec<Lane<'a>>,
    pub(super) down: Vec<Down>,
    pub(super) marks: Vec<Mark>,
    pub(super) arrows: Vec<Arrow>,
    pub(super) curve: Vec<Point>,
    pub(super) ledger: Ledger,
    pub(super) explanation: Option<&'a Explanation>,
    #[serde(skip)]
    pub(super) ways: Vec<Id>,
    pub(super) left_out: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LawData<'a> {
    pub(super) name: &'a str,
    pub(super) sentence: &'static str,
    pub(super) verdict: &'static str,
    pub(super) expected: &'a str,
    pub(super) violations: Vec<ViolationData>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ViolationData {
    pub(super) at_ns: u64,
    pub(super) message: String,
    pub(super) evidence: Vec<String>,
    pub(super) fingerprint: String,
    #[serde(skip)]
    pub(super) ids: Vec<Id>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct FaultData {
    pub(super) name: String,
    pub(super) words: String,
    pub(super) kind: &'static str,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) lanes: Vec<u32>,
}

/// Lanes that stand together, since their nodes share something.
#[derive(Serialize)]
pub(crate) struct Group {
    pub(crate) label: String,
    pub(crate) lanes: Vec<u32>,
}

#[derive(Serialize)]
pub(super) struct Lane<'a> {
    pub(super) name: &'a str,
    pub(super) role: &'a str,
    pub(super) domains: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Down {
    pub(crate) lane: u32,
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
    pub(crate) cause: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Mark {
    pub(super) lane: u32,
    pub(super) at_ns: u64,
    pub(super) word: &'static str,
    pub(super) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) way: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Arrow {
    pub(super) from_lane: u32,
    pub(super) from_ns: u64,
    pub(super) to_lane: u32,
    pub(super) to_ns: u64,
    pub(super) way: String,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Point {
    pub(super) at_ns: u64,
    pub(super) width_ns: u64,
    pub(super) submitted: u32,
    pub(super) received: u32,
    pub(super) p50_ns: Option<u64>,
    pub(super) p99_ns: Option<u64>,
}

impl Data<'_> {
    /// Whether a law is broken, and not only missed by the run's end, since `id` was promised and is not done.
    pub(super) fn lost(&self, id: Id) -> bool {
        let named = self.laws.iter().filter(|law| law.name == invariants::delivery::LAW.name);
        let mut named = named.flat_map(|law| &law.violations).flat_map(|violation| &violation.ids);
        named.any(|one| *one == id) && self.ledger.missing.iter().any(|missing| missing.id == id.to_string())
    }
}

pub(super) fn of<'a>(page: &'a Page<'a>) -> Data<'a> {
    let plan = &page.run.plan;
    let capsule = &page.run.capsule;
    let end_ns = capsule.sim_ns.max(1);
    let mut left_out = Vec::new();
    let ways = ways(page, &mut left_out);
    let (marks, arrows) = marks(page, &ways, &mut left_out);
    Data {
        v: 1,
        scenario: &capsule.scenario,
        variant: capsule.variant.as_deref(),
        seed: capsule.seed,
        digest: &capsule.digest,
        end_ns,
        duration_ns: plan.duration_ns,
        reproduce: &page.reproduce,
        laws: laws(page),
        faults: faults(page),
        groups: groups(plan),
        lanes: plan.nodes.iter().map(lane).collect(),
        down: downs(page.run.events(), end_ns),
        marks,
        arrows,
        curve: curve(page.run, end_ns),
        ledger: Ledger::of(page.run.events(), &page.run.node_names()),
        explanation: page.run.explanation.as_ref(),
        ways,
        left_out,
    }
}

fn laws<'a>(page: &'a Page<'a>) -> Vec<LawData<'a>> {
    let capsule = &page.run.capsule;
    let law = |(name, verdict): (&'a String, &invariants::Verdict)| {
        let broken = capsule.violations.iter().filter(|broken| broken.invariant == *name);
        let violation = |broken: &scenarios::store::Broken| ViolationData {
            at_ns: broken.at_ns,
            message: broken.message.clone(),
            evidence: broken.evidence.clone(),
            fingerprint: broken.fingerprint.clone(),
            ids: broken.ids.clone(),
        };
        LawData {
            name,
            sentence: LAWS.iter().find(|law| law.name == name).map_or("", |law| law.sentence),
            verdict: verdict.word(),
            expected: page.run.plan.expect.get(name).map_or("held", String::as_str),
            violations: broken.map(violation).collect(),
        }
    };
    let mut laws: Vec<_> = capsule.verdicts.iter().map(law).collect();
    let order = |law: &LawData<'_>| LAWS.iter().position(|known| known.name == law.name);
    // Broken ones first: they are what the page is for.
    laws.sort_by_key(|law| (law.violations.is_empty(), order(law)));
    laws
}

/// When each fault of the run began and ended, by its place in the plan; those that did not begin are missing.
pub(crate) fn fault_times(run: &PastRun) -> BTreeMap<u32, (u64, u64)> {
    let mut times: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for event in run.events() {
        match event.fact {
            Fact::FaultStart { fault, .. } => drop(times.insert(fault, (event.at_ns, run.capsule.sim_ns))),
            Fact::FaultEnd { fault } => {
                if let Some((_, end_ns)) = times.get_mut(&fault) {
                    *end_ns = event.at_ns;
                }
            }
            _ => {}
        }
    }
    times
}

fn faults(page: &Page<'_>) -> Vec<FaultData> {
    let mut lanes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut causes: BTreeMap<u32, String> = BTreeMap::new();
    for event in page.run.events() {
        match &event.fact {
            Fact::FaultStart { fault, nodes } => {
                lanes.insert(*fault, nodes.iter().map(|node| node.0).collect());
            }
            Fact::SetOff { fault, cause, .. } => drop(causes.insert(*fault, cause.clone())),
            _ => {}
        }
    }
    let times = fault_times(page.run);
    let data = |(index, fault): (u32, &sim::fault::Fault)| {
        let words = describe::fault(fault);
        let planned = (fault.start_ns, fault.end_ns);
        let (start_ns, end_ns) = times.get(&index).copied().unwrap_or(planned);
        FaultData {
            name: fault.name.clone(),
            words: match causes.remove(&index) {
                Some(cause) => format!("{words}: set off when {cause}"),
                None if fault.after.is_some() => format!("{words}: nothing set it off"),
                None => words,
            },
            kind: fault.inject.word(),
            start_ns,
            end_ns,
            lanes: lanes.remove(&index).unwrap_or_default(),
        }
    };
    (0..).zip(&page.run.plan.faults).map(data).collect()
}

/// Nodes by the domain kind that a fault of the plan shares; by role where none does.
pub(crate) fn groups(plan: &Plan) -> Vec<Group> {
    let shared = plan.faults.iter().find_map(|fault| fault.shared.as_ref()?.split_once('='));
    let mut groups: Vec<Group> = Vec::new();
    for (lane, node) in (0..).zip(&plan.nodes) {
        let label = match shared {
            Some((kind, _)) => {
                node.domains.get(kind).map_or(format!("no {kind} domain"), |value| format!("{kind}={value}"))
            }
            None => format!("role {}", node.role),
        };
        match groups.iter_mut().find(|group| group.label == label) {
            Some(group) => group.lanes.push(lane),
            None => groups.push(Group { label, lanes: vec![lane] }),
        }
    }
    // Those who share nothing go last, as the users that they mostly are.
    groups.sort_by_key(|group| group.label.starts_with("no "));
    groups
}

fn lane(node: &sim::plan::NodePlan) -> Lane<'_> {
    let domains = node.domains.iter().map(|(kind, value)| format!("{kind}={value}")).collect();
    Lane { name: &node.name, role: &node.role, domains }
}

/// When nodes were down.
pub(crate) fn downs(events: impl Iterator<Item = Event>, end_ns: u64) -> Vec<Down> {
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
    let never = open.into_iter();
    down.extend(never.map(|(node, (from_ns, cause))| Down { lane: node.0, from_ns, to_ns: end_ns, cause }));
    down
}

/// The requests whose way is drawn: those that violations are about, each violation's first before any's second; or
/// else the slowest.
fn ways(page: &Page<'_>, left_out: &mut Vec<String>) -> Vec<Id> {
    let violations = &page.run.capsule.violations;
    let longest = violations.iter().map(|broken| broken.ids.len()).max().unwrap_or(0);
    let mut ways: Vec<Id> = Vec::new();
    for rank in 0..longest {
        for id in violations.iter().filter_map(|broken| broken.ids.get(rank)) {
            if !ways.contains(id) {
                ways.push(*id);
            }
        }
    }
    if ways.is_empty() {
        let mut slowest = latencies(page.run.events());
        slowest.sort_by_key(|(id, _, latency_ns)| (std::cmp::Reverse(*latency_ns), *id));
        left_out
            .push(format!("the ways of all requests but the {} slowest", slowest.len().min(WAYS_SLOWEST)));
        return slowest.into_iter().take(WAYS_SLOWEST).map(|(id, ..)| id).collect();
    }
    if ways.len() > WAYS_MOST {
        left_out.push(format!(
            "the ways of {} of the {} requests that violations name",
            ways.len() - WAYS_MOST,
            ways.len()
        ));
        ways.truncate(WAYS_MOST);
    }
    ways
}

/// Marks on lanes, and the arrows from what led to them.
fn marks(page: &Page<'_>, ways: &[Id], left_out: &mut Vec<String>) -> (Vec<Mark>, Vec<Arrow>) {
    let ways: BTreeSet<Id> = ways.iter().copied().collect();
    let (mut marks, mut arrows) = (Vec::new(), Vec::new());
    let (mut events, mut turns) = (0_usize, 0_usize);
    let mut follower = Follower::default();
    for event in page.run.events() {
        events += 1;
        let id = id_of(&event.fact);
        let drawn = match id {
            Some(id) => ways.contains(&id) && !matches!(event.fact, Fact::Expect { .. }),
            None => is_a_turn(&event.fact) && turns < MARKS_MOST && !first_boot(&event.fact),
        };
        if event.node.0 as usize >= page.run.plan.nodes.len() || !drawn {
            continue;
        }
        turns += usize::from(id.is_none());
        let way = id.map(|id| id.to_string());
        if let (Some(id), Some(way)) = (id, way.clone())
            && let Some((from_ns, from)) = follower.cause(id, &event)
        {
            let (from_lane, to_lane) = (from.0, event.node.0);
            arrows.push(Arrow { from_lane, from_ns, to_lane, to_ns: event.at_ns, way });
        }
        let text = words::sentence(&event.fact);
        marks.push(Mark { lane: event.node.0, at_ns: event.at_ns, word: event.fact.word(), text, way });
    }
    if marks.len() < events {
        left_out.push(format!("{} of the history's {events} events", events - marks.len()));
    }
    (marks, arrows)
}

/// Every node boots when the world begins: that says nothing.
fn first_boot(fact: &Fact) -> bool {
    matches!(fact, Fact::Boot { incarnation: 1 })
}

/// Goodput, and latencies from the first submission to the result, over time.
fn curve(run: &crate::past::PastRun, end_ns: u64) -> Vec<Point> {
    let width_ns = (end_ns / POINTS).max(1);
    let count = usize::try_from(end_ns / width_ns).unwrap_or(0) + 1;
    let place = |at_ns: u64| usize::try_from(at_ns / width_ns).unwrap_or(count).min(count - 1);
    let begin = |index: usize| Point { at_ns: width_ns * index as u64, width_ns, ..Point::default() };
    let mut points: Vec<Point> = (0..count).map(begin).collect();
    for event in run.events() {
        match event.fact {
            Fact::Submit { attempt: 1, .. } => points[place(event.at_ns)].submitted += 1,
            Fact::Receive { .. } => points[place(event.at_ns)].received += 1,
            _ => {}
        }
    }
    let mut latencies_ns: Vec<Vec<u64>> = vec![Vec::new(); count];
    for (_, at_ns, latency_ns) in latencies(run.events()) {
        latencies_ns[place(at_ns)].push(latency_ns);
    }
    for (point, mut latencies_ns) in points.iter_mut().zip(latencies_ns) {
        latencies_ns.sort_unstable();
        (point.p50_ns, point.p99_ns) = (quantile(&latencies_ns, 500), quantile(&latencies_ns, 990));
    }
    points
}
