//! Collapse that outlives its cause, on the real tiers: load balancer, API servers, queue and workers set to the parameters of
//! Bronson, Aghayev, Charapko & Zhu (HotOS 2021), beside the closed form of the same.
//!
//! One worker of 3 cores at 10 ms a conversion does 300 a second; the load balancer waits 1 s and asks once more; the queue knows no
//! keys, so that what is asked again is done again; the worker stands still for 10 s.
#![cfg(not(live))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use hogwash::review::models::collapse::{Recovery, Stall};
use scenarios::runner::{self, Options};
use scenarios::store::Store;
use scenarios::{library, planner};
use sim::history::{Fact, Id};
use sim::plan::Plan;
use sim::stack::Stack;
use std::collections::BTreeMap;
use std::sync::Arc;
use system::ImageStack;

const SECOND_NS: u64 = 1_000_000_000;
/// When the stall begins.
const STALL_AT_S: u64 = 8;
const STALL: Stall =
    Stall { arrivals_per_second: 0.0, services_per_second: 300.0, timeout_seconds: 1.0, stall_seconds: 10.0 };

/// The scenario with the source's rates, without its safeguards but for those of `settings`, for so long after the stall.
fn plan(arrivals_per_second: f64, settings: &[(&str, &str)], after_s: u64) -> Plan {
    let scenario = library::find("load/metastable", &ImageStack).unwrap();
    let mut overrides = vec![("worker.conversion-cost".to_owned(), "10ms".to_owned())];
    overrides.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut plan = planner::plan(&scenario, &ImageStack, Some("retries-as-new-work"), 0, &overrides).unwrap();
    plan.workload.rate_per_s = arrivals_per_second;
    plan.workload.steps.clear();
    let [stall] = &mut plan.faults[..] else { panic!("there is one fault") };
    (stall.start_ns, stall.end_ns) = (STALL_AT_S * SECOND_NS, (STALL_AT_S + 10) * SECOND_NS);
    plan.duration_ns = (STALL_AT_S + 10 + after_s) * SECOND_NS;
    plan
}

/// What a run was like after the stall.
struct Outcome {
    /// When the last request came that its first attempt did not answer, in seconds after the stall's end; none where requests
    /// still failed within the last five seconds.
    recovered_s: Option<f64>,
    /// The share of the requests of the last five seconds that was answered at all.
    goodput_at_the_end: f64,
}

#[expect(clippy::cast_precision_loss, reason = "seconds and shares")]
fn run(plan: &Plan) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("store"));
    let stack: Arc<dyn Stack> = Arc::new(ImageStack);
    let report = runner::run(plan, &stack, Options { store: Some(&store), ..Options::default() }).unwrap();
    let history = report.stored.unwrap().history().unwrap();
    // When each request was sent, and how long its answer took.
    let mut requests: BTreeMap<Id, (u64, Option<u64>)> = BTreeMap::new();
    for event in sim::history::read(&history).unwrap() {
        let event = event.unwrap();
        match event.fact {
            Fact::Submit { id, .. } => drop(requests.entry(id).or_insert((event.at_ns, None))),
            Fact::Receive { id, .. } => {
                let (sent_ns, took_ns) = requests.get_mut(&id).unwrap();
                *took_ns = Some(event.at_ns - *sent_ns);
            }
            _ => {}
        }
    }
    let stall_end_ns = plan.faults[0].end_ns;
    // An answer of the second attempt comes after the first's second.
    let late = |took_ns: Option<u64>| took_ns.is_none_or(|took_ns| took_ns > SECOND_NS);
    let last = requests.values().filter(|(_, took_ns)| late(*took_ns)).map(|(sent_ns, _)| *sent_ns).max();
    let end_ns = plan.duration_ns - 5 * SECOND_NS;
    let last_ns = last.expect("requests of the stall are late");
    let at_the_end: Vec<_> = requests.values().filter(|(sent_ns, _)| *sent_ns >= end_ns).collect();
    let answered = at_the_end.iter().filter(|(_, took_ns)| took_ns.is_some()).count();
    Outcome {
        recovered_s: (last_ns < end_ns).then(|| last_ns.saturating_sub(stall_end_ns) as f64 / 1e9),
        goodput_at_the_end: answered as f64 / at_the_end.len() as f64,
    }
}

#[test]
fn below_half_the_capacity_the_stack_recovers_when_the_closed_form_says() {
    let arrivals_per_second = 100.0;
    let Recovery::After(known_s) = (Stall { arrivals_per_second, ..STALL }).recovery().unwrap() else {
        panic!("it recovers")
    };
    assert!((known_s - 16.0).abs() < 1e-9);
    let measured_s = run(&plan(arrivals_per_second, &[], 30)).recovered_s.unwrap();
    assert!((measured_s / known_s - 1.0).abs() < 0.1, "{measured_s} s, and {known_s} s is known");
}

#[test]
fn above_half_the_capacity_the_stack_never_recovers_by_itself() {
    let outcome = run(&plan(180.0, &[], 30));
    assert_eq!(outcome.recovered_s, None);
    assert!(outcome.goodput_at_the_end < 0.1, "{}", outcome.goodput_at_the_end);
}

#[test]
fn each_safeguard_alone_saves_a_load_that_does_not_recover_without_it() {
    // Without retries: (λT − μτ)/(μ − λ), less the second for which the last of the backlog may still wait.
    let known_s = (180.0 * 10.0 - 300.0) / (300.0 - 180.0);
    let measured_s = run(&plan(180.0, &[("balancer.attempts", "1")], 30)).recovered_s.unwrap();
    assert!((measured_s / known_s - 1.0).abs() < 0.1, "{measured_s} s, and {known_s} s is known");
    // A queue that is worth less than the timeout: two seconds.
    let measured_s = run(&plan(180.0, &[("queue.max-waiting", "250")], 20)).recovered_s.unwrap();
    assert!(measured_s <= 2.2, "{measured_s} s");
}
