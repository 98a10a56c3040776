//! Spares take the places of replicas that are gone, one at a time, and nothing is lost.

use crate::faults::script;
use crate::recovery::fill;
use crate::system::queue::QueueClient;
use crate::world::{Run, Script, cut, fault, on, plan_of, run, set};
use sim::fault::{Fault, Inject};
use sim::history::{Event, Fact};
use sim::plan::Plan;
use sim::stack::Client;
use sim::time::sleep;
use std::time::Duration;

const S: u64 = 1_000_000_000;

/// Four nodes of the queue, of which the last is a spare that takes a place after 4 seconds.
fn with_a_spare(seed: u64, seconds: u64, rate: f64, faults: Vec<Fault>) -> Plan {
    let plan = set(plan_of(4, seed, seconds, rate, faults), "queue.spares", "1");
    set(plan, "queue.replace-after", "4s")
}

/// Who voted, each time that it changed, and when somebody first said so.
fn groups(run: &Run) -> Vec<(u64, Vec<u32>)> {
    let (mut groups, mut latest) = (Vec::new(), None);
    for event in run.of("members") {
        if let Fact::Members { since, replicas, .. } = &event.fact
            && latest < Some(*since)
        {
            latest = Some(*since);
            groups.push((event.at_ns, replicas.iter().map(|node| node.0).collect()));
        }
    }
    groups
}

fn last_group(run: &Run) -> Vec<u32> {
    groups(run).pop().expect("they say so from the beginning").1
}

fn is_vote(event: &&Event) -> bool {
    matches!(event.fact, Fact::Accept { .. } | Fact::Promise { .. } | Fact::Lead { .. })
}

/// All that was acknowledged is done, and clients were served until the end.
fn nothing_is_lost(run: &Run) {
    let (acknowledged, done) = run.acknowledged_and_done();
    let missing: Vec<_> = acknowledged.difference(&done).collect();
    assert!(missing.is_empty(), "acknowledged and not done: {missing:?}");
    assert_eq!(run.of("drained").count(), 1);
    let chosen = run.chosen();
    assert_eq!(chosen.len(), 4, "spares learn as well");
    let lag = chosen.values().max().unwrap() - chosen.values().min().unwrap();
    assert!(lag <= 8, "a replica did not catch up: {chosen:?}");
}

#[test]
fn two_of_three_replicas_go_for_good_one_after_the_other_and_the_queue_goes_on() {
    let faults = vec![
        fault(8, 34, Inject::LostDisk(on(&["queue-1"]))),
        fault(20, 34, Inject::LostDisk(on(&["queue-2"]))),
    ];
    let run = run(&with_a_spare(1, 38, 10.0, faults), &script());
    nothing_is_lost(&run);
    let groups = groups(&run);
    let sets: Vec<_> = groups.iter().map(|(_, group)| group.clone()).collect();
    assert_eq!(
        sets[..3],
        [vec![0, 1, 2], vec![0, 1, 2, 3], vec![1, 2, 3]],
        "it comes in, then the other goes"
    );
    assert!(groups[1].0 > 12 * S && groups[2].0 < 15 * S, "{groups:?}");
    let late = run.of("acknowledge").filter(|event| event.at_ns > 25 * S).count();
    assert!(late > 50, "{late} were acknowledged with two replicas of the first three gone");
}

#[test]
fn a_replica_that_comes_back_when_its_place_is_taken_votes_no_more_and_is_the_next_spare() {
    let faults = vec![
        fault(6, 18, Inject::Crash(on(&["queue-1"]))),
        fault(24, 34, Inject::PowerLoss(on(&["queue-2"]))),
    ];
    let run = run(&with_a_spare(2, 38, 10.0, faults), &script());
    nothing_is_lost(&run);
    let back = run.events.iter().filter(|event| event.node.0 == 0 && event.at_ns > 18 * S);
    let taken = back.clone().find_map(|event| match &event.fact {
        Fact::Members { replicas, .. } if replicas.iter().any(|node| node.0 == 0) && event.at_ns > 24 * S => {
            Some(event.at_ns)
        }
        _ => None,
    });
    let taken_ns = taken.expect("it takes the place of queue-2");
    assert_eq!(back.filter(is_vote).filter(|event| event.at_ns < taken_ns).count(), 0);
    assert_eq!(last_group(&run), [0, 2, 3]);
}

#[test]
fn a_leader_that_is_cut_off_while_others_take_its_place_is_a_spare_when_it_is_back() {
    for seed in 0..2 {
        let all = ["queue-1", "queue-2", "queue-3", "queue-4", "worker-1", "client-1"];
        let run = run(
            &with_a_spare(seed, 30, 10.0, vec![fault(6, 20, cut(&["leader of queue"], &all))]),
            &script(),
        );
        nothing_is_lost(&run);
        let first = run.of("lead").next().expect("somebody leads").node.0;
        let last = last_group(&run);
        assert!(last.len() == 3 && !last.contains(&first), "{last:?} without {first}");
    }
}

#[test]
fn who_votes_is_in_snapshots_and_nobody_begins_anew_when_all_start_from_one() {
    let script = Script::new(|client: Client| {
        Box::pin(async move {
            sleep(Duration::from_secs(14)).await;
            fill(&QueueClient::new(&client.deployment), 1_500).await;
        })
    });
    let faults = vec![
        fault(4, 50, Inject::Crash(on(&["queue-1"]))),
        fault(44, 46, Inject::PowerLoss(on(&["queue-2", "queue-3", "queue-4"]))),
    ];
    let run = run(&with_a_spare(4, 48, 0.0, faults), &script);
    let (acknowledged, done) = run.acknowledged_and_done();
    assert_eq!((acknowledged.len(), acknowledged.difference(&done).count()), (1_500, 0));
    for replica in 1..4 {
        let said = run.of("members").filter(|event| event.node.0 == replica && event.at_ns > 46 * S);
        let first = said.map(|event| event.fact.clone()).next().expect("it says so when it starts");
        let Fact::Members { since, replicas, .. } = first else { unreachable!() };
        assert!(
            since > 0 && replicas.iter().map(|node| node.0).eq(1..4),
            "{replica}: {replicas:?} since {since}"
        );
    }
}

#[test]
fn where_a_spare_is_missing_nobody_is_replaced() {
    let run = run(
        &set(
            plan_of(3, 5, 20, 10.0, vec![fault(6, 16, Inject::Crash(on(&["queue-1"])))]),
            "queue.replace-after",
            "2s",
        ),
        &script(),
    );
    assert_eq!(run.of("members").count(), 0, "who votes never changes, and nobody says so");
    assert_eq!(run.of("drained").count(), 1);
}
