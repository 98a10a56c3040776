//! Versions of the configuration: what they change and who takes them up, which are refused or taken back, and a service that fails.

use crate::world::{events, fault, plan};
use sim::fault::{DiskError, Inject};
use sim::history::{Down, Event, Fact, NodeIndex};
use std::collections::BTreeSet;
use system::config::RANGES;

const ROLES: [(&str, u32); 11] = [
    ("balancer", 2),
    ("api", 2),
    ("queue", 3),
    ("worker", 2),
    ("usage", 3),
    ("batch", 2),
    ("archive", 3),
    ("auth", 2),
    ("identity", 1),
    ("config", 1),
    ("client", 1),
];

/// What happens where a version with `changed` settings is pushed to the nodes of a role.
fn pushed(role: &str, changed: &str, more: &[(&str, &str)]) -> Vec<Event> {
    let mut settings =
        vec![("push.at", "3s"), ("push.role", role), ("push.settings", changed), ("rollout.soak", "4s")];
    settings.extend(more);
    events(&plan(1, 40, &ROLES, (4, 4.0), &settings, vec![]))
}

fn nodes_with(events: &[Event], fits: impl Fn(&Fact) -> bool) -> BTreeSet<NodeIndex> {
    events.iter().filter(|event| fits(&event.fact)).map(|event| event.node).collect()
}

fn restarted(events: &[Event]) -> BTreeSet<NodeIndex> {
    nodes_with(events, |fact| matches!(fact, Fact::Exit { cause: Down::Restart }))
}

#[test]
fn a_service_whose_disk_fails_starts_anew_and_takes_a_bad_version_back_all_the_same() {
    let roles = [("api", 3), ("queue", 3), ("worker", 2), ("config", 1), ("client", 1)];
    let settings = [("push.at", "5s"), ("push.content", "defective"), ("push.effect", "refuse")];
    for start_s in [4, 7] {
        let error = DiskError { nodes: vec!["config-1".to_owned()], probability: 1.0, once: true };
        let faults = vec![fault(start_s, 30, Inject::DiskError(error))];
        let events = events(&plan(1, 60, &roles, (4, 16.0), &settings, faults));
        let condemned = events.iter().filter(|event| matches!(event.fact, Fact::Condemn { .. })).count();
        assert_eq!(condemned, 1, "the error strikes from second {start_s} on");
    }
}

#[test]
fn a_version_with_other_settings_is_taken_up_by_every_node_of_every_tier_and_nobody_notices() {
    let mut first = 0;
    for (role, count) in ROLES {
        let nodes: BTreeSet<_> = (first..first + count).map(NodeIndex).collect();
        first += count;
        if ["config", "client"].contains(&role) {
            continue;
        }
        // Any change makes a process of its own: whether the tier reads the setting is not the agent's to know.
        let events = pushed(role, "api.max-in-flight=1000", &[]);
        let given_up = nodes_with(&events, |fact| matches!(fact, Fact::GiveUp { .. }));
        assert_eq!(given_up, BTreeSet::new(), "{role}");
        assert_eq!(restarted(&events), nodes, "{role}");
        assert_eq!(nodes_with(&events, |fact| matches!(fact, Fact::Adopt { version: 2 })), nodes, "{role}");
        let ended_otherwise =
            nodes_with(&events, |fact| matches!(fact, Fact::Exit { cause } if *cause != Down::Restart));
        assert_eq!(ended_otherwise, BTreeSet::new(), "{role}");
        let stages = events.iter().filter_map(|event| match &event.fact {
            Fact::Stage { percent, .. } => Some(*percent),
            _ => None,
        });
        assert_eq!(stages.collect::<Vec<_>>(), [1, 10, 50, 100], "{role}");
    }
}

#[test]
fn a_version_that_turns_a_safeguard_off_is_run_by_nobody_who_validates() {
    let adopters = |validation| {
        let more = [("config.validation", validation), ("push.settings-invalid", "true")];
        let events = pushed("queue", "queue.durability=memory", &more);
        nodes_with(&events, |fact| matches!(fact, Fact::Adopt { version: 2 })).len()
    };
    assert_eq!(adopters("true"), 0);
    assert_eq!(adopters("false"), 3);
}

#[test]
fn a_version_whose_settings_leave_a_worker_no_time_is_taken_back_and_the_worker_made_by_the_old_ones_again() {
    let slow = [("worker.conversion-cost", "6s"), ("rollout.soak", "10s")];
    let events = pushed("worker", "worker.job-timeout=1s", &slow);
    let told = events.iter().filter_map(|event| match event.fact {
        Fact::Exit { cause: Down::Restart } => Some("restart"),
        Fact::Adopt { version: 1 } => Some("adopt 1"),
        Fact::Adopt { version: 2 } => Some("adopt 2"),
        Fact::Condemn { version: 2 } => Some("condemn"),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told, ["restart", "adopt 2", "condemn", "restart", "adopt 1"]);
}

#[test]
fn a_version_by_which_the_queue_turns_most_jobs_away_is_taken_back() {
    // Ten may wait, and two workers that are slow take one each.
    let busy = [("worker.conversion-cost", "2s"), ("worker.leases", "1")];
    let condemned = |changed| {
        let events = pushed("queue", changed, &busy);
        events.iter().any(|event| matches!(event.fact, Fact::Condemn { version: 2 }))
    };
    assert!(condemned("queue.max-waiting=10"));
    assert!(!condemned("queue.max-waiting=9000"));
}

#[test]
fn a_process_that_cannot_be_configured_starts_again_from_the_last_good_version() {
    let more = [("config.validation", "false")];
    let events = pushed("worker", "worker.job-timeout=soon", &more);
    let aborts =
        events.iter().filter(|event| matches!(event.fact, Fact::Exit { cause: Down::Abort })).count();
    assert_eq!(aborts, 1);
    assert!(events.iter().any(|event| matches!(event.fact, Fact::Condemn { version: 2 })));
}

#[test]
fn what_bounds_the_queue_is_changed_for_all_replicas_by_the_one_that_leads() {
    // Poison is set aside after its last delivery, and says after how many.
    let set_aside_after = |changed: &str| {
        let poison = [("client.poisonous", "1"), ("worker.weakness", "crash"), ("queue.lease", "2s")];
        let events = pushed("queue", changed, &poison);
        let reasons = events.iter().filter_map(|event| match &event.fact {
            Fact::Quarantine { reason, .. } => reason.split(' ').nth(1)?.parse::<u32>().ok(),
            _ => None,
        });
        reasons.collect::<Vec<_>>()
    };
    let all = set_aside_after("");
    assert!(all.len() > 3 && all.iter().all(|deliveries| *deliveries == 5), "{all:?}");
    let all = set_aside_after("queue.max-deliveries=2");
    assert_eq!(all.last(), Some(&2), "{all:?}");
}

#[test]
fn every_process_lives_with_the_least_and_with_the_most_that_a_version_may_set() {
    for settings in [RANGES.map(|(name, least, _)| (name, least)), RANGES.map(|(name, _, most)| (name, most))]
    {
        let events = events(&plan(1, 20, &ROLES, (4, 8.0), &settings, vec![]));
        let ended = nodes_with(&events, |fact| matches!(fact, Fact::Exit { .. } | Fact::Panic { .. }));
        assert_eq!(ended, BTreeSet::new(), "{settings:?}");
        // And does what it is for: jobs are taken in.
        assert!(events.iter().any(|event| matches!(event.fact, Fact::Enqueue { .. })));
    }
}
