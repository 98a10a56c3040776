//! The operations of a plan's workload, each with chance of its own.

use crate::history::Id;
use crate::plan::Workload;
use crate::rng::Stream;
use crate::stack::Operation;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The operations of one client, in order of time.
///
/// A client's arrivals are a Poisson process with the rate of the workload over its number of clients, drawn from the
/// stream `client-N`; what operation K asks comes from `client-N/K`. Operations that `only` leaves out are drawn too, so
/// that those which stay keep their times. None where the rate is no number above 0, or so high or so low that the mean time
/// between two requests of a client is no time at all.
pub fn operations(workload: &Workload, seed: u64, client: u32, duration_ns: u64) -> Vec<Operation> {
    let mean = Duration::try_from_secs_f64(f64::from(workload.clients) / workload.rate_per_s);
    let Some(mean) = mean.ok().filter(|mean| !mean.is_zero()) else { return Vec::new() };
    let kept = kept_of(workload, client);
    let mut arrivals = Stream::fixed(seed, &format!("client-{client}"));
    let mut at_ns = 0_u64;
    let mut operations = Vec::new();
    for number in 0.. {
        let wait_ns = u64::try_from(arrivals.exponential(mean).as_nanos()).unwrap_or(u64::MAX);
        at_ns = at_ns.saturating_add(wait_ns);
        if at_ns >= duration_ns {
            break;
        }
        if kept.as_ref().is_none_or(|ranges| ranges.iter().any(|range| range.contains(&number))) {
            operations.push(Operation { id: Id::new(client, number), at_ns, seed });
        }
    }
    operations
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
        Workload { clients: 4, rate_per_s: 40.0, only }
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
    fn only_says_which_operations() {
        assert_eq!(parse_only("3.0-17"), Some((3, 0..=17)));
        assert_eq!(parse_only("3.22"), Some((3, 22..=22)));
        for wrong in ["", "3", "3.", "3.5-4-6", "3.9-2", "x.1", "3.-1"] {
            assert_eq!(parse_only(wrong), None, "{wrong}");
        }
    }
}
