//! Snapshots, long absences and damaged logs.

use crate::system::queue::{NewJob, QueueClient};
use crate::world::{Script, fault, in_seconds, on, plan, run, soon};
use bytes::Bytes;
use sim::fault::Inject;
use sim::history::{Fact, Id};
use sim::stack::Client;
use sim::time::sleep;
use std::sync::Arc;
use std::time::Duration;

/// Hands in `count` jobs with long requests, so that the log grows fast.
pub(crate) async fn fill(queue: &QueueClient, count: u32) {
    for number in 0..count {
        let id = Id::new(0, number);
        let request = "x".repeat(7_000);
        let body = Bytes::from_static(b"body");
        let job = NewJob { id, key: id.to_string(), group: None, request, body };
        sim::node::record(Fact::Submit { id, attempt: 1 });
        queue.enqueue(job, in_seconds(30)).await.expect("a majority is up");
        sim::node::record(Fact::Acknowledge { id });
    }
}

async fn note_files(name: &str) {
    let mut counts = Vec::new();
    for directory in ["/queue/log", "/queue/snapshots"] {
        counts.push(sim::fs::read_dir(directory).await.expect("it is there").len());
    }
    sim::node::record(Fact::Note { text: format!("{name} {counts:?}") });
}

#[test]
fn a_replica_that_was_away_for_a_long_time_gets_a_snapshot_and_old_logs_go() {
    let script = Script::new(|client: Client| {
        Box::pin(async move {
            sleep(Duration::from_secs(3)).await;
            fill(&QueueClient::new(&client.deployment), 1_500).await;
        })
    });
    // All replicas start again near the end, from their snapshots, and say what files they found.
    let before_queue = |process: sim::stack::Process| -> sim::stack::Task {
        Box::pin(async move {
            if process.incarnation > 1 && sim::fs::exists("/queue/log").await {
                note_files(&process.node.name).await;
            }
        })
    };
    let script = Script { before_queue: Arc::new(before_queue), ..script };
    let faults = vec![
        fault(2, 30, Inject::Crash(on(&["queue-3"]))),
        fault(40, 42, Inject::PowerLoss(on(&["queue-1", "queue-2", "queue-3"]))),
    ];
    let run = run(&plan(1, 45, 0.0, faults), &script);
    let (acknowledged, done) = run.acknowledged_and_done();
    assert_eq!(acknowledged.len(), 1_500);
    assert!(acknowledged.is_subset(&done), "also those that only a snapshot holds");
    let slots = run.of("choose").filter(|event| event.node.0 == 2 && event.at_ns < 40_000_000_000);
    let first = slots.filter(|event| event.at_ns > 30_000_000_000).map(|event| match event.fact {
        Fact::Choose { slot, .. } => slot,
        _ => unreachable!(),
    });
    assert!(
        first.min().is_some_and(|slot| slot > 500),
        "queue-3 did not go through the old slots one by one"
    );
    let notes = run.notes();
    assert!(notes.len() >= 3, "{notes:?}");
    for note in notes.iter().rev().take(3) {
        let logs: usize = note.split(['[', ',']).nth(1).and_then(|count| count.parse().ok()).unwrap();
        assert!(logs <= 9, "old segments of 1 MiB were kept: {note}");
        assert!(note.ends_with(", 1]"), "one snapshot: {note}");
    }
}

#[test]
fn a_replica_whose_durable_log_is_damaged_takes_no_part_and_the_others_go_on() {
    let script = Script::new(|client: Client| {
        Box::pin(async move {
            let queue = QueueClient::new(&client.deployment);
            fill(&queue, 50).await;
            sleep(Duration::from_secs(10)).await;
            assert!(queue.depth(soon()).await.is_ok(), "two of three are enough");
        })
    });
    let damage = |process: sim::stack::Process| -> sim::stack::Task {
        Box::pin(async move {
            if process.node.name == "queue-1" && process.incarnation == 2 {
                let path = "/queue/log/0000000000000001.log";
                let file = sim::fs::OpenOptions::new().write(true).open(path).await.expect("the log");
                file.write_at(2_000, Bytes::from_static(b"rot")).await.expect("written");
            }
        })
    };
    let script = Script { before_queue: Arc::new(damage), ..script };
    let run = run(&plan(2, 20, 0.0, vec![fault(6, 8, Inject::Crash(on(&["queue-1"])))]), &script);
    let note = run.notes().pop().expect("it says so");
    assert!(note.starts_with("`/queue/log/0000000000000001.log` is damaged at byte "), "{note}");
    assert!(note.ends_with("this replica takes no part in the order any more"), "{note}");
    let votes = |word: &'static str| {
        run.of(word).filter(|event| event.node.0 == 0 && event.at_ns > 8_000_000_000).count()
    };
    assert_eq!((votes("accept"), votes("promise"), votes("lead")), (0, 0, 0));
    assert_eq!(run.of("drained").count(), 1);
}
