//! A run as one JSON line.

use crate::ledger::Ledger;
use crate::measures::Latencies;
use crate::past::PastRun;
use scenarios::store::Capsule;
use serde_json::{Value, json};

/// The last line of `run` and `replay`, and one line a run of `fuzz`; `plan` is the path of its plan, where it is kept.
pub(crate) fn finished(capsule: &Capsule, plan: Option<String>) -> Value {
    let violations = capsule.violations.iter().map(|broken| {
        json!({
            "invariant": broken.invariant,
            "at-ns": broken.at_ns,
            "message": broken.message,
            "shape": broken.shape,
            "fingerprint": broken.fingerprint,
            "evidence": broken.evidence,
        })
    });
    json!({
        "v": 1,
        "type": "run-finished",
        "scenario": capsule.scenario,
        "variant": capsule.variant,
        "seed": capsule.seed,
        "digest": capsule.digest,
        "events": capsule.events,
        "messages": capsule.messages,
        "sim-ns": capsule.sim_ns,
        "wall-ns": capsule.wall_ns,
        "verdicts": capsule.verdicts,
        "exercised": capsule.exercised,
        "violations": violations.collect::<Vec<_>>(),
        "plan": plan,
    })
}

/// The same line of a stored run, with its ledger and its latencies.
pub fn report(run: &PastRun) -> String {
    let mut line = finished(&run.capsule, Some(run.folder.join("plan.toml").display().to_string()));
    line["ledger"] = json!(Ledger::of(run.events(), &run.node_names()));
    line["latency-ns"] = json!(Latencies::of(run));
    line["explanation"] = json!(run.explanation);
    format!("{line}\n")
}
