//! Rare events of whole runs: splitting over replayed prefixes finds what is known of a queue in the simulated world, and what many
//! plain runs of the image stack find.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use hogwash::review::models::intervals::clopper_pearson;
use hogwash::review::models::queueing::overflow_before_empty;
use hogwash::review::rare::RareError;
use hogwash::review::replayed::{Near, Nearness, Runs};
use hogwash::review::splitting::Effort;
use scenarios::planner;
use scenarios::scenario::Scenario;
use sim::history::{Event, Fact, Id};
use sim::plan::Plan;
use sim::stack::{Client, Deployment, Process, Role, Setting, SettingKind, Stack, Task};
use sim::time::sleep;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// More than any of these runs takes.
const POLLS: u64 = 10_000_000;

/// Runs without splitting.
const PLAIN: u64 = 60;

/// A queue of one server, as a service: requests come one a second on the mean, each takes half a second on the mean.
struct Queue;

const QUEUE: [Role; 1] = [Role { name: "queue", why: "serves one after the other", count: 1, cores: 1 }];
const SPINS: [Setting; 1] =
    [Setting { name: "queue.spins", why: "breaks it", default: "false", kind: SettingKind::Flag }];

impl Stack for Queue {
    fn name(&self) -> &'static str {
        "queue"
    }

    fn roles(&self) -> &'static [Role] {
        &QUEUE
    }

    fn settings(&self) -> &'static [Setting] {
        &SPINS
    }

    fn boot(&self, process: Process) -> Task {
        Box::pin(async move {
            while process.deployment.flag("queue.spins") {
                sim::task::yield_now().await;
            }
            // The next to come is drawn when it comes, so that nothing but a wait is under way when a run is cloned.
            let mut chance = sim::node::stream("next");
            let (mut came, mut served) = (0, 0);
            let mut arrives = true;
            loop {
                if arrives {
                    sim::node::record(Fact::Submit { id: Id::new(0, came), attempt: 1 });
                    came += 1;
                } else if served < came {
                    let id = Id::new(0, served);
                    sim::node::record(Fact::Finish { id, position: id.0, output: None });
                    served += 1;
                }
                sleep(chance.exponential(Duration::from_secs(1)) / 3).await;
                arrives = chance.chance(1.0 / 3.0);
            }
        })
    }

    fn client(&self, _: Client) -> Task {
        Box::pin(async {})
    }

    fn drained(&self, _: Arc<Deployment>) -> Task<bool> {
        Box::pin(async { true })
    }
}

fn queue_plan(seed: u64, spins: bool) -> Plan {
    let text = format!(
        "name = \"queue\"\nwhy = \"Fills or empties.\"\nduration = \"10min\"\ndrain = \"1s\"\n\
         workload = {{ clients = 0, rate = \"1/s\" }}\nsettings = {{ \"queue.spins\" = \"{spins}\" }}\n"
    );
    let scenario = Scenario::parse(text.as_bytes(), "queue.toml", &Queue).unwrap();
    planner::plan(&scenario, &Queue, None, seed, &[]).unwrap()
}

/// One level for each request in the queue beyond the first.
#[derive(Default)]
struct Length(u32);

impl Nearness for Length {
    fn after(&mut self, event: &Event) -> Near {
        match event.fact {
            Fact::Submit { .. } => self.0 += 1,
            Fact::Finish { .. } => self.0 -= 1,
            _ => return Near::Level(0),
        }
        if self.0 == 0 { Near::Over } else { Near::Level(self.0 - 1) }
    }
}

fn length() -> Box<dyn Nearness> {
    Box::new(Length::default())
}

#[test]
fn a_queue_in_the_simulated_world_overflows_as_seldom_as_the_formula_says() {
    const FULL: u32 = 10;
    let plan = |seed| queue_plan(seed, false);
    let runs = Runs { stack: Arc::new(Queue), plan: &plan, nearness: &length, polls: POLLS };
    let effort = Effort { levels: FULL - 1, paths_per_level: 60, repetitions: 8 };
    let found = runs.split(effort, 1, 0.95).unwrap();
    let known = overflow_before_empty(1.0, 2.0, u64::from(FULL)).unwrap();
    assert!(found.estimate.interval.contains(known), "{found:?}, and {known} is known");
    assert!(found.estimate.relative_half_width() < 0.6, "{found:?}");
    // As many plain runs would say as much, of which not one in a thousand overflows.
    assert!(found.estimate.effective_sample_size > 2.0 * found.estimate.runs as f64, "{found:?}");
    assert_eq!(runs.split(effort, 1, 0.95).unwrap(), found, "the same seed, the same answer");
}

#[test]
fn too_few_paths_and_runs_that_spin_are_refused() {
    let plan = |seed| queue_plan(seed, false);
    let runs = Runs { stack: Arc::new(Queue), plan: &plan, nearness: &length, polls: POLLS };
    let few = Effort { levels: 19, paths_per_level: 3, repetitions: 5 };
    assert!(matches!(runs.split(few, 1, 0.95), Err(RareError::Untrusted { below, .. }) if below > 0.0));
    let plan = |seed| queue_plan(seed, true);
    let spinning = Runs { stack: Arc::new(Queue), plan: &plan, nearness: &length, polls: 1_000 };
    let error = spinning.split(few, 1, 0.95).unwrap_err();
    assert!(error.to_string().contains("a task spins in the run of seed"), "{error}");
}

/// One level for each two requests that wait for their acknowledgements, beyond the first.
#[derive(Default)]
struct Waiting {
    now: BTreeSet<Id>,
}

impl Nearness for Waiting {
    fn after(&mut self, event: &Event) -> Near {
        match event.fact {
            Fact::Submit { id, attempt: 1 } => drop(self.now.insert(id)),
            Fact::Acknowledge { id } | Fact::GiveUp { id } => drop(self.now.remove(&id)),
            _ => {}
        }
        Near::Level(u32::try_from(self.now.len()).unwrap_or(u32::MAX).saturating_sub(2) / 2)
    }
}

/// Three replicas of the queue that lose some of what they send each other.
const LOSSY: &str = r#"
name = "lossy"
why = "How many requests come to wait for the queue?"
duration = "6s"
drain = "1s"
[nodes]
api = { count = 1 }
queue = { count = 3 }
worker = { count = 1 }
[workload]
clients = 2
rate = "5/s"
[[fault]]
at = "2s"
for = "4s"
inject.loss = { from = { role = "queue" }, to = "role=queue", probability = 0.2 }
"#;

#[test]
fn splitting_the_image_stack_finds_what_plain_runs_find() {
    let stack: Arc<dyn Stack> = Arc::new(system::ImageStack);
    let scenario = Scenario::parse(LOSSY.as_bytes(), "lossy.toml", stack.as_ref()).unwrap();
    let plan = |seed| planner::plan(&scenario, &system::ImageStack, None, seed, &[]).unwrap();
    let nearness = || -> Box<dyn Nearness> { Box::new(Waiting::default()) };
    let runs = Runs { stack, plan: &plan, nearness: &nearness, polls: POLLS };
    let found =
        runs.split(Effort { levels: 2, paths_per_level: 30, repetitions: 5 }, 1, 0.95).unwrap().estimate;
    let hits = (0..PLAIN).filter(|seed| runs.plain(2, *seed).unwrap()).count() as u64;
    let plain = clopper_pearson(hits, PLAIN, 0.95).unwrap();
    assert!(hits > 0 && plain.contains(found.value), "{found:?}, and {hits} of {PLAIN}: {plain:?}");
    assert!(found.interval.low < plain.high && plain.low < found.interval.high, "{found:?}, {plain:?}");
}
