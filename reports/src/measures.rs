//! How long requests took.

use crate::past::PastRun;
use serde::Serialize;
use sim::history::{Event, Fact, Id};
use std::collections::BTreeMap;

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
    /// The slowest.
    pub max_ns: Option<u64>,
}

impl Latencies {
    /// Those of a run.
    pub fn of(run: &PastRun) -> Self {
        let mut sorted: Vec<u64> =
            latencies(run.events()).into_iter().map(|(_, _, latency_ns)| latency_ns).collect();
        sorted.sort_unstable();
        let (p50_ns, p99_ns) = (percentile(&sorted, 50), percentile(&sorted, 99));
        Self { received: sorted.len(), p50_ns, p99_ns, max_ns: sorted.last().copied() }
    }
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

/// The least of the sorted `values` that `percent` of them do not exceed.
pub(crate) fn percentile(values: &[u64], percent: usize) -> Option<u64> {
    let rank = (values.len() * percent).div_ceil(100);
    values.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!(
            [50, 99, 100].map(|percent| percentile(&values, percent)),
            [Some(100), Some(198), Some(200)]
        );
        assert_eq!(percentile(&[7], 99), Some(7));
        assert_eq!(percentile(&[], 50), None);
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
