//! A small stored run, made from text: what it shows does not change when the stack does.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and keeps runs on the machine's disk"
)]

use hogwash::past::PastRun;
use invariants::LAWS;
use scenarios::expectation::Expectation;
use scenarios::store::{Broken, CAPSULE_VERSION, Capsule, Provenance, Store, plan_digest};
use scenarios::{plan_file, scenario::Scenario};
use sim::history::{Recorder, from_text};
use sim::plan::Plan;
use std::path::Path;
use std::sync::{Arc, Mutex};
use system::ImageStack;

/// A request is promised by a queue that keeps it in memory, and is gone with the power.
pub(crate) const LOST: &str = "\
0s api-1 boot incarnation=1
0s queue-1 boot incarnation=1
0s worker-1 boot incarnation=1
0s client-1 boot incarnation=1
500ms queue-1 lead group=0 ballot=256
1s client-1 expect id=0.1 output=a1
1s client-1 submit id=0.1 attempt=1
1.001s queue-1 enqueue id=0.1 position=1
1.002s client-1 acknowledge id=0.1
1.003s worker-1 deliver id=0.1 delivery=1 token=1
1.1s queue-1 finish id=0.1 position=2 output=a1
1.103s client-1 receive id=0.1 output=a1
1.9s client-1 expect id=0.2 output=b2
1.9s client-1 submit id=0.2 attempt=1
1.901s queue-1 enqueue id=0.2 position=3
1.902s client-1 acknowledge id=0.2
2s world fault-start fault=0 nodes=1
2s queue-1 exit cause=power-loss
2s queue-1 disk-loss unsynced_bytes=4096 synced=false
3s queue-1 boot incarnation=2
3s world fault-end fault=0
3.5s queue-1 lead group=0 ballot=512
3.6s queue-1 note text=\"a log of two commands is read\"
8s client-1 submit id=0.2 attempt=2
9s client-1 give-up id=0.2
10s world healed
20s world drained
20s world end messages=40 steps=200
";

/// The laws that such runs are held to: what is said of them does not change when laws are added.
const HELD_TO: [&str; 3] = ["delivery", "recovers", "resize"];

/// The plan of such runs.
pub(crate) fn plan() -> Plan {
    let text = r#"
name = "test/lost"
why = "For tests."
duration = "10s"
drain = "10s"
[nodes]
api = { count = 1 }
queue = { count = 1, domains = { power = "A" } }
worker = { count = 1 }
[workload]
clients = 1
rate = "1/s"
[[fault]]
at = "2s"
for = "1s"
inject.power-loss = { domain = "power=A" }
[expect]
delivery = "violated"
"#;
    let scenario = Scenario::parse(text.as_bytes(), "lost.toml", &ImageStack).unwrap();
    let overrides = [("queue.durability".to_owned(), "memory".to_owned())];
    scenarios::planner::plan(&scenario, &ImageStack, None, 7, &overrides).unwrap()
}

/// Keeps the run of `plan` that has this history, as the runner would, and reads it back.
pub(crate) fn keep(store: &Path, plan: &Plan, history: &str) -> PastRun {
    let names: Vec<_> = plan.nodes.iter().map(|node| node.name.as_str()).collect();
    let events = from_text(history, &names).unwrap();
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let kept = bytes.clone();
    let sink = Box::new(move |chunk: &[u8]| kept.lock().unwrap().extend_from_slice(chunk));
    let mut recorder = Recorder::new(Some(sink), Vec::new());
    events.iter().cloned().for_each(|event| recorder.record(event));
    let (digest, count, _) = recorder.finish();
    let laws = LAWS.iter().filter(|law| HELD_TO.contains(&law.name));
    let findings: Vec<_> = laws.map(|law| (law.name, invariants::check(law, plan, &events))).collect();
    let judge = |name: &str, verdict| Expectation::of_plan(plan.expect.get(name)).judge(verdict);
    let violations = findings.iter().flat_map(|(name, finding)| {
        finding.violations.iter().map(|violation| Broken::of(name, violation.clone()))
    });
    let capsule = Capsule {
        v: CAPSULE_VERSION,
        scenario: plan.scenario.clone(),
        variant: plan.variant.clone(),
        seed: plan.seed,
        digest: digest.clone(),
        plan_digest: plan_digest(plan),
        events: count,
        messages: 40,
        sim_ns: events.last().unwrap().at_ns,
        wall_ns: 5_000_000,
        verdicts: findings.iter().map(|(name, finding)| ((*name).to_owned(), finding.verdict)).collect(),
        marks: std::collections::BTreeMap::new(),
        faults: std::collections::BTreeMap::new(),
        exercised: findings.iter().map(|(name, finding)| ((*name).to_owned(), finding.exercised)).collect(),
        judgements: findings
            .iter()
            .map(|(name, finding)| ((*name).to_owned(), judge(name, finding.verdict)))
            .collect(),
        violations: violations.collect(),
        provenance: Provenance {
            hogwash: "0.0.0".to_owned(),
            toolchain: "rustc".to_owned(),
            target: "anywhere".to_owned(),
            lock_digest: "00".to_owned(),
        },
    };
    let folder = store.join(format!("test-lost-{}", &digest[..8]));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("plan.toml"), plan_file::write(plan)).unwrap();
    std::fs::write(folder.join("history.bin"), &*bytes.lock().unwrap()).unwrap();
    std::fs::write(folder.join("result.json"), serde_json::to_string(&capsule).unwrap()).unwrap();
    PastRun::find(folder.to_str().unwrap(), &Store::new(store), &ImageStack).unwrap()
}

/// Runs `plan` for real, and reads the run back.
pub(crate) fn run(store: &Path, plan: &Plan) -> PastRun {
    let stack: Arc<dyn sim::stack::Stack> = Arc::new(ImageStack);
    let store = Store::new(store);
    let options = scenarios::runner::Options { store: Some(&store), ..Default::default() };
    let report = scenarios::runner::run(plan, &stack, options).unwrap();
    PastRun::find(&report.stored.unwrap().name(), &store, &ImageStack).unwrap()
}
