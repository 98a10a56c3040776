//! What one run did to the service: requests acknowledged and lost, seconds down, how long until it was up again, how many
//! nodes of a role were down at once.

use super::compose::seconds;
use super::file::Run;
use super::harm;
use serde::{Deserialize, Serialize};
use sim::history::{Event, Fact, Id, Observer};
use sim::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

const SECOND: u64 = 1_000_000_000;

/// What came of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// Requests that clients sent.
    pub submitted: u64,
    /// Requests acknowledged and, once all was healed and drained, not done.
    pub lost: u64,
    /// Whether the stack drained in its time.
    pub drained: bool,
    /// Seconds in which faults acted.
    pub fault_seconds: f64,
    /// Seconds down while faults acted.
    pub down_within_seconds: f64,
    /// Seconds of the faults' second half, less the last ones, whose requests could still be served after the end: by then
    /// the stack has settled.
    pub settled_seconds: f64,
    /// Seconds down among these, which are judged as one, since what goes on for hours hangs on them: all, or none.
    pub down_settled_seconds: f64,
    /// Seconds down after the faults had ended.
    pub down_after_seconds: f64,
    /// From the faults' end until the service was up for good.
    pub recovery_seconds: f64,
    /// Whether the service came up for good before the load ended.
    pub recovered: bool,
    /// The share of requests served, second by second.
    pub served: Vec<f64>,
    /// By role: how many of its nodes were down at once, at most.
    pub down_at_once: BTreeMap<String, u32>,
    /// By role: seconds of the faults with exactly so many nodes down; the first entry is of none.
    pub down_seconds: BTreeMap<String, Vec<f64>>,
}

impl Outcome {
    /// Hours of downtime if the faults had lasted `hours`: what was down in their second half goes on at that share.
    pub fn down_hours(&self, hours: f64) -> f64 {
        let lasts = self.settled_share() * (hours * 3_600.0 - self.fault_seconds).max(0.0);
        (self.down_within_seconds + self.down_after_seconds + lasts) / 3_600.0
    }

    /// The share of time that the service is down while the faults last, once it has settled.
    pub fn settled_share(&self) -> f64 {
        if self.settled_seconds > 0.0 { self.down_settled_seconds / self.settled_seconds } else { 0.0 }
    }

    /// The share of the faults in which at least `failures` nodes of `role` were down.
    pub fn share_down(&self, role: &str, failures: u32) -> f64 {
        let seconds = self.down_seconds.get(role).map_or(&[][..], Vec::as_slice);
        let down: f64 = seconds.iter().skip(usize::try_from(failures).unwrap_or(usize::MAX)).sum();
        if self.fault_seconds > 0.0 { down / self.fault_seconds } else { 0.0 }
    }
}

/// Measures an [`Outcome`] as the history is written.
pub struct OutcomeObserver {
    run: Run,
    duration_ns: u64,
    /// When all faults acted together: from the last start to the first end.
    window: (u64, u64),
    role_of: Vec<String>,
    index_of: BTreeMap<String, usize>,
    /// By fault: the names of the nodes that it takes, `leader of ROLE` among them; none where it only slows them.
    takes: Vec<Vec<String>>,
    /// By fault: the nodes that it holds.
    holds: BTreeMap<u32, Vec<usize>>,
    /// By node: how many faults hold it.
    held: Vec<u32>,
    /// By role: who led last.
    leaders: BTreeMap<String, usize>,
    exited: Vec<bool>,
    down: BTreeMap<String, Down>,
    submitted: BTreeMap<Id, (u64, bool)>,
    acknowledged: BTreeSet<Id>,
    done: BTreeSet<Id>,
    drained: bool,
    result: Arc<Mutex<Outcome>>,
}

/// How many nodes of a role are down.
#[derive(Default)]
struct Down {
    now: usize,
    since_ns: u64,
    most: usize,
    /// Nanoseconds of the window with so many down.
    spent_ns: Vec<u64>,
}

impl OutcomeObserver {
    /// An observer of a run of `plan`, and where its outcome will be once the history has ended.
    pub fn new(plan: &Plan, run: &Run) -> (Self, Arc<Mutex<Outcome>>) {
        let result = Arc::new(Mutex::new(Outcome::default()));
        let start = plan.faults.iter().map(|fault| fault.start_ns).max().unwrap_or(0);
        let end = plan.faults.iter().map(|fault| fault.end_ns).min().unwrap_or(0);
        let mut down: BTreeMap<String, Down> = BTreeMap::new();
        for node in &plan.nodes {
            down.entry(node.role.clone()).or_default().spent_ns.push(0);
        }
        down.values_mut().for_each(|down| down.spent_ns.push(0));
        let observer = Self {
            run: *run,
            duration_ns: plan.duration_ns,
            window: (start, end.max(start)),
            role_of: plan.nodes.iter().map(|node| node.role.clone()).collect(),
            index_of: plan.nodes.iter().enumerate().map(|(index, node)| (node.name.clone(), index)).collect(),
            takes: plan.faults.iter().map(|fault| harm::takes(&fault.inject)).collect(),
            holds: BTreeMap::new(),
            held: vec![0; plan.nodes.len()],
            leaders: BTreeMap::new(),
            exited: vec![false; plan.nodes.len()],
            down,
            submitted: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            done: BTreeSet::new(),
            drained: false,
            result: result.clone(),
        };
        (observer, result)
    }

    /// Counts `node` as down or up, as `change` leaves it.
    fn change(&mut self, node: usize, at_ns: u64, change: impl FnOnce(&mut Self)) {
        let before = self.is_down(node);
        change(self);
        let after = self.is_down(node);
        let window = self.window;
        let Some(down) = self.role_of.get(node).and_then(|role| self.down.get_mut(role)) else { return };
        if before == after {
            return;
        }
        down.advance(at_ns, window);
        down.now = if after { down.now + 1 } else { down.now.saturating_sub(1) };
        if at_ns <= window.1 {
            down.most = down.most.max(down.now);
        }
    }

    fn is_down(&self, node: usize) -> bool {
        self.exited.get(node).copied().unwrap_or(false)
            || self.held.get(node).is_some_and(|faults| *faults > 0)
    }

    fn begin_fault(&mut self, fault: u32, at_ns: u64) {
        let names = self.takes.get(fault as usize).cloned().unwrap_or_default();
        let held: Vec<usize> = names.iter().filter_map(|name| self.node_called(name)).collect();
        for node in &held {
            self.change(*node, at_ns, |this| this.held[*node] += 1);
        }
        self.holds.insert(fault, held);
    }

    fn end_fault(&mut self, fault: u32, at_ns: u64) {
        for node in self.holds.remove(&fault).unwrap_or_default() {
            self.change(node, at_ns, |this| this.held[node] = this.held[node].saturating_sub(1));
        }
    }

    fn node_called(&self, name: &str) -> Option<usize> {
        let leader = name.strip_prefix(harm::LEADER_OF).map(|role| {
            let first = || self.index_of.get(&format!("{role}-1")).copied();
            self.leaders.get(role).copied().or_else(first)
        });
        leader.unwrap_or_else(|| self.index_of.get(name).copied())
    }

    fn end(&mut self) {
        let (start, end) = self.window;
        let count = usize::try_from(self.duration_ns / SECOND).unwrap_or(0);
        let mut bins = vec![(0_u32, 0_u32); count];
        for (at_ns, served) in self.submitted.values() {
            let Some(bin) = usize::try_from(at_ns / SECOND).ok().and_then(|second| bins.get_mut(second))
            else {
                continue;
            };
            bin.0 += 1;
            bin.1 += u32::from(*served);
        }
        let served: Vec<f64> = bins
            .iter()
            .map(|(all, served)| if *all == 0 { 1.0 } else { f64::from(*served) / f64::from(*all) })
            .collect();
        let mut outcome = Outcome {
            submitted: self.submitted.len() as u64,
            lost: self.acknowledged.difference(&self.done).count() as u64,
            drained: self.drained,
            fault_seconds: seconds(end - start),
            recovered: true,
            ..Outcome::default()
        };
        let middle = start + (end - start) / 2;
        let settled = middle..end.saturating_sub(self.run.served_within_ns).max(middle);
        let mut judged = (0_u32, 0_u32);
        for ((second, share), (all, in_time)) in (0_u64..).zip(&served).zip(&bins) {
            let (from, until) = (second * SECOND, (second + 1) * SECOND);
            let down = if *share < self.run.down_below { 1.0 } else { 0.0 };
            if from >= settled.start && until <= settled.end {
                outcome.settled_seconds += 1.0;
                judged = (judged.0 + all, judged.1 + in_time);
            }
            if down == 0.0 || until <= start {
                continue;
            }
            if from < end {
                outcome.down_within_seconds += 1.0;
            } else {
                outcome.down_after_seconds += 1.0;
            }
            if until > end {
                outcome.recovery_seconds = seconds(until - end);
                outcome.recovered = until + SECOND <= self.duration_ns;
            }
        }
        if f64::from(judged.1) < self.run.down_below * f64::from(judged.0) {
            outcome.down_settled_seconds = outcome.settled_seconds;
        }
        outcome.served = served.iter().map(|share| (share * 1e3).round() / 1e3).collect();
        for (role, down) in &mut self.down {
            down.advance(self.duration_ns, (start, end));
            outcome.down_at_once.insert(role.clone(), u32::try_from(down.most).unwrap_or(u32::MAX));
            let spent = down.spent_ns.iter().map(|spent| seconds(*spent)).collect();
            outcome.down_seconds.insert(role.clone(), spent);
        }
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
    }
}

impl Down {
    /// Counts the time up to `at_ns` that lies in the window.
    fn advance(&mut self, at_ns: u64, (start, end): (u64, u64)) {
        let spent = at_ns.min(end).saturating_sub(self.since_ns.max(start));
        if let Some(entry) = self.spent_ns.get_mut(self.now) {
            *entry += spent;
        }
        self.since_ns = at_ns;
    }
}

impl Observer for OutcomeObserver {
    fn observe(&mut self, event: &Event) {
        let (at_ns, node) = (event.at_ns, event.node.0 as usize);
        match &event.fact {
            Fact::Submit { id, attempt: 1 } => drop(self.submitted.insert(*id, (at_ns, false))),
            Fact::Acknowledge { id } => {
                self.acknowledged.insert(*id);
                let within_ns = self.run.served_within_ns;
                if let Some((submitted_ns, served)) = self.submitted.get_mut(id) {
                    *served |= at_ns.saturating_sub(*submitted_ns) <= within_ns;
                }
            }
            Fact::Finish { id, .. } | Fact::Quarantine { id, .. } => drop(self.done.insert(*id)),
            Fact::Exit { .. } => self.change(node, at_ns, |this| set(&mut this.exited, node, true)),
            Fact::Boot { .. } => self.change(node, at_ns, |this| set(&mut this.exited, node, false)),
            Fact::FaultStart { fault, .. } => self.begin_fault(*fault, at_ns),
            Fact::FaultEnd { fault } => self.end_fault(*fault, at_ns),
            Fact::Lead { .. } => {
                if let Some(role) = self.role_of.get(node) {
                    self.leaders.insert(role.clone(), node);
                }
            }
            Fact::Drained {} => self.drained = true,
            Fact::End { .. } => self.end(),
            _ => {}
        }
    }
}

fn set(exited: &mut [bool], node: usize, value: bool) {
    if let Some(entry) = exited.get_mut(node) {
        *entry = value;
    }
}
