//! `service` and `resilience`: what customers were promised, over windows of time.

use crate::names::Names;
use crate::verdict::Violations;
use crate::{Invariant, Law, Outcome};
use sim::duration_text;
use sim::history::{Event, Fact, Id, WORLD};
use sim::plan::{Objectives, Plan};
use std::collections::{BTreeMap, BTreeSet};

/// The promises of an ordinary day, whatever happens in it.
pub const SERVICE: Law = Law {
    name: "service",
    sentence: "the plan's objectives are met: in every window so many requests are answered well and so quickly, no more of \
               all fail than the error budget has, and no customer gets less than a fair share",
    needs: "an objective in the plan for availability, latency, error-budget or fairness, and requests",
    survives: &[],
    make: |plan| Box::new(Levels::new(plan, false)),
};

/// What bad days leave behind, and how far they reach.
pub const RESILIENCE: Law = Law {
    name: "resilience",
    sentence: "no harm outlives its cause by more than the plan's objective for recovery, and none reaches more customers than \
               that for the blast radius",
    needs: "an objective in the plan for recovery or blast-radius, a fault, and requests during it or after it",
    survives: &[],
    make: |plan| Box::new(Levels::new(plan, true)),
};

/// Windows where the plan does not say.
const WINDOW_NS: u64 = 10_000_000_000;
/// Of so many good answers, one may take longer than the objective for latency.
const LATENCY_ONE_IN: usize = 100;
/// Customers with fewer requests say nothing of fairness.
const FAIR_REQUESTS_MIN: u64 = 10;

/// Both laws at work; each says only its own. All is judged at the end, when it is known which answers never came.
struct Levels {
    names: Names,
    resilience: bool,
    objectives: Objectives,
    /// Whether any objective is one that this law judges: without a promise nothing is kept.
    promises: bool,
    duration_ns: u64,
    requests: BTreeMap<Id, Request>,
    /// Start and end of faults, by their place in the plan.
    faults: BTreeMap<u32, (Event, Option<u64>)>,
    violations: Violations,
    judged: u64,
}

struct Request {
    sent: Event,
    /// How long the good answer took.
    good_ns: Option<u64>,
    settled: bool,
}

/// Refusals that are the right answer to a bad question.
fn is_of_the_input(status: u32) -> bool {
    matches!(status, 400 | 413 | 415 | 422)
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(part: u64, of: u64) -> f64 {
    part as f64 / of.max(1) as f64
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

impl Levels {
    fn new(plan: &Plan, resilience: bool) -> Self {
        let Objectives { availability, latency_ns, error_budget, fairness, .. } = plan.objectives;
        let Objectives { recovery_ns, blast_radius, .. } = plan.objectives;
        let promises = if resilience {
            recovery_ns.is_some() || blast_radius.is_some()
        } else {
            latency_ns.is_some() || [availability, error_budget, fairness].iter().any(Option::is_some)
        };
        Self {
            names: Names::of(plan),
            resilience,
            objectives: plan.objectives,
            promises,
            duration_ns: plan.duration_ns,
            requests: BTreeMap::new(),
            faults: BTreeMap::new(),
            violations: Violations::default(),
            judged: 0,
        }
    }

    fn answer(&mut self, at_ns: u64, id: Id, good: bool) {
        if let Some(request) = self.requests.get_mut(&id).filter(|request| !request.settled) {
            request.settled = true;
            request.good_ns = good.then_some(at_ns - request.sent.at_ns);
        }
    }

    /// The requests that were first sent from `from_ns` up to `to_ns`.
    fn sent(&self, from_ns: u64, to_ns: u64) -> Vec<(Id, &Request)> {
        let sent = self.requests.iter().map(|(id, request)| (*id, request));
        sent.filter(|(_, request)| (from_ns..to_ns).contains(&request.sent.at_ns)).collect()
    }

    fn add(&mut self, at_ns: u64, shape: &str, message: String, failed: &[Event]) {
        let id = failed.iter().find_map(|event| match event.fact {
            Fact::Submit { id, .. } => Some(id),
            _ => None,
        });
        let mut lines: Vec<_> = failed.iter().take(10).map(|event| self.names.line(event)).collect();
        if failed.len() > lines.len() {
            lines.push(format!("and {} more that got no good answer", failed.len() - lines.len()));
        }
        self.violations.add_all(at_ns, shape, id, message, lines);
    }

    fn judge(&mut self, at_ns: u64) {
        let window_ns = self.objectives.window_ns.unwrap_or(WINDOW_NS).max(1);
        let windows: Vec<_> = (0..self.duration_ns.div_ceil(window_ns))
            .map(|number| (number * window_ns, (number + 1) * window_ns))
            .collect();
        if self.resilience {
            self.recovery(at_ns, &windows);
            self.blast_radius(at_ns);
        } else {
            windows.iter().for_each(|window| self.window(at_ns, *window));
            self.error_budget(at_ns);
        }
    }

    fn window(&mut self, at_ns: u64, (from_ns, to_ns): (u64, u64)) {
        let Objectives { availability, latency_ns, fairness, .. } = self.objectives;
        let sent = self.sent(from_ns, to_ns);
        if sent.is_empty() || availability.is_none() && latency_ns.is_none() && fairness.is_none() {
            return;
        }
        let failed: Vec<_> =
            sent.iter().filter(|(_, one)| one.good_ns.is_none()).map(|(_, one)| one.sent.clone()).collect();
        let good = share((sent.len() - failed.len()) as u64, sent.len() as u64);
        let mut slow: Vec<_> =
            sent.iter().filter_map(|(_, one)| Some((one.good_ns?, one.sent.clone()))).collect();
        slow.sort_by_key(|(took_ns, _)| std::cmp::Reverse(*took_ns));
        let slowest = slow.get(slow.len() / LATENCY_ONE_IN).cloned();
        let unfair = fairness.filter(|_| !failed.is_empty()).and_then(|least| unfair(&sent, least));
        let requests = sent.len();
        self.judged += 1;
        let span = format!("from {} to {}", duration_text::format(from_ns), duration_text::format(to_ns));
        if let Some(least) = availability.filter(|least| good < *least) {
            let (good, least) = (percent(good), percent(least));
            let message = format!(
                "{span} {good} of {requests} requests were answered well, and {least} is the objective"
            );
            self.add(at_ns, "availability", message, &failed);
        }
        if let (Some(most_ns), Some((took_ns, event))) = (latency_ns, slowest)
            && took_ns > most_ns
        {
            let (took, most) = (duration_text::readable(took_ns), duration_text::readable(most_ns));
            let message = format!("{span} 99 of 100 answers took up to {took}, and {most} is the objective");
            self.add(at_ns, "latency", message, &[event]);
        }
        if let Some((client, its, all)) = unfair {
            let (its, all) = (percent(its), percent(all));
            let message = format!(
                "{span} customer {client} had {its} of its requests answered well where all had {all}"
            );
            let of_client =
                |event: &&Event| matches!(event.fact, Fact::Submit { id, .. } if id.client() == client);
            let failed: Vec<_> = failed.iter().filter(of_client).cloned().collect();
            self.add(at_ns, "fairness", message, &failed);
        }
    }

    fn error_budget(&mut self, at_ns: u64) {
        let Some(budget) = self.objectives.error_budget.filter(|_| !self.requests.is_empty()) else { return };
        self.judged += 1;
        let failed = self.requests.values().filter(|one| one.good_ns.is_none());
        let failed: Vec<_> = failed.map(|one| one.sent.clone()).collect();
        let spent = share(failed.len() as u64, self.requests.len() as u64);
        if spent > budget {
            let (spent, budget) = (percent(spent), percent(budget));
            let message = format!("{spent} of all requests failed, and the error budget is {budget}");
            self.add(at_ns, "error budget", message, &failed);
        }
    }

    /// Windows that begin long enough after every fault's end show nothing of it: no request fails that was first sent then.
    fn recovery(&mut self, at_ns: u64, windows: &[(u64, u64)]) {
        let Some(recovery_ns) = self.objectives.recovery_ns else { return };
        let quiet = |(from_ns, to_ns): &&(u64, u64)| {
            let clear = |(start, end_ns): &(Event, Option<u64>)| {
                start.at_ns >= *to_ns
                    || end_ns.is_some_and(|end_ns| end_ns.saturating_add(recovery_ns) <= *from_ns)
            };
            let after =
                self.faults.values().any(|(_, end_ns)| end_ns.is_some_and(|end_ns| end_ns <= *from_ns));
            after && self.faults.values().all(clear)
        };
        let quiet: Vec<_> = windows.iter().filter(quiet).copied().collect();
        for (from_ns, to_ns) in quiet {
            let sent = self.sent(from_ns, to_ns);
            let requests = sent.len();
            let failed = sent.iter().filter(|(_, one)| one.good_ns.is_none());
            let failed: Vec<_> = failed.map(|(_, one)| one.sent.clone()).collect();
            self.judged += u64::from(requests > 0);
            if !failed.is_empty() {
                let ends = self.faults.iter().filter_map(|(fault, (_, end_ns))| Some(((*end_ns)?, *fault)));
                let (end_ns, fault) = ends.filter(|(end_ns, _)| *end_ns <= from_ns).max().unwrap_or_default();
                let ended = duration_text::readable(end_ns);
                let end = Event { at_ns: end_ns, node: WORLD, fact: Fact::FaultEnd { fault } };
                let message = format!(
                    "{} of {requests} requests from {} to {} failed, and the last fault had ended at {ended}",
                    failed.len(),
                    duration_text::format(from_ns),
                    duration_text::format(to_ns),
                );
                self.add(at_ns, "harm outlives its cause", message, &[&[end], &failed[..]].concat());
            }
        }
    }

    /// Of faults that were alone in their time: how many customers had a request fail that was first sent during them.
    fn blast_radius(&mut self, at_ns: u64) {
        let Some(most) = self.objectives.blast_radius else { return };
        let span = |(start, end_ns): &(Event, Option<u64>)| (start.at_ns, end_ns.unwrap_or(u64::MAX));
        let spans: Vec<_> = self.faults.iter().map(|(fault, times)| (*fault, span(times))).collect();
        for (fault, (start_ns, end_ns)) in &spans {
            let alone = spans
                .iter()
                .all(|(other, (start, end))| other == fault || start >= end_ns || end <= start_ns);
            let sent = self.sent(*start_ns, *end_ns);
            if !alone || sent.is_empty() {
                continue;
            }
            let customers: BTreeSet<_> = sent.iter().map(|(id, _)| id.client()).collect();
            let failed: Vec<_> = sent.iter().filter(|(_, one)| one.good_ns.is_none()).collect();
            let hurt: BTreeSet<_> = failed.iter().map(|(id, _)| id.client()).collect();
            let (hurt_share, failed) = (
                share(hurt.len() as u64, customers.len() as u64),
                failed.iter().map(|(_, one)| one.sent.clone()).collect::<Vec<_>>(),
            );
            self.judged += 1;
            if hurt_share > most {
                let message = format!(
                    "fault {fault} hurt {} of {} customers, and {} is the most that one cause may hurt",
                    hurt.len(),
                    customers.len(),
                    percent(most),
                );
                let start = self.faults.get(fault).map(|(start, _)| start.clone());
                let events: Vec<Event> = start.into_iter().chain(failed).collect();
                self.add(at_ns, "blast radius", message, &events);
            }
        }
    }
}

/// A customer whose share of good answers is below `least` of what all have: who, its share, that of all.
fn unfair(sent: &[(Id, &Request)], least: f64) -> Option<(u32, f64, f64)> {
    let mut clients: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for (id, request) in sent {
        let (good, all) = clients.entry(id.client()).or_default();
        *good += u64::from(request.good_ns.is_some());
        *all += 1;
    }
    let sum = |part: fn(&(u64, u64)) -> u64| clients.values().map(part).sum::<u64>();
    let all = share(sum(|(good, _)| *good), sum(|(_, all)| *all));
    let counted = clients.iter().filter(|(_, (_, requests))| *requests >= FAIR_REQUESTS_MIN);
    let shares = counted.map(|(client, (good, requests))| (*client, share(*good, *requests)));
    let worst = shares.min_by(|(_, one), (_, other)| one.total_cmp(other));
    worst.filter(|(_, its)| *its < least * all).map(|(client, its)| (client, its, all))
}

impl Invariant for Levels {
    fn observe(&mut self, event: &Event) {
        if !self.promises {
            return;
        }
        match event.fact {
            Fact::Submit { id, .. } => {
                let request = || Request { sent: event.clone(), good_ns: None, settled: false };
                self.requests.entry(id).or_insert_with(request);
            }
            Fact::Receive { id, .. } => self.answer(event.at_ns, id, true),
            Fact::Refuse { id, status } => self.answer(event.at_ns, id, is_of_the_input(status)),
            Fact::GiveUp { id } => self.answer(event.at_ns, id, false),
            Fact::FaultStart { fault, .. } => drop(self.faults.insert(fault, (event.clone(), None))),
            Fact::FaultEnd { fault } => {
                if let Some((_, end_ns)) = self.faults.get_mut(&fault) {
                    *end_ns = Some(event.at_ns);
                }
            }
            Fact::End { .. } => self.judge(event.at_ns),
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        Outcome { violations: self.violations.into_vec(), exercised: self.judged, unknown: None }
    }
}
