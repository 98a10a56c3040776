//! The operations of a plan's workload, each with chance of its own.

use crate::history::Id;
use crate::plan::{Arrivals, Step, Workload};
use crate::rng::Stream;
use crate::stack::Operation;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The operations of one client, in order of time.
///
/// A client's arrivals are as the workload says, at its rate over its number of clients, drawn from the stream `client-N`;
/// what operation K asks comes from `client-N/K`. Operations that `only` leaves out are drawn too, so
/// that those which stay keep their times. None while the rate is no number above 0, or so high or so low that the mean time
/// between two requests of a client is no time at all.
pub fn operations(workload: &Workload, seed: u64, client: u32, duration_ns: u64) -> Vec<Operation> {
    let kept = kept_of(workload, client);
    let chance = Stream::fixed(seed, &format!("client-{client}"));
    let mut times = Times::new(workload, client, chance);
    let mut operations = Vec::new();
    for number in 0.. {
        let Some(at_ns) = times.next().filter(|at_ns| *at_ns < duration_ns) else { break };
        if kept.as_ref().is_none_or(|ranges| ranges.iter().any(|range| range.contains(&number))) {
            operations.push(Operation { id: Id::new(client, number), at_ns, seed });
        }
    }
    operations
}

/// The times of one client's requests: one draw each, however often the rate changes, so that a change leaves the requests
/// before it where they were.
struct Times<'a> {
    clients: u32,
    chance: Stream,
    pace: Pace,
    at_ns: u64,
    /// The mean time between two requests; none while there are none.
    mean_ns: Option<u64>,
    /// Changes to come.
    steps: &'a [Step],
}

impl<'a> Times<'a> {
    fn new(workload: &'a Workload, client: u32, chance: Stream) -> Self {
        let clients = workload.clients;
        let pace = match workload.arrivals {
            Arrivals::Poisson => Pace::Poisson,
            Arrivals::Even => Pace::Even { turn: f64::from(client) / f64::from(clients), slot: 0.0, at: 0.0 },
        };
        let mean_ns = mean_ns(clients, workload.rate_per_s);
        Self { clients, chance, pace, at_ns: 0, mean_ns, steps: &workload.steps }
    }

    fn next(&mut self) -> Option<u64> {
        let mut mean_ns = self.mean_or_next()?;
        let mut wait_ns = self.wait_ns(mean_ns);
        loop {
            let next_ns = self.at_ns.saturating_add(wait_ns);
            let Some(step) = self.steps.first().filter(|step| step.at_ns <= next_ns) else {
                self.at_ns = next_ns;
                return Some(next_ns);
            };
            // What is left of the wait passes at the new pace.
            let left_ns = next_ns - step.at_ns.max(self.at_ns);
            let before_ns = mean_ns;
            self.take_step();
            mean_ns = self.mean_or_next()?;
            wait_ns = scaled(left_ns, mean_ns, before_ns);
        }
    }

    fn wait_ns(&mut self, mean_ns: u64) -> u64 {
        match &mut self.pace {
            Pace::Poisson => self.chance.exponential_ns(mean_ns),
            Pace::Even { turn, slot, at } => {
                let next = *slot + *turn + self.chance.unit() / f64::from(self.clients);
                let means = next - *at;
                (*slot, *at) = (*slot + 1.0, next);
                times(mean_ns, means)
            }
        }
    }

    /// The mean time between requests, from the first moment on at which there are any.
    fn mean_or_next(&mut self) -> Option<u64> {
        while self.mean_ns.is_none() {
            self.take_step()?;
        }
        self.mean_ns
    }

    fn take_step(&mut self) -> Option<()> {
        let (step, rest) = self.steps.split_first()?;
        self.at_ns = self.at_ns.max(step.at_ns);
        self.mean_ns = mean_ns(self.clients, step.rate_per_s);
        self.steps = rest;
        Some(())
    }
}

/// How a client's times follow one another.
enum Pace {
    Poisson,
    /// In units of the mean time between two of its requests.
    Even {
        /// Where within each its turn begins.
        turn: f64,
        /// The next.
        slot: f64,
        /// The latest request.
        at: f64,
    },
}

/// The mean time between two requests of one of `clients`; none where that is no time.
fn mean_ns(clients: u32, rate_per_s: f64) -> Option<u64> {
    let mean = Duration::try_from_secs_f64(f64::from(clients) / rate_per_s).ok()?;
    (!mean.is_zero()).then(|| u64::try_from(mean.as_nanos()).unwrap_or(u64::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "the share of two mean times")]
fn scaled(time_ns: u64, to: u64, from: u64) -> u64 {
    times(time_ns, to as f64 / from as f64)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a random time, never negative; saturates"
)]
fn times(time_ns: u64, factor: f64) -> u64 {
    (time_ns as f64 * factor).round() as u64
}

/// Reads `CLIENT.FIRST-LAST` or `CLIENT.NUMBER`.
pub fn parse_only(text: &str) -> Option<(u32, RangeInclusive<u32>)> {
    let (client, numbers) = text.split_once('.')?;
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let range = first.parse().ok()?..=last.parse().ok()?;
    (!range.is_empty()).then_some((client.parse().ok()?, range))
}

fn kept_of(workload: &Workload, client: u32) -> Option<Vec<RangeInclusive<u32>>> {
    let only = workload.only.as_ref()?;
    let ranges = only.iter().filter_map(|text| parse_only(text));
    Some(ranges.filter(|(of, _)| *of == client).map(|(_, range)| range).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(only: Option<&[&str]>) -> Workload {
        let only = only.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect());
        Workload { clients: 4, rate_per_s: 40.0, only, ..Workload::default() }
    }

    #[test]
    fn clients_together_make_the_requests_of_the_rate() {
        let total: usize =
            (0..4).map(|client| operations(&workload(None), 1, client, 100_000_000_000).len()).sum();
        assert!((3_700..4_300).contains(&total), "{total} operations in 100 s at 40 a second");
    }

    #[test]
    fn leaving_operations_out_changes_none_that_stay() {
        let all = operations(&workload(None), 7, 2, 10_000_000_000);
        let some = operations(&workload(Some(&["2.3-4", "2.9", "1.0"])), 7, 2, 10_000_000_000);
        assert_eq!(some.iter().map(|operation| operation.id.operation()).collect::<Vec<_>>(), [3, 4, 9]);
        for operation in some {
            let twin = all[usize::try_from(operation.id.operation()).unwrap()];
            assert_eq!(operation.at_ns, twin.at_ns);
            assert_eq!(operation.chance().next_u64(), twin.chance().next_u64());
        }
    }

    #[test]
    fn rates_that_cannot_be_make_no_requests() {
        for rate_per_s in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, 1e300] {
            let odd = Workload { rate_per_s, ..workload(None) };
            assert_eq!(operations(&odd, 1, 0, 1_000_000_000).len(), 0, "{rate_per_s}");
        }
        let nobody = Workload { clients: 0, ..workload(None) };
        assert_eq!(operations(&nobody, 1, 0, 1_000_000_000).len(), 0);
    }

    #[test]
    fn a_step_changes_the_rate_from_its_time_on_and_nothing_before_it() {
        let steady = workload(None);
        let step = |at_s: u64, rate_per_s| Step { at_ns: at_s * 1_000_000_000, rate_per_s };
        let stepped =
            Workload { steps: vec![step(50, 160.0), step(100, 0.0), step(150, 20.0)], ..steady.clone() };
        let times = |workload: &Workload| -> Vec<u64> {
            let of = |client| operations(workload, 3, client, 250_000_000_000);
            let mut times: Vec<_> = (0..4).flat_map(of).map(|operation| operation.at_ns).collect();
            times.sort_unstable();
            times
        };
        let (steady, stepped) = (times(&steady), times(&stepped));
        let in_span = |times: &[u64], from_s: u64, to_s: u64| -> Vec<u64> {
            let span = from_s * 1_000_000_000..to_s * 1_000_000_000;
            times.iter().copied().filter(|at_ns| span.contains(at_ns)).collect()
        };
        assert_eq!(in_span(&stepped, 0, 50), in_span(&steady, 0, 50));
        let counts = [(50, 100), (100, 150), (150, 250)].map(|(from, to)| in_span(&stepped, from, to).len());
        assert!((7_600..8_400).contains(&counts[0]), "{counts:?}");
        assert_eq!(counts[1], 0, "{counts:?}");
        assert!((1_820..2_180).contains(&counts[2]), "{counts:?}");
    }

    #[test]
    fn even_arrivals_come_one_in_each_slot_and_keep_to_a_rate_that_changes() {
        let step = |at_s: u64, rate_per_s| Step { at_ns: at_s * 1_000_000_000, rate_per_s };
        let even = Workload { arrivals: Arrivals::Even, steps: vec![step(10, 400.0)], ..workload(None) };
        let of = |client| operations(&even, 3, client, 20_000_000_000);
        let mut times: Vec<_> = (0..4).flat_map(of).map(|operation| operation.at_ns).collect();
        times.sort_unstable();
        let slots = |times: &[u64], from_ns: u64, slot_ns: u64| -> Vec<u64> {
            times.iter().map(|at_ns| (at_ns - from_ns) / slot_ns).collect()
        };
        assert_eq!(slots(&times[..400], 0, 25_000_000), (0..400).collect::<Vec<_>>());
        assert_eq!(slots(&times[400..], 10_000_000_000, 2_500_000), (0..4000).collect::<Vec<_>>());
        let gaps: std::collections::BTreeSet<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.len() > 4_000, "the instants within the slots are drawn");
    }

    #[test]
    fn only_says_which_operations() {
        assert_eq!(parse_only("3.0-17"), Some((3, 0..=17)));
        assert_eq!(parse_only("3.22"), Some((3, 22..=22)));
        for wrong in ["", "3", "3.", "3.5-4-6", "3.9-2", "x.1", "3.-1"] {
            assert_eq!(parse_only(wrong), None, "{wrong}");
        }
    }
}
