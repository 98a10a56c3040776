//! Bodies and outputs: kept on a majority, brought to those who missed them, thrown away in the end.

use crate::system::blobs::Blobs;
use crate::system::queue::{Amounts, JobStatus, NewJob, Outcome, QueueClient};
use crate::world::{Script, fault, in_seconds, on, plan, run, set, soon};
use bytes::Bytes;
use sim::fault::{DiskError, Inject};
use sim::history::{Fact, Id};
use sim::stack::Client;
use sim::time::sleep;
use std::sync::Arc;
use std::time::Duration;

/// One job with a body of `length` bytes, done with an output as long; the output's digest.
async fn one(queue: &QueueClient, number: u32, length: usize) -> sim::history::Digest {
    let id = Id::new(7, number);
    let content = u8::try_from(number % 256).unwrap();
    let body = Bytes::from(vec![content; length]);
    let job = NewJob { id, key: id.to_string(), group: None, request: "do".to_owned(), body: body.clone() };
    queue.enqueue(job, in_seconds(20)).await.unwrap();
    let lease = queue.lease("me", 1, Duration::from_secs(2), in_seconds(20)).await.unwrap().remove(0);
    assert_eq!(lease.body, body);
    let bytes = Bytes::from(vec![!content; length]);
    let outcome = Outcome::Output { content_type: "text/plain".to_owned(), bytes };
    queue.finish(&lease, outcome, Amounts::default(), in_seconds(20)).await.unwrap();
    match queue.status(&lease.key, Duration::ZERO, in_seconds(20)).await.unwrap() {
        Some(JobStatus::Done { output, .. }) => output,
        other => panic!("{other:?}"),
    }
}

fn script(client: impl Fn(Client) -> sim::stack::Task + Send + Sync + 'static) -> Script {
    Script::new(client).with_worker(|_| Box::pin(std::future::pending()))
}

#[test]
fn a_replica_that_missed_blobs_gets_them_from_the_others() {
    let script = script(|client: Client| {
        Box::pin(async move {
            let queue = QueueClient::new(&client.deployment);
            sleep(Duration::from_secs(4)).await;
            let mut outputs = Vec::new();
            for number in 0..20 {
                outputs.push(one(&queue, number, 40_000).await);
            }
            // Now queue-3 comes back and repairs; then it is the only one left.
            sleep(Duration::from_secs(20)).await;
            for output in outputs {
                assert_eq!(queue.output(output, in_seconds(5)).await.unwrap().len(), 40_000);
            }
            sim::node::record(Fact::Note { text: "finished".to_owned() });
        })
    });
    let faults = vec![
        fault(3, 12, Inject::Crash(on(&["queue-3"]))),
        fault(22, 40, Inject::PowerLoss(on(&["queue-1", "queue-2"]))),
    ];
    let run = run(&plan(1, 45, 0.0, faults), &script);
    assert!(run.notes().contains(&"finished".to_owned()));
}

#[test]
fn a_blob_that_disks_cannot_read_for_a_while_is_not_taken_for_lost_and_is_there_afterwards() {
    let client = |client: Client| -> sim::stack::Task {
        Box::pin(async move {
            let blobs = Blobs::new(&client.deployment);
            let bytes = Bytes::from(vec![7; 40_000]);
            sleep(Duration::from_secs(1)).await;
            let kept = blobs.put(bytes.clone(), in_seconds(5)).await.unwrap();
            sleep(Duration::from_secs(10)).await;
            let asked = blobs.get(kept.digest, in_seconds(5)).await;
            assert!(asked.is_err(), "all replicas have it, and none can read it: {asked:?}");
            sleep(Duration::from_secs(20)).await;
            assert_eq!(blobs.get(kept.digest, in_seconds(5)).await.unwrap(), Some(bytes));
            sim::node::record(Fact::Note { text: "finished".to_owned() });
        })
    };
    // A replica that takes part in the order ends where its disk fails, and finds its blobs again when it starts. One whose log
    // is damaged serves blobs alone: here, a segment that never began, and one after it.
    let before_queue = |_| -> sim::stack::Task {
        Box::pin(async {
            sim::fs::create_dir_all("/queue/log").await.unwrap();
            for number in 1..=2 {
                let path = format!("/queue/log/{number:016}.log");
                sim::fs::OpenOptions::new().write(true).create(true).open(&path).await.unwrap();
            }
        })
    };
    let script = Script { before_queue: Arc::new(before_queue), ..script(client) };
    let all = on(&["queue-1", "queue-2", "queue-3"]).nodes;
    let unreadable = Inject::DiskError(DiskError { nodes: all, probability: 1.0, once: false });
    let run = run(&plan(3, 40, 0.0, vec![fault(5, 20, unreadable)]), &script);
    assert!(run.notes().contains(&"finished".to_owned()), "{:?}", run.notes());
}

#[test]
fn blobs_that_nobody_needs_any_more_leave_the_disk() {
    let script = script(|client: Client| {
        Box::pin(async move {
            let queue = QueueClient::new(&client.deployment);
            // 200 jobs of 2 x 256 KiB: 100 MiB, of which only the last seconds' outputs are to be kept.
            for number in 0..200 {
                one(&queue, number, 256 << 10).await;
                sleep(Duration::from_millis(100)).await;
            }
            sleep(Duration::from_secs(10)).await;
            one(&queue, 200, 10).await;
            assert!(queue.depth(soon()).await.is_ok());
        })
    });
    let before_queue = |_| -> sim::stack::Task {
        Box::pin(async {
            if !sim::fs::exists("/queue/blobs").await {
                return;
            }
            let mut bytes = 0;
            for name in sim::fs::read_dir("/queue/blobs").await.unwrap() {
                let path = format!("/queue/blobs/{name}");
                bytes +=
                    sim::fs::OpenOptions::new().read(true).open(&path).await.unwrap().len().await.unwrap();
            }
            sim::node::record(Fact::Note { text: bytes.to_string() });
        })
    };
    let script = Script { before_queue: Arc::new(before_queue), ..script };
    let plan = plan(2, 60, 0.0, vec![fault(55, 58, Inject::Crash(on(&["queue-1"])))]);
    let run = run(&set(plan, "queue.retention", "3s"), &script);
    let bytes: u64 = run.notes().pop().expect("queue-1 started again").parse().unwrap();
    assert!(bytes < 40 << 20, "{bytes} bytes of blobs are left");
}
