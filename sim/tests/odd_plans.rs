//! Plans that no planner would write: a world says what is wrong, or goes on; it never panics.
#![cfg(not(live))]
#![expect(clippy::unwrap_used, reason = "a test fails by its panic")]
#![expect(dead_code, reason = "the harness serves more tests than these")]

#[path = "disk/harness.rs"]
mod harness;

use harness::{fault, plan, run, server};
use sim::fault::{ClockDrift, Cut, Inject, On, SlowDisk};
use sim::plan::{DiskPlan, NetworkPlan, Plan, Workload};
use sim::stack::Process;
use std::time::Duration;

extern crate hogwash_sim as sim;

const SECOND: u64 = 1_000_000_000;

/// Runs a server that uses everything once, for a second.
fn try_out(mut plan: Plan) {
    plan.duration_ns = plan.duration_ns.min(SECOND);
    plan.drain_ns = plan.drain_ns.min(SECOND);
    run(&plan, |_: Process| {
        Box::pin(async {
            sim::task::spawn(sim::talk::answer(7, |question| async move { question }));
            let _ = sim::fs::replace("/file", vec![1; 5000].into()).await;
            let _ = sim::fs::read("/file").await;
            let _ = sim::talk::ask("server-1", 7, b"question", Duration::from_secs(1)).await;
            let _ = sim::talk::ask("nobody", 7, b"question", Duration::from_secs(1)).await;
            sim::cpu::run(Duration::from_millis(1), || 7).await;
            sim::time::sleep(Duration::MAX).await;
        })
    });
}

fn usual() -> Plan {
    plan(DiskPlan::default(), Vec::new())
}

#[test]
fn a_world_of_nobody_runs() {
    try_out(Plan { nodes: Vec::new(), ..usual() });
    let mut only_server = usual();
    only_server.nodes.truncate(1);
    try_out(only_server);
    try_out(Plan { duration_ns: 0, drain_ns: 0, ..usual() });
}

#[test]
fn two_nodes_of_one_name_are_two_nodes() {
    let mut twins = usual();
    twins.nodes.push(twins.nodes[0].clone());
    try_out(twins);
}

#[test]
fn machines_that_can_do_nothing_do_nothing() {
    let mut weak = usual();
    (weak.nodes[0].cores, weak.nodes[0].memory_bytes) = (0, 0);
    weak.nodes[0].clock_offset_ns = i64::MIN;
    weak.nodes[0].clock_drift_parts_per_million = f64::NAN;
    try_out(weak);
    let nothing = DiskPlan {
        latency_ns: 0,
        sync_ns: 0,
        bandwidth_bytes_per_s: 0,
        queue_depth: 0,
        capacity_bytes: 0,
        sector_bytes: 0,
    };
    try_out(Plan { disk: nothing, ..usual() });
    let roomy = DiskPlan { sector_bytes: 0, bandwidth_bytes_per_s: 0, queue_depth: 0, ..DiskPlan::default() };
    try_out(Plan { disk: roomy, ..usual() });
    let mute = NetworkPlan {
        jitter: f64::NAN,
        slow_tail: f64::INFINITY,
        bandwidth_bytes_per_s: 0,
        buffer_bytes: 0,
        connect_timeout_ns: 0,
        retransmit_timeout_ns: 0,
        ..NetworkPlan::default()
    };
    try_out(Plan { network: mute, ..usual() });
}

#[test]
fn faults_of_nobody_and_of_no_time_hit_nothing() {
    let nobody = || On { nodes: vec!["nobody".to_owned(), "leader of nothing".to_owned()] };
    let cut = |from: &[&str]| {
        let from = from.iter().map(|name| (*name).to_owned()).collect();
        Inject::Cut(Cut { from, to: vec!["nobody".to_owned()], both_ways: true })
    };
    let injected = [
        Inject::Crash(nobody()),
        Inject::PowerLoss(nobody()),
        Inject::Pause(nobody()),
        cut(&["nobody"]),
        cut(&[]),
        Inject::ClockDrift(ClockDrift { nodes: nobody().nodes, parts_per_million: f64::NAN }),
    ];
    for inject in injected {
        try_out(plan(DiskPlan::default(), vec![fault(0, SECOND / 2, inject)]));
    }
    let backwards = fault(SECOND / 2, 0, Inject::Crash(server()));
    let late = fault(u64::MAX - 1, u64::MAX, Inject::Pause(server()));
    let slow = |factor| fault(1, SECOND, Inject::SlowDisk(SlowDisk { nodes: server().nodes, factor }));
    try_out(plan(DiskPlan::default(), vec![backwards, late]));
    try_out(plan(DiskPlan::default(), vec![slow(f64::NAN)]));
    try_out(plan(DiskPlan::default(), vec![slow(f64::INFINITY)]));
}

#[test]
fn rates_that_cannot_be_make_no_requests() {
    for rate_per_s in [f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, -1.0] {
        let workload = Workload {
            clients: 2,
            rate_per_s,
            only: Some(vec!["nonsense".to_owned()]),
            ..Workload::default()
        };
        try_out(Plan { workload, ..usual() });
    }
}
