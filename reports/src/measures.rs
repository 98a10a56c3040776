//! How long requests took, how many were answered well, and how busy the cores were.

use crate::past::PastRun;
use serde::Serialize;
use sim::history::{Event, Fact, Id, Observer};
use sim::plan::Plan;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Latencies from a request's first submission to its result, of those that were received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Latencies {
    /// How many requests were received.
    pub received: usize,
    /// Half of them took no longer.
    pub p50_ns: Option<u64>,
    /// 99 of 100 took no longer.
    pub p99_ns: Option<u64>,
    /// 999 of 1000 took no longer.
    pub p999_ns: Option<u64>,
    /// The slowest.
    pub max_ns: Option<u64>,
}

impl Latencies {
    /// Those of a run.
    pub fn of(run: &PastRun) -> Self {
        Self::of_all(latencies(run.events()).into_iter().map(|(_, _, latency_ns)| latency_ns).collect())
    }

    fn of_all(mut latencies: Vec<u64>) -> Self {
        latencies.sort_unstable();
        let [p50_ns, p99_ns, p999_ns] = [500, 990, 999].map(|rank| quantile(&latencies, rank));
        let max_ns = latencies.last().copied();
        Self { received: latencies.len(), p50_ns, p99_ns, p999_ns, max_ns }
    }
}

/// How a run went, in the figures of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Figures {
    /// How many requests were sent.
    pub requests: usize,
    /// The share that was answered well: with what was asked for, or with a refusal of a senseless question.
    pub availability: Option<f64>,
    /// How long they took.
    pub latency_ns: Latencies,
    /// By role, where any work was charged: the share of its nodes' cores that was at work from the first request until load
    /// and faults ended.
    pub utilisation: BTreeMap<String, f64>,
}

impl Figures {
    /// Lines for a person.
    pub(crate) fn lines(&self, plan: &Plan) -> Vec<String> {
        let Self { requests, availability, latency_ns, utilisation } = self;
        let mut lines = Vec::new();
        if let Some(availability) = availability {
            let Latencies { p50_ns, p99_ns, p999_ns, max_ns, .. } = latency_ns;
            let times = [("p50", p50_ns), ("p99", p99_ns), ("p99.9", p999_ns), ("slowest", max_ns)];
            let times = times
                .iter()
                .filter_map(|(name, ns)| Some(format!("{name} {}", sim::duration_text::readable((**ns)?))));
            let times = times.collect::<Vec<_>>().join(", ");
            let well = format!("{requests} requests, {:.4} % answered well", availability * 100.0);
            lines.push(if times.is_empty() { well } else { format!("{well}: {times}") });
        }
        let busy = utilisation.iter().map(|(role, share)| {
            let cores: u32 = plan.nodes.iter().filter(|node| node.role == *role).map(|node| node.cores).sum();
            format!("the {cores} cores of role {role} were {:.2} % busy", share * 100.0)
        });
        lines.extend(busy);
        lines
    }
}

/// Measures [`Figures`] as the history is written.
pub(crate) struct FiguresObserver(Arc<Mutex<Seen>>);

/// What it has seen so far.
#[derive(Default)]
pub(crate) struct Seen {
    /// Requests without an answer, and when they were first sent.
    open: BTreeMap<Id, u64>,
    requests: usize,
    well: usize,
    latencies: Vec<u64>,
    first_sent_ns: Option<u64>,
}

impl FiguresObserver {
    pub(crate) fn new() -> (Self, Arc<Mutex<Seen>>) {
        let seen = Arc::default();
        (Self(Arc::clone(&seen)), seen)
    }
}

impl Observer for FiguresObserver {
    fn observe(&mut self, event: &Event) {
        let mut seen = self.0.lock().expect("no observer panics");
        let at_ns = event.at_ns;
        match event.fact {
            Fact::Submit { id, attempt: 1 } => {
                seen.first_sent_ns.get_or_insert(at_ns);
                seen.requests += usize::from(seen.open.insert(id, at_ns).is_none());
            }
            Fact::Receive { id, .. } => {
                if let Some(sent_ns) = seen.open.remove(&id) {
                    seen.latencies.push(at_ns - sent_ns);
                    seen.well += 1;
                }
            }
            Fact::Refuse { id, status } => {
                let well = seen.open.remove(&id).is_some() && is_of_the_input(status);
                seen.well += usize::from(well);
            }
            Fact::GiveUp { id } => drop(seen.open.remove(&id)),
            _ => {}
        }
    }
}

impl Seen {
    /// The figures of a run of `plan`, whose nodes' cores were busy for so long.
    #[expect(clippy::cast_precision_loss, reason = "shares")]
    pub(crate) fn figures(&mut self, plan: &Plan, busy_ns: &[u64]) -> Figures {
        let window_ns = plan.duration_ns.saturating_sub(self.first_sent_ns.unwrap_or(0)).max(1);
        let mut roles: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (node, busy_ns) in plan.nodes.iter().zip(busy_ns) {
            let (busy, cores) = roles.entry(&node.role).or_default();
            *busy += busy_ns;
            *cores += u64::from(node.cores);
        }
        let worked = roles.into_iter().filter(|(_, (busy_ns, _))| *busy_ns > 0);
        Figures {
            requests: self.requests,
            availability: (self.requests > 0).then(|| self.well as f64 / self.requests as f64),
            latency_ns: Latencies::of_all(std::mem::take(&mut self.latencies)),
            utilisation: worked
                .map(|(role, (busy_ns, cores))| {
                    (role.to_owned(), busy_ns as f64 / (cores as f64 * window_ns as f64))
                })
                .collect(),
        }
    }
}

/// Refusals that are the right answer to a bad question.
fn is_of_the_input(status: u32) -> bool {
    matches!(status, 400 | 413 | 415 | 422)
}

/// Each request that was received: when, and how long after it was first sent.
pub(crate) fn latencies(events: impl Iterator<Item = Event>) -> Vec<(Id, u64, u64)> {
    let mut sent: BTreeMap<Id, u64> = BTreeMap::new();
    let mut latencies = Vec::new();
    for event in events {
        match event.fact {
            Fact::Submit { id, .. } => {
                sent.entry(id).or_insert(event.at_ns);
            }
            Fact::Receive { id, .. } => {
                latencies.extend(sent.remove(&id).map(|sent_ns| (id, event.at_ns, event.at_ns - sent_ns)));
            }
            _ => {}
        }
    }
    latencies
}

/// The least of the sorted `values` that so many of a thousand do not exceed.
pub(crate) fn quantile(values: &[u64], per_mille: usize) -> Option<u64> {
    let rank = (values.len() * per_mille).div_ceil(1000);
    values.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!(
            [500, 990, 1000].map(|per_mille| quantile(&values, per_mille)),
            [Some(100), Some(198), Some(200)]
        );
        assert_eq!(quantile(&[7], 990), Some(7));
        assert_eq!(quantile(&[], 500), None);
    }

    #[test]
    fn a_request_is_timed_from_its_first_submission_and_once() {
        let text = "1s client submit id=0.1 attempt=1\n3s client submit id=0.1 attempt=2\n\
                    4s client receive id=0.1 output=aa\n5s client receive id=0.1 output=aa\n6s client submit id=0.2 attempt=1";
        let events = sim::history::from_text(text, &["client"]).unwrap();
        let expected = [(Id::new(0, 1), 4_000_000_000, 3_000_000_000)];
        assert_eq!(latencies(events.into_iter()), expected);
    }
}
