//! Collapse that outlives its cause, on the real tiers: load balancer, API servers, queue and workers set to the parameters of
//! Bronson, Aghayev, Charapko & Zhu (HotOS 2021), beside the closed form of the same.
//!
//! One worker of 3 cores at 10 ms a conversion does 300 a second; the load balancer waits 1 s and asks once more; the queue knows no
//! keys, so that what is asked again is done again; the worker stands still for 10 s. What every commit runs takes a third
//! of all rates.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use hogwash::review::models::collapse::{Recovery, Stall};
use scenarios::runner::{self, Options};
use scenarios::store::Store;
use scenarios::{library, planner};
use sim::history::{Fact, Id};
use sim::plan::{Arrivals, Plan, Step};
use sim::stack::Stack;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use system::ImageStack;

const SECOND_NS: u64 = 1_000_000_000;
/// Of the scenario's worker.
const WORKER_CORES: f64 = 3.0;
/// A queue that is served within the timeout, at the source's rates.
const SHORT_QUEUE: u32 = 250;
/// When the stall begins.
const STALL_AT_S: u64 = 8;
const STALL: Stall =
    Stall { arrivals_per_second: 0.0, services_per_second: 300.0, timeout_seconds: 1.0, stall_seconds: 10.0 };

/// The scenario with the rates of `stall`, without its safeguards but for those of `settings`, for so long after the stall.
fn plan(stall: Stall, settings: &[(&str, &str)], after_s: u64) -> Plan {
    let scenario = library::find("load/metastable", &ImageStack).unwrap();
    let conversion_cost = format!("{}ms", 1000.0 * WORKER_CORES / stall.services_per_second);
    let mut overrides = vec![("worker.conversion-cost".to_owned(), conversion_cost)];
    overrides.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut plan = planner::plan(&scenario, &ImageStack, Some("retries-as-new-work"), 0, &overrides).unwrap();
    // Until the queue has a leader little is asked, or what waits for it would be a stall of its own.
    plan.workload.rate_per_s = 10.0;
    plan.workload.steps = vec![Step { at_ns: 3 * SECOND_NS, rate_per_s: stall.arrivals_per_second }];
    // The source's, and the closed form's: close to the cliff, the chance of a Poisson process would decide.
    plan.workload.arrivals = Arrivals::Even;
    let stall_ns = u64::try_from(Duration::from_secs_f64(stall.stall_seconds).as_nanos()).unwrap();
    let [fault] = &mut plan.faults[..] else { panic!("there is one fault") };
    (fault.start_ns, fault.end_ns) = (STALL_AT_S * SECOND_NS, STALL_AT_S * SECOND_NS + stall_ns);
    plan.duration_ns = fault.end_ns + after_s * SECOND_NS;
    plan
}

/// What a run was like after the stall.
struct Outcome {
    /// When the last request came that its first attempt did not answer, in seconds after the stall's end; none where requests
    /// still failed within the last five seconds.
    recovered_s: Option<f64>,
    /// Likewise for requests that no attempt answered.
    answered_again_s: Option<f64>,
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
    let (stall_end_ns, end_ns) = (plan.faults[0].end_ns, plan.duration_ns - 5 * SECOND_NS);
    let recovered_s = |failed: fn(Option<u64>) -> bool| {
        let last =
            requests.values().filter(|(_, took_ns)| failed(*took_ns)).map(|(sent_ns, _)| *sent_ns).max();
        let last_ns = last.unwrap_or(stall_end_ns);
        (last_ns < end_ns).then(|| last_ns.saturating_sub(stall_end_ns) as f64 / 1e9)
    };
    let at_the_end: Vec<_> = requests.values().filter(|(sent_ns, _)| *sent_ns >= end_ns).collect();
    let answered = at_the_end.iter().filter(|(_, took_ns)| took_ns.is_some()).count();
    Outcome {
        // An answer of the second attempt comes after the first's second.
        recovered_s: recovered_s(|took_ns| took_ns.is_none_or(|took_ns| took_ns > SECOND_NS)),
        answered_again_s: recovered_s(|took_ns| took_ns.is_none()),
        goodput_at_the_end: answered as f64 / at_the_end.len() as f64,
    }
}

fn at(arrivals_per_second: f64) -> Stall {
    Stall { arrivals_per_second, ..STALL }
}

/// A third of the source's rates, at which all takes as long: what recovery takes depends on their ratios alone.
fn a_third_of(arrivals_per_second: f64) -> Stall {
    let services_per_second = STALL.services_per_second / 3.0;
    Stall { arrivals_per_second: arrivals_per_second / 3.0, services_per_second, ..STALL }
}

#[test]
fn below_half_the_capacity_the_stack_recovers_when_the_closed_form_says() {
    let stall = a_third_of(100.0);
    let Recovery::After(known_s) = stall.recovery().unwrap() else { panic!("it recovers") };
    assert!((known_s - 16.0).abs() < 1e-9);
    let measured_s = run(&plan(stall, &[], 30)).recovered_s.unwrap();
    assert!((measured_s / known_s - 1.0).abs() < 0.1, "{measured_s} s, and {known_s} s is known");
}

#[test]
fn above_half_the_capacity_the_stack_never_recovers_by_itself() {
    let outcome = run(&plan(a_third_of(180.0), &[], 15));
    assert_eq!(outcome.recovered_s, None);
    assert!(outcome.goodput_at_the_end < 0.1, "{}", outcome.goodput_at_the_end);
}

#[test]
fn each_safeguard_alone_saves_a_load_that_does_not_recover_without_it() {
    // Without retries: (λT − μτ)/(μ − λ), less the second for which the last of the backlog may still wait.
    let known_s = |stall_s: f64| (180.0 * stall_s - 300.0) / (300.0 - 180.0);
    // A worker that was still finds its connection gone, and waits for up to a second, by chance, before it asks for work again.
    let known_s = known_s(10.0)..known_s(11.0);
    let measured_s = run(&plan(a_third_of(180.0), &[("balancer.attempts", "1")], 20)).recovered_s.unwrap();
    let near = known_s.start * 0.95..known_s.end * 1.05;
    assert!(near.contains(&measured_s), "{measured_s} s, and {known_s:?} s are known");
    // A queue that is worth less than the timeout: two seconds.
    let short = (SHORT_QUEUE / 3).to_string();
    let measured_s = run(&plan(a_third_of(180.0), &[("queue.max-waiting", &short)], 10)).recovered_s.unwrap();
    assert!(measured_s <= 2.2, "{measured_s} s");
}

/// The source's figures at its own rates, up to a load close to what the worker can do: half an hour of simulated time.
#[test]
#[ignore = "takes minutes: `.ci/nightly` runs it, in release"]
fn at_the_sources_load_each_figure_is_met_within_a_tenth() {
    let near = |measured_s: Option<f64>, known_s: f64| {
        let measured_s = measured_s.expect("it recovers");
        assert!((measured_s / known_s - 1.0).abs() < 0.1, "{measured_s} s, and {known_s} s is known");
    };
    near(run(&plan(at(100.0), &[], 30)).recovered_s, 16.0);
    near(run(&plan(at(140.0), &[], 150)).recovered_s, 118.0);
    assert_eq!(run(&plan(at(180.0), &[], 15)).recovered_s, None);

    // The longest stall survived. What answers take besides their turn, some 20 ms, is missing from the second that clients wait, so
    // that a stall of 1.0 s, which the closed form lets pass by 36 ms, is too long here.
    let known_s = at(280.0).stall_seconds_survived().unwrap();
    let stalled = |stall_seconds| run(&plan(Stall { stall_seconds, ..at(280.0) }, &[], 30)).recovered_s;
    assert_eq!(stalled(known_s * 0.91), Some(0.0));
    assert_eq!(stalled(known_s * 1.09), None);
    assert_eq!(stalled(1.2), None);

    let guarded = |settings: &[(&str, &str)], after_s| run(&plan(at(280.0), settings, after_s));
    near(guarded(&[("balancer.attempts", "1")], 150).recovered_s, 126.0);
    // How long these two take depends on how arrivals and retries interleave; the source's figures bound them.
    assert!(guarded(&[("queue.hands-out", "newest-first")], 60).answered_again_s.unwrap() <= 6.0);
    assert!(guarded(&[("queue.max-waiting", &SHORT_QUEUE.to_string())], 60).recovered_s.unwrap() <= 2.0);
    assert_eq!(guarded(&[("queue.max-waiting", "310")], 60).recovered_s, None);
    let budget = |percent| [("balancer.retry-budget-percent", percent), ("balancer.retries-saved-max", "50")];
    assert_eq!(guarded(&budget("10"), 120).recovered_s, None);
    near(guarded(&budget("5"), 520).recovered_s, 447.0);
}
