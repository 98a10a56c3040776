//! Worlds as their users see them: boots, crashes, pauses, clocks, cores, memory and digests.
#![cfg(not(live))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use sim::fault::{ClockDrift, Fault, Inject, On};
use sim::history::{Event, Fact, Observer};
use sim::plan::{DiskPlan, NetworkPlan, NodePlan, Objectives, PLAN_VERSION, Plan, Workload};
use sim::stack::{Client, Deployment, Process, Role, Setting, Stack, Task};
use sim::time::{Instant, sleep};
use sim::world::{CutOff, FreshChance, Limits};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

extern crate hogwash_sim as sim;

/// A stack whose processes run one async function.
struct Scripted<F>(F);

const ROLES: [Role; 1] = [Role { name: "server", why: "runs the script", count: 1, cores: 1 }];

impl<F> Stack for Scripted<F>
where
    F: Fn(Process) -> Task + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn roles(&self) -> &'static [Role] {
        &ROLES
    }

    fn settings(&self) -> &'static [Setting] {
        &[]
    }

    fn boot(&self, process: Process) -> Task {
        (self.0)(process)
    }

    fn client(&self, _: Client) -> Task {
        Box::pin(async {})
    }

    fn drained(&self, _: Arc<Deployment>) -> Task<bool> {
        Box::pin(async { true })
    }
}

fn node(name: &str, role: &str) -> NodePlan {
    NodePlan {
        name: name.to_owned(),
        role: role.to_owned(),
        cores: 2,
        memory_bytes: 1 << 20,
        domains: BTreeMap::new(),
        clock_offset_ns: 0,
        clock_drift_parts_per_million: 0.0,
    }
}

fn plan(faults: Vec<Fault>) -> Plan {
    Plan {
        version: PLAN_VERSION,
        stack: "scripted".to_owned(),
        scenario: "test/scripted".to_owned(),
        variant: None,
        seed: 7,
        duration_ns: 20_000_000_000,
        drain_ns: 5_000_000_000,
        expect: BTreeMap::new(),
        objectives: Objectives::default(),
        settings: BTreeMap::new(),
        workload: Workload { clients: 0, rate_per_s: 0.0, ..Workload::default() },
        network: NetworkPlan::default(),
        disk: DiskPlan::default(),
        byte_scale: 1,
        nodes: vec![node("server-1", "server"), node("client-1", "client")],
        faults,
    }
}

fn fault(start_s: u64, end_s: u64, inject: Inject) -> Fault {
    let (start_ns, end_ns) = (start_s * 1_000_000_000, end_s * 1_000_000_000);
    Fault { name: "fault-1".to_owned(), start_ns, end_ns, after: None, shared: None, inject }
}

fn on_server() -> On {
    On { nodes: vec!["server-1".to_owned()] }
}

struct Keep(Arc<Mutex<Vec<Event>>>);

impl Observer for Keep {
    fn observe(&mut self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// Runs `script` on every start of `server-1`; gives the digest and all events.
fn run<F>(plan: &Plan, script: F) -> (String, Vec<Event>)
where
    F: Fn(Process) -> Task + Send + Sync + 'static,
{
    let events = Arc::new(Mutex::new(Vec::new()));
    let outcome =
        sim::world::run(plan, Arc::new(Scripted(script)), None, vec![Box::new(Keep(events.clone()))]);
    let outcome = outcome.expect("no settings");
    let events = std::mem::take(&mut *events.lock().unwrap());
    (outcome.digest, events)
}

fn note(text: impl ToString) {
    sim::node::record(Fact::Note { text: text.to_string() });
}

/// The notes of a run: when, in milliseconds of true time, and what.
fn notes(events: &[Event]) -> Vec<(u64, String)> {
    let note = |event: &Event| match &event.fact {
        Fact::Note { text } => Some((event.at_ns / 1_000_000, text.clone())),
        _ => None,
    };
    events.iter().filter_map(note).collect()
}

fn ticks(_: Process) -> Task {
    Box::pin(async {
        loop {
            sleep(Duration::from_secs(1)).await;
            note(Instant::now().as_nanos() / 1_000_000);
        }
    })
}

#[test]
fn a_crashed_process_starts_anew_when_the_fault_ends() {
    let (_, events) = run(&plan(vec![fault(5, 10, Inject::Crash(on_server()))]), ticks);
    let words: Vec<_> = events.iter().map(|event| event.fact.word()).filter(|word| *word != "note").collect();
    assert_eq!(
        words,
        ["boot", "boot", "fault-start", "exit", "boot", "fault-end", "healed", "drained", "end"],
        "{events:?}"
    );
    assert!(notes(&events).iter().all(|(at_ms, _)| !(5_001..10_999).contains(at_ms)));
    assert!(notes(&events).iter().any(|(at_ms, _)| *at_ms >= 11_000));
}

#[test]
fn a_paused_process_does_nothing_and_then_goes_on() {
    let (_, events) = run(&plan(vec![fault(5, 10, Inject::Pause(on_server()))]), ticks);
    let times: Vec<_> = notes(&events).into_iter().map(|(at_ms, _)| at_ms).collect();
    assert!(times.iter().all(|at_ms| !(5_001..10_000).contains(at_ms)), "{times:?}");
    assert!(times.contains(&10_000), "the sleep that ended in the pause is noticed after it: {times:?}");
    assert_eq!(
        events.iter().filter(|event| event.fact.word() == "boot").count(),
        2,
        "client and server, once each"
    );
}

#[test]
fn sleeps_end_when_the_nodes_own_clock_says() {
    let drift = ClockDrift { nodes: vec!["server-1".to_owned()], parts_per_million: 1_000_000.0 };
    let (_, events) = run(&plan(vec![fault(5, 10, Inject::ClockDrift(drift))]), ticks);
    let notes = notes(&events);
    assert!(notes.contains(&(5_500, "6000".to_owned())), "a clock at twice the rate: {notes:?}");
    assert!(notes.contains(&(11_000, "16000".to_owned())), "back to its rate, not to its time: {notes:?}");
}

#[test]
fn a_panic_ends_the_process_and_a_supervisor_starts_it_again() {
    let (_, events) = run(&plan(vec![]), |process| {
        Box::pin(async move {
            sim::task::spawn(async move {
                sleep(Duration::from_secs(2)).await;
                assert!(process.incarnation > 1, "the first incarnation has a bug");
            });
            std::future::pending::<()>().await;
        })
    });
    let panics: Vec<_> = events.iter().filter(|event| event.fact.word() == "panic").collect();
    assert_eq!(panics.len(), 1);
    let Fact::Panic { message } = &panics[0].fact else { unreachable!() };
    assert!(
        message.starts_with("the first incarnation has a bug at ") && message.contains("world.rs:"),
        "{message}"
    );
    assert!(
        events
            .iter()
            .any(|event| event.fact == Fact::Boot { incarnation: 2 } && event.at_ns >= 3_000_000_000)
    );
}

#[test]
fn work_queues_for_the_nodes_cores() {
    let (_, events) = run(&plan(vec![]), |_| {
        Box::pin(async {
            for job in 0..4 {
                sim::task::spawn(async move {
                    note(sim::cpu::run(Duration::from_millis(100), move || job).await);
                });
            }
            std::future::pending::<()>().await;
        })
    });
    let times: Vec<_> = notes(&events).into_iter().map(|(at_ms, _)| at_ms).collect();
    assert_eq!(times, [100, 100, 200, 200], "four jobs of 100 ms on two cores");
}

#[test]
fn a_process_that_goes_over_its_memory_is_killed() {
    let (_, events) = run(&plan(vec![]), |process| {
        Box::pin(async move {
            let _half = sim::memory::reserve(1 << 19);
            sleep(Duration::from_secs(1)).await;
            let _more = sim::memory::reserve(if process.incarnation == 1 { 1 << 20 } else { 1 << 10 });
            sleep(Duration::from_millis(1)).await;
            note("alive");
            std::future::pending::<()>().await;
        })
    });
    let exits: Vec<_> = events.iter().filter(|event| event.fact.word() == "exit").collect();
    assert_eq!(exits.len(), 1, "{exits:?}");
    assert_eq!(notes(&events).len(), 1, "only the second incarnation lives on");
}

#[test]
fn equal_plans_give_equal_digests_and_another_seed_another() {
    let script = |_| -> Task {
        Box::pin(async {
            let mut chance = sim::node::stream("pace");
            for _ in 0..50 {
                sleep(chance.exponential(Duration::from_millis(10))).await;
                note("step");
            }
            std::future::pending::<()>().await;
        })
    };
    let (first, _) = run(&plan(vec![]), script);
    let (second, _) = run(&plan(vec![]), script);
    assert_eq!(first, second);
    let (other, _) = run(&Plan { seed: 8, ..plan(vec![]) }, script);
    assert_ne!(first, other);
}

/// As [`run`], within `limits`.
fn run_within<F>(
    plan: &Plan,
    limits: Limits,
    observers: Vec<Box<dyn Observer>>,
    script: F,
) -> sim::world::Outcome
where
    F: Fn(Process) -> Task + Send + Sync + 'static,
{
    sim::world::run_within(plan, Arc::new(Scripted(script)), None, observers, limits).expect("no settings")
}

#[test]
fn a_task_that_spins_without_time_passing_is_cut_off_at_its_budget_of_polls() {
    let spin = |_| -> Task {
        Box::pin(async {
            sleep(Duration::from_secs(3)).await;
            loop {
                sim::task::yield_now().await;
            }
        })
    };
    let limits = Limits { polls: Some(10_000), ..Limits::default() };
    let outcome = run_within(&plan(vec![]), limits.clone(), Vec::new(), spin);
    assert_eq!(outcome.cut_off, Some(CutOff::Polls));
    assert!((3_000_000_000..4_000_000_000).contains(&outcome.simulated_ns), "{}", outcome.simulated_ns);
    let again = run_within(&plan(vec![]), limits, Vec::new(), spin);
    assert_eq!(outcome.digest, again.digest);
}

/// Sets a flag at the first note.
struct StopAtNote(Arc<AtomicBool>);

impl Observer for StopAtNote {
    fn observe(&mut self, event: &Event) {
        if event.fact.word() == "note" {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn an_observer_that_has_seen_enough_ends_the_run_where_it_did() {
    let stop = Arc::new(AtomicBool::new(false));
    let limits = Limits { stop: Some(stop.clone()), ..Limits::default() };
    let outcome = run_within(&plan(vec![]), limits, vec![Box::new(StopAtNote(stop))], ticks);
    assert_eq!(outcome.cut_off, Some(CutOff::Stopped));
    assert!((1_000_000_000..1_001_000_000).contains(&outcome.simulated_ns), "{}", outcome.simulated_ns);
    let whole = run_within(&plan(vec![]), Limits::default(), Vec::new(), ticks);
    assert_eq!(whole.cut_off, None);
    assert!(whole.events > outcome.events);
}

#[test]
fn a_branch_is_the_same_run_up_to_its_moment_and_another_from_there() {
    let paces = |_| -> Task {
        Box::pin(async {
            let mut chance = sim::node::stream("pace");
            loop {
                sleep(chance.exponential(Duration::from_millis(100))).await;
                note("step");
            }
        })
    };
    let branch = |from_s: u64, salt| {
        let events = Arc::new(Mutex::new(Vec::new()));
        let fresh_chance = vec![FreshChance { from_ns: from_s * 1_000_000_000, salt }];
        let limits = Limits { fresh_chance, ..Limits::default() };
        run_within(&plan(vec![]), limits, vec![Box::new(Keep(events.clone()))], paces);
        let events = std::mem::take(&mut *events.lock().unwrap());
        events
            .into_iter()
            .filter(|event| event.fact.word() == "note")
            .map(|event| event.at_ns)
            .collect::<Vec<_>>()
    };
    let own = branch(8, 0);
    let (one, other) = (branch(8, 1), branch(8, 2));
    let common = |left: &[u64], right: &[u64]| {
        left.iter().zip(right).take_while(|(left, right)| left == right).count()
    };
    let before = own.iter().filter(|at_ns| **at_ns <= 8_000_000_000).count();
    // The sleep that was drawn before the moment still ends as it was drawn.
    assert_eq!(common(&own, &one), before + 1);
    assert_eq!(common(&one, &other), before + 1);
    assert_eq!(one, branch(8, 1));
}

#[test]
fn a_world_leaves_no_task_behind() {
    let held = Arc::new(());
    let shared = held.clone();
    let crash = fault(5, 6, Inject::Crash(on_server()));
    run(&plan(vec![crash]), move |_| {
        let held = shared.clone();
        Box::pin(async move {
            let (one, other, third) = (held.clone(), held.clone(), held.clone());
            sim::task::spawn(async move {
                let _held = one;
                std::future::pending::<()>().await;
            });
            sim::task::spawn(async move {
                let _held = other;
                sleep(Duration::from_secs(3600)).await;
            });
            let listener = sim::net::TcpListener::bind(7).await.unwrap();
            drop(listener.accept().await);
            drop(third);
        })
    });
    assert_eq!(Arc::strong_count(&held), 1, "tasks that wait when a world ends are dropped with it");
}

/// Says each second that it ticks, a mark that faults may be under way at.
fn marked(_: Process) -> Task {
    Box::pin(async {
        for second in 1.. {
            sleep(Duration::from_secs(1)).await;
            sim::sometimes!("it ticks");
            sim::sometimes!(second > 12, "it has ticked for long");
            note(second);
        }
    })
}

/// As [`marked`], without the marks.
fn unmarked(_: Process) -> Task {
    Box::pin(async {
        for second in 1.. {
            sleep(Duration::from_secs(1)).await;
            note(second);
        }
    })
}

#[test]
fn a_mark_is_counted_with_the_fault_under_way_and_leaves_the_history_as_it_is() {
    let slow = fault(
        5,
        10,
        Inject::ClockDrift(ClockDrift { nodes: vec!["server-1".to_owned()], parts_per_million: 0.0 }),
    );
    let plan = plan(vec![slow]);
    let outcome = sim::world::run(&plan, Arc::new(Scripted(marked)), None, Vec::new()).unwrap();
    assert_eq!(outcome.digest, run(&plan, unmarked).0);
    let marks = &outcome.coverage.marks;
    assert_eq!(marks.keys().copied().collect::<Vec<_>>(), ["it has ticked for long", "it ticks"]);
    assert!((18..=20).contains(&marks["it ticks"]), "{marks:?}");
    let situation = |mark, fault| sim::coverage::Situation { mark, fault, role: "server".to_owned() };
    let expected = [
        situation("it has ticked for long", None),
        situation("it ticks", None),
        situation("it ticks", Some("clock-drift")),
    ];
    let situations = &outcome.coverage.situations;
    assert_eq!(situations.keys().cloned().collect::<Vec<_>>(), expected);
    let first_s: Vec<u64> = situations.values().map(|at_ns| at_ns / 1_000_000_000).collect();
    assert!(first_s[1] < 2 && first_s[2] == 5, "the fault begins at 5 s: {situations:?}");
}

#[test]
fn a_mark_outside_a_world_is_no_worlds() {
    sim::sometimes!("nobody is there");
    let outcome = sim::world::run(&plan(Vec::new()), Arc::new(Scripted(unmarked)), None, Vec::new()).unwrap();
    assert!(outcome.coverage.marks.is_empty());
}
