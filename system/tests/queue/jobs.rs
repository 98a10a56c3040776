//! What clients and workers may count on.

use crate::system::queue::{Amounts, Enqueued, JobStatus, Lease, NewJob, Outcome, QueueClient, QueueError};
use crate::world::{Script, in_seconds, plan, run, set, soon};
use bytes::Bytes;
use sim::history::{Fact, Id};
use sim::plan::Plan;
use sim::stack::Client;
use sim::time::{Instant, sleep};
use std::time::Duration;

fn job(number: u32, body: &'static str) -> NewJob {
    let id = Id::new(9, number);
    let body = Bytes::from_static(body.as_bytes());
    NewJob { id, key: id.to_string(), group: None, request: "do".to_owned(), body }
}

fn output(text: &'static str) -> Outcome {
    let bytes = Bytes::from_static(text.as_bytes());
    Outcome::Output { content_type: "text/plain".to_owned(), bytes }
}

async fn lease(queue: &QueueClient) -> Lease {
    let mut leases = queue.lease("me", 1, Duration::from_secs(5), in_seconds(10)).await.unwrap();
    assert_eq!(leases.len(), 1);
    leases.remove(0)
}

fn finished() {
    sim::node::record(Fact::Note { text: "finished".to_owned() });
}

/// Runs one client's script, with workers that do nothing, to its end.
fn check<F, T>(plan: &Plan, body: F)
where
    F: Fn(QueueClient) -> T + Clone + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let script = Script::new(move |client: Client| {
        let body = body.clone();
        Box::pin(async move {
            body(QueueClient::new(&client.deployment)).await;
            finished();
        })
    });
    let script = script.with_worker(|_| Box::pin(std::future::pending()));
    let run = run(plan, &script);
    assert_eq!(run.notes(), ["finished"]);
}

fn quick(seed: u64) -> Plan {
    set(plan(seed, 30, 0.0, vec![]), "queue.lease", "1s")
}

#[test]
fn the_same_key_is_the_same_job_and_another_body_is_refused() {
    check(&quick(1), |queue| async move {
        let first = queue.enqueue(job(1, "a"), soon()).await.unwrap();
        assert!(!first.duplicate);
        let again = queue.enqueue(job(1, "a"), soon()).await.unwrap();
        assert_eq!(again, Enqueued { duplicate: true, ..first });
        assert_eq!(queue.enqueue(job(1, "b"), soon()).await, Err(QueueError::KeyReused));
        let lease = lease(&queue).await;
        queue.finish(&lease, output("done"), Amounts::default(), soon()).await.unwrap();
        let after = queue.enqueue(job(1, "a"), soon()).await.unwrap();
        assert_eq!(after, again, "also after its end");
    });
}

#[test]
fn a_job_is_followed_from_its_place_in_the_queue_to_its_output() {
    check(&quick(2), |queue| async move {
        assert_eq!(queue.status("9.1", Duration::from_secs(1), soon()).await, Ok(None));
        queue.enqueue(job(1, "a"), soon()).await.unwrap();
        assert_eq!(queue.status("9.1", Duration::ZERO, soon()).await, Ok(Some(JobStatus::Waiting)));
        let lease = lease(&queue).await;
        assert_eq!((lease.key.as_str(), &lease.body[..], lease.delivery), ("9.1", &b"a"[..], 1));
        assert_eq!(queue.status("9.1", Duration::ZERO, soon()).await, Ok(Some(JobStatus::Running)));
        let waiting = {
            let queue = queue.clone();
            sim::task::spawn(async move { queue.status("9.1", Duration::from_secs(5), in_seconds(9)).await })
        };
        sleep(Duration::from_millis(300)).await;
        queue.finish(&lease, output("done"), Amounts::default(), soon()).await.unwrap();
        let told = Instant::now();
        let Ok(Ok(Some(JobStatus::Done { content_type, output }))) = waiting.await else { panic!("done") };
        assert!(told.elapsed() < Duration::from_millis(50), "who waits for the end hears of it at once");
        assert_eq!(content_type, "text/plain");
        assert_eq!(queue.output(output, soon()).await.unwrap(), "done");
        let depth = queue.depth(soon()).await.unwrap();
        assert_eq!((depth.waiting, depth.leased, depth.done, depth.quarantined), (0, 0, 1, 0));
    });
}

#[test]
fn a_lease_that_expired_is_fenced_off_and_its_job_is_somebody_elses() {
    check(&quick(3), |queue| async move {
        queue.enqueue(job(1, "a"), soon()).await.unwrap();
        let old = lease(&queue).await;
        let new = lease(&queue).await;
        assert_eq!(new.delivery, 2, "handed out again when the first lease expired");
        assert!(new.token > old.token);
        assert_eq!(
            queue.finish(&old, output("late"), Amounts::default(), soon()).await,
            Err(QueueError::Fenced)
        );
        assert_eq!(queue.extend(&old, soon()).await, Err(QueueError::Fenced));
        queue.finish(&new, output("right"), Amounts::default(), soon()).await.unwrap();
        queue.finish(&new, output("right"), Amounts::default(), soon()).await.unwrap();
        assert_eq!(
            queue.finish(&old, output("late"), Amounts::default(), soon()).await,
            Err(QueueError::Fenced)
        );
    });
}

#[test]
fn a_lease_that_is_extended_lasts() {
    check(&quick(4), |queue| async move {
        queue.enqueue(job(1, "a"), soon()).await.unwrap();
        let lease = lease(&queue).await;
        for _ in 0..5 {
            sleep(Duration::from_millis(700)).await;
            let until = queue.extend(&lease, soon()).await.unwrap();
            assert!(
                Instant::now() < until && until < Instant::now() + Duration::from_secs(1),
                "less than all"
            );
        }
        queue.finish(&lease, output("done"), Amounts::default(), soon()).await.unwrap();
    });
}

#[test]
fn poison_at_the_head_blocks_nobody_and_is_set_aside() {
    check(&quick(5), |queue| async move {
        for number in 1..=4 {
            queue.enqueue(job(number, "a"), soon()).await.unwrap();
        }
        let mut deliveries = 0;
        for _ in 0..8 {
            let lease = lease(&queue).await;
            if lease.key == "9.1" {
                deliveries += 1;
                queue.give_back(&lease, Duration::from_millis(100), soon()).await.unwrap();
                sleep(Duration::from_millis(200)).await;
            } else {
                queue.finish(&lease, output("done"), Amounts::default(), soon()).await.unwrap();
            }
        }
        assert_eq!(deliveries, 5);
        let status = queue.status("9.1", Duration::ZERO, soon()).await.unwrap();
        let Some(JobStatus::Quarantined { reason }) = status else { panic!("{status:?}") };
        assert_eq!(reason, "delivered 5 times without a result; at last me gave it back");
        let depth = queue.depth(soon()).await.unwrap();
        assert_eq!((depth.waiting, depth.leased, depth.done, depth.quarantined), (0, 0, 3, 1));
    });
}

#[test]
fn a_full_queue_takes_no_more_and_a_lease_waits_for_what_comes() {
    check(&set(quick(6), "queue.max-waiting", "3"), |queue| async move {
        for number in 1..=3 {
            queue.enqueue(job(number, "a"), soon()).await.unwrap();
        }
        assert_eq!(queue.enqueue(job(4, "a"), soon()).await, Err(QueueError::Overloaded));
        let all = queue.lease("me", 9, Duration::ZERO, soon()).await.unwrap();
        assert_eq!(all.iter().map(|lease| lease.key.as_str()).collect::<Vec<_>>(), ["9.1", "9.2", "9.3"]);
        for lease in &all {
            let refused = Outcome::Refused { status: 422, code: "no".to_owned(), message: "no".to_owned() };
            queue.finish(lease, refused, Amounts::default(), soon()).await.unwrap();
        }
        let waiting = {
            let queue = queue.clone();
            sim::task::spawn(async move { queue.lease("me", 1, Duration::from_secs(3), soon()).await })
        };
        sleep(Duration::from_secs(1)).await;
        queue.enqueue(job(4, "a"), soon()).await.unwrap();
        assert_eq!(waiting.await.unwrap().unwrap()[0].key, "9.4");
        let begun = Instant::now();
        assert!(queue.lease("me", 1, Duration::from_millis(500), soon()).await.unwrap().is_empty());
        assert!(begun.elapsed() >= Duration::from_millis(500));
    });
}

#[test]
fn results_and_keys_are_forgotten_after_their_retention() {
    let plan = set(quick(7), "queue.retention", "3s");
    check(&plan, |queue| async move {
        queue.enqueue(job(1, "a"), soon()).await.unwrap();
        queue.finish(&lease(&queue).await, output("done"), Amounts::default(), soon()).await.unwrap();
        let status = queue.status("9.1", Duration::ZERO, soon()).await.unwrap();
        let Some(JobStatus::Done { output, .. }) = status else { panic!("{status:?}") };
        sleep(Duration::from_secs(4)).await;
        assert_eq!(queue.status("9.1", Duration::ZERO, soon()).await, Ok(None));
        assert_eq!(queue.output(output, soon()).await, Err(QueueError::NotFound));
        assert_eq!(queue.depth(soon()).await.unwrap().done, 0);
    });
}
