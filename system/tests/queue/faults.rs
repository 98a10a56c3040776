//! Replicas crash, lose power and are cut off; what was acknowledged is done.

use crate::system::queue::{JobStatus, NewJob, QueueClient};
use crate::world::{Run, Script, UNSAFE, cut, fault, in_seconds, on, plan, run};
use sim::fault::{Fault, Inject};
use sim::history::{Digest, Fact};
use sim::stack::{Client, Operation};
use sim::time::{Instant, sleep_until};
use std::time::Duration;

/// Hands in each operation's job and waits for its end, all side by side.
async fn load(client: Client) {
    let queue = QueueClient::new(&client.deployment);
    if client.deployment.setting("queue.durability") == "memory" {
        sim::node::record(Fact::Note { text: UNSAFE.to_owned() });
    }
    let mut tasks = Vec::new();
    for operation in client.operations {
        sleep_until(Instant::from_nanos(operation.at_ns)).await;
        tasks.push(sim::task::spawn(one(queue.clone(), operation)));
    }
    for task in tasks {
        let _ = task.await;
    }
}

async fn one(queue: QueueClient, operation: Operation) {
    let (id, key) = (operation.id, operation.id.to_string());
    sim::node::record(Fact::Submit { id, attempt: 1 });
    let body = key.clone().into_bytes().repeat(50);
    let reversed: Vec<u8> = body.iter().rev().copied().collect();
    let (request, body) = ("reverse".to_owned(), body.into());
    let job = NewJob { id, key: key.clone(), group: None, request, body };
    let deadline = in_seconds(60);
    if queue.enqueue(job, deadline).await.is_err() {
        return sim::node::record(Fact::GiveUp { id });
    }
    sim::node::record(Fact::Acknowledge { id });
    loop {
        match queue.status(&key, Duration::from_secs(5), deadline).await {
            Ok(Some(JobStatus::Waiting | JobStatus::Running)) => {}
            Ok(Some(JobStatus::Done { output, .. })) => {
                assert_eq!(output, Digest::of(&reversed));
                let bytes = queue.output(output, deadline).await.expect("what is done can be fetched");
                assert_eq!(bytes, reversed);
                return sim::node::record(Fact::Receive { id, output });
            }
            _ => return sim::node::record(Fact::GiveUp { id }),
        }
    }
}

pub(crate) fn script() -> Script {
    Script::new(|client| Box::pin(load(client)))
}

/// Runs the load under faults; all that was acknowledged must be done, and much must be.
fn check(seed: u64, faults: Vec<Fault>) -> Run {
    let run = run(&plan(seed, 16, 25.0, faults), &script());
    let (acknowledged, done) = run.acknowledged_and_done();
    let missing: Vec<_> = acknowledged.difference(&done).collect();
    assert!(missing.is_empty(), "acknowledged and not done: {missing:?}");
    assert!(acknowledged.len() > 300, "only {} were acknowledged", acknowledged.len());
    assert_eq!(run.of("drained").count(), 1);
    let chosen = run.chosen();
    let lag = chosen.values().max().unwrap() - chosen.values().min().unwrap();
    assert!(lag <= 8, "a replica did not catch up: {chosen:?}");
    run
}

#[test]
fn without_faults_every_job_is_done_and_the_run_repeats_bit_for_bit() {
    let first = check(1, vec![]);
    assert_eq!(first.of("give-up").count(), 0);
    assert_eq!(first.digest, check(1, vec![]).digest);
    assert_ne!(first.digest, check(2, vec![]).digest);
    let jobs = first.of("receive").count() as u64;
    assert!(first.messages / jobs < 60, "{} messages for {jobs} jobs", first.messages);
}

#[test]
fn jobs_are_handed_out_first_in_first_out() {
    let run = check(3, vec![]);
    let enqueued = run.of("enqueue").filter(|event| event.node.0 == 0);
    let order = enqueued.map(|event| match event.fact {
        Fact::Enqueue { id, .. } => id,
        _ => unreachable!(),
    });
    let delivered = run.of("deliver").map(|event| match event.fact {
        Fact::Deliver { id, .. } => id,
        _ => unreachable!(),
    });
    assert!(order.eq(delivered), "one worker gets the jobs in the order of the queue");
}

#[test]
fn when_the_leader_crashes_another_leads_within_two_election_timeouts_and_nothing_is_lost() {
    for seed in 0..2 {
        let run = check(seed, vec![fault(8, 14, Inject::Crash(on(&["leader of queue"])))]);
        let next = run.of("lead").find(|event| event.at_ns > 8_000_000_000).expect("another leads");
        assert!(next.at_ns <= 10_100_000_000, "seed {seed}: it took until {}", next.at_ns);
    }
}

#[test]
fn a_leader_that_loses_power_or_stands_still_is_replaced_and_nothing_is_lost() {
    check(5, vec![fault(6, 12, Inject::PowerLoss(on(&["leader of queue"])))]);
    check(6, vec![fault(6, 12, Inject::Pause(on(&["leader of queue"])))]);
}

#[test]
fn all_replicas_lose_power_at_once_and_nothing_that_was_acknowledged_is_lost() {
    for seed in 0..2 {
        check(seed, vec![fault(8, 11, Inject::PowerLoss(on(&["queue-1", "queue-2", "queue-3"])))]);
    }
}

#[test]
fn a_leader_that_is_cut_off_is_replaced_and_catches_up_when_it_is_back() {
    for seed in 0..2 {
        let others = ["queue-1", "queue-2", "queue-3", "worker-1", "client-1"];
        let run = check(seed, vec![fault(6, 12, cut(&["leader of queue"], &others))]);
        assert!(run.of("lead").count() >= 2);
    }
}

#[test]
fn replicas_that_crash_again_and_again_one_after_the_other_lose_nothing() {
    let faults = (0..5_u64).map(|turn| {
        let node = format!("queue-{}", turn % 3 + 1);
        fault(4 + 2 * turn, 5 + 2 * turn, Inject::Crash(on(&[&node])))
    });
    check(7, faults.collect());
}
