//! Leaks of nondeterminism, planted where real ones are: the doctor names the event, the node, the task and the draws.
#![expect(clippy::disallowed_types, reason = "a leak to be found")]

use hogwash_scenarios as scenarios;
use scenarios::doctor;
use scenarios::fuzz::{Batch, Event, Events, Shard, Target, fuzz};
use scenarios::guarded::Budget;
use scenarios::runner::{self, Options, RunReport};
use scenarios::scenario::Scenario;
use sim::history::Fact;
use sim::plan::Plan;
use sim::stack::{Client, Deployment, Process, Role, Setting, SettingKind, Stack, Task};
use sim::trace::Parting;
use sim::world::Limits;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Servers that say every 100 ms what they hold, and leak what `leaky.from` says.
struct Leaky;

const ROLES: [Role; 1] = [Role { name: "server", why: "says what it holds", count: 2, cores: 1 }];
const SETTINGS: [Setting; 1] = [Setting {
    name: "leaky.from",
    why: "what is not of the world, and comes into it",
    default: "nothing",
    kind: SettingKind::Choice(&["nothing", "ids", "clock", "chance"]),
}];

impl Stack for Leaky {
    fn name(&self) -> &'static str {
        "leaky"
    }

    fn roles(&self) -> &'static [Role] {
        &ROLES
    }

    fn settings(&self) -> &'static [Setting] {
        &SETTINGS
    }

    fn boot(&self, process: Process) -> Task {
        Box::pin(async move {
            let from = process.deployment.setting("leaky.from").to_owned();
            let leaks = process.node.name == "server-2";
            sim::task::spawn(serve(if leaks { from } else { "nothing".to_owned() }));
            std::future::pending::<()>().await;
        })
    }

    fn client(&self, _: Client) -> Task {
        Box::pin(async {})
    }

    fn drained(&self, _: Arc<Deployment>) -> Task<bool> {
        Box::pin(async { true })
    }
}

async fn serve(leak: String) {
    // As connections, requests and sessions of many programs are numbered: across all of one process.
    static NEXT_ID: AtomicU64 = AtomicU64::new(0);
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let mut chance = sim::node::stream("pulse");
    let names = ["amber", "birch", "cedar", "elder", "hazel", "maple", "olive", "rowan", "thorn", "willow"];
    let mut held = HashMap::new();
    for (place, name) in (0..).zip(names) {
        let id = if leak == "ids" { NEXT_ID.fetch_add(1, Ordering::Relaxed) } else { place };
        held.insert(id, name);
    }
    loop {
        let pause = chance.duration(Duration::from_millis(90)..Duration::from_millis(110));
        sim::time::sleep(pause).await;
        match leak.as_str() {
            "ids" => {
                for name in held.values() {
                    let _ = sim::node::stream(name).next_u64();
                    note((*name).to_owned());
                }
            }
            "clock" => note(format!("it is {:?}", time_of_the_machine())),
            // Drawn in every other run and thrown away: no event shows it.
            "chance" if RUNS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
                let _ = sim::node::stream("spare").next_u64();
                return;
            }
            "chance" => return,
            _ => note(format!("{} held", held.len())),
        }
    }
}

fn note(text: String) {
    sim::node::record(Fact::Note { text });
}

/// The machine's time, by a way that nothing intercepts: a file that is made knows when.
fn time_of_the_machine() -> std::time::SystemTime {
    let file = tempfile::tempfile().unwrap();
    file.metadata().unwrap().modified().unwrap()
}

const SCENARIO: &str = r#"
name = "leaky/leaky"
why = "Nothing happens but leaks."
duration = "2s"
drain = "1s"
nodes = { server = { count = 2 }, client = { count = 1 } }
workload = { clients = 1, rate = "1/s" }
"#;

fn scenario() -> Scenario {
    Scenario::parse(SCENARIO.as_bytes(), "leaky.toml", &Leaky).unwrap_or_else(|error| panic!("{error}"))
}

fn overrides(from: &str) -> Vec<(String, String)> {
    vec![("leaky.from".to_owned(), from.to_owned())]
}

/// Runs the same plan twice.
fn twice(from: &str) -> (Plan, RunReport, RunReport) {
    let plan = scenarios::planner::plan(&scenario(), &Leaky, None, 3, &overrides(from)).unwrap();
    let stack: Arc<dyn Stack> = Arc::new(Leaky);
    let run = || {
        let limits = Limits { trace: true, ..Limits::default() };
        runner::run(&plan, &stack, Options { limits, ..Options::default() }).unwrap()
    };
    let first = run();
    // Some file systems know the time to some milliseconds only.
    std::thread::sleep(Duration::from_millis(50));
    let second = run();
    (plan, first, second)
}

fn diagnosed(from: &str) -> (Parting, String) {
    let (plan, first, second) = twice(from);
    let parting = doctor::parting(&first, &second).expect("the leak is found");
    let lines = doctor::lines(&parting, &plan, ["the first run", "the second"]).join("\n");
    (parting, lines)
}

/// The place of the `spawn` in this file.
const BY: &str = "on server-2, started at scenarios/tests/it/leaks.rs:";

#[test]
fn a_run_without_a_leak_does_not_part_and_tracing_changes_nothing() {
    let (plan, first, second) = twice("nothing");
    assert_eq!(first.digest, second.digest);
    assert_eq!(doctor::parting(&first, &second), None);
    let untraced = runner::run(&plan, &(Arc::new(Leaky) as Arc<dyn Stack>), Options::default()).unwrap();
    assert_eq!((untraced.digest, untraced.trace), (first.digest, None));
}

#[test]
fn the_order_of_a_hash_map_whose_keys_come_from_the_process_is_named_with_what_was_drawn() {
    let (parting, lines) = diagnosed("ids");
    assert!(parting.is_of_histories());
    let chance = parting.chance.as_ref().expect("each entry draws");
    assert!(
        chance.draws.iter().flatten().all(|draw| draw.stream.starts_with("node/server-2/")),
        "{chance:?}"
    );
    assert!(lines.contains("then the first run: ") && lines.contains("server-2 note text="), "{lines}");
    assert!(lines.contains(BY), "{lines}");
    assert!(lines.contains("chance was drawn differently before that, after "), "{lines}");
    assert!(lines.contains("the last draws before it, the second: "), "{lines}");
    assert!(lines.contains("node/server-2/1/pulse #1"), "{lines}");
}

#[test]
fn a_clock_of_the_machine_is_named_though_both_runs_drew_alike() {
    let (parting, lines) = diagnosed("clock");
    assert!(parting.is_of_histories() && parting.chance.is_none(), "{lines}");
    assert!(lines.contains("server-2 note text=it is SystemTime"), "{lines}");
    assert!(lines.contains(BY), "{lines}");
    assert!(lines.contains("what differs came from outside the world"), "{lines}");
    assert!(
        lines.contains("the last draws before it: ") && lines.contains("node/server-2/1/pulse #"),
        "{lines}"
    );
}

#[test]
fn a_leak_that_no_event_shows_yet_is_found_in_what_was_drawn() {
    let (plan, first, second) = twice("chance");
    assert_eq!(first.digest, second.digest, "no event shows it");
    let parting = doctor::parting(&first, &second).expect("the draws differ");
    let lines = doctor::lines(&parting, &plan, ["the first run", "the second"]).join("\n");
    assert!(
        lines.starts_with("the histories are equal, all ") && lines.contains("node/server-2/1/spare #1"),
        "{lines}"
    );
    assert!(!parting.is_of_histories() && parting.chance.is_some());
}

struct Silent;

impl Events for Silent {
    fn event(&self, _: &Event<'_>) {}
}

#[test]
fn a_batch_that_runs_all_twice_says_where_its_runs_part() {
    let batch = Batch {
        targets: vec![Target { scenario: scenario(), variant: None }],
        regressions: Vec::new(),
        base: 0,
        seeds: 2,
        shard: Shard::default(),
        guide: false,
        overrides: overrides("ids"),
        jobs: 1,
        time_limit: None,
        budget: Budget::default(),
        twice: true,
        store: None,
    };
    let summary =
        fuzz(&batch, &(Arc::new(Leaky) as Arc<dyn Stack>), &Silent, &AtomicBool::new(false)).unwrap();
    assert_eq!((summary.not_deterministic, summary.troubles.len()), (2, 2));
    let words = &summary.troubles[0].1;
    assert!(words.starts_with("not deterministic: digest ") && words.contains(BY), "{words}");
}
