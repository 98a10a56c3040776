//! Identity and auth while nodes go and come back: who is known is let in, and nobody who was revoked for longer than the bound.

use crate::world::{SECOND_NS, cut, events, fault, on};
use sim::fault::{Fault, Inject};
use sim::history::Fact;
use sim::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};

const AUTH: [&str; 3] = ["auth-1", "auth-2", "auth-3"];
const API: [&str; 2] = ["api-1", "api-2"];
/// Clocks are right here, and yet a bound is not met to the nanosecond.
const BOUND_NS: u64 = 10 * SECOND_NS + SECOND_NS / 10;

/// A new user may wait for so long: until the data plane has asked for news, and what a server remembers of a try before is forgotten.
const NEW_NS: u64 = 3 * SECOND_NS;

fn plan(seed: u64, settings: &[(&str, &str)], faults: Vec<Fault>) -> Plan {
    let roles = [("api", 2), ("queue", 3), ("worker", 2), ("auth", 3), ("identity", 2), ("client", 1)];
    let always = [("auth.revocation-bound", "10s"), ("client.revoke-at", "10s")];
    crate::world::plan(seed, 40, &roles, (4, 16.0), &[&always, settings].concat(), faults)
}

/// What a run says of who was let in.
#[derive(Debug, Default)]
struct Seen {
    /// When accounts were made.
    enrolled: BTreeMap<u32, u64>,
    /// When revocations were made.
    revoked: BTreeMap<u32, u64>,
    /// When revoked accounts were turned away first.
    denied: BTreeMap<u32, u64>,
    admitted: u64,
    /// The oldest that anybody was let in by.
    oldest_ns: u64,
    /// Admissions of accounts that were revoked for longer than the bound.
    late: u64,
    /// Denials of accounts that are not so new any more, and that nobody revokes.
    wrong: u64,
    /// Requests that got a good answer, and such that got none at all.
    received: u64,
    given_up: u64,
}

fn run(plan: &Plan) -> Seen {
    let (mut seen, mut begun) = (Seen::default(), BTreeSet::new());
    for event in events(plan) {
        match event.fact {
            Fact::Enrol { account, .. } => drop(seen.enrolled.insert(account, event.at_ns)),
            Fact::Revoke { account, within_ns: u64::MAX } => drop(begun.insert(account)),
            Fact::Revoke { account, .. } => drop(seen.revoked.entry(account).or_insert(event.at_ns)),
            Fact::Admit { account, age_ns, .. } => {
                assert!(seen.enrolled.contains_key(&account), "nobody was let in");
                seen.admitted += 1;
                seen.oldest_ns = seen.oldest_ns.max(age_ns);
                let since_ns = seen.revoked.get(&account).map(|at_ns| event.at_ns - at_ns);
                seen.late += u64::from(since_ns.is_some_and(|since_ns| since_ns > BOUND_NS));
            }
            Fact::Deny { account, .. } if begun.contains(&account) => {
                seen.denied.entry(account).or_insert(event.at_ns);
            }
            Fact::Deny { account, .. } => {
                let since_ns = event.at_ns - seen.enrolled[&account];
                seen.wrong += u64::from(since_ns > NEW_NS);
            }
            Fact::Receive { .. } => seen.received += 1,
            Fact::GiveUp { .. } => seen.given_up += 1,
            Fact::Panic { message } => panic!("{message}"),
            _ => {}
        }
    }
    seen
}

#[test]
fn on_an_ordinary_day_everybody_is_let_in_and_who_is_revoked_is_not() {
    let seen = run(&plan(1, &[("client.revoked", "2")], Vec::new()));
    assert_eq!(seen.enrolled.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(seen.revoked.keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(seen.denied.keys().copied().collect::<Vec<_>>(), [0, 1]);
    for (account, at_ns) in &seen.denied {
        let after_ns = at_ns.saturating_sub(seen.revoked[account]);
        assert!(after_ns < 7 * SECOND_NS, "five seconds in a cache, and the next try: {after_ns} ns");
    }
    assert_eq!((seen.late, seen.given_up), (0, 0), "{seen:?}");
    assert!(seen.oldest_ns <= 5 * SECOND_NS, "{seen:?}");
}

#[test]
fn without_a_data_plane_who_is_known_is_let_in_as_long_as_the_bound_allows() {
    let outage = || vec![fault(15, 22, Inject::PowerLoss(on(&AUTH)))];
    let stale = run(&plan(2, &[("client.deadline", "5s")], outage()));
    assert_eq!((stale.given_up, stale.wrong), (0, 0), "{stale:?}");
    assert!((5 * SECOND_NS..=10 * SECOND_NS).contains(&stale.oldest_ns), "{stale:?}");
    let asked = run(&plan(2, &[("client.deadline", "5s"), ("auth.serve-stale", "false")], outage()));
    assert!(asked.given_up > 10, "what remembering is good for: {asked:?}");
}

#[test]
fn accounts_stay_good_though_nobody_can_make_any_for_the_rest_of_the_run() {
    let gone = fault(8, 40, Inject::PowerLoss(on(&["identity-1", "identity-2"])));
    // A node of the data plane that starts anew is as good as before: its disk has all.
    let anew = fault(15, 17, Inject::PowerLoss(on(&AUTH[..2])));
    let seen = run(&plan(3, &[], vec![gone, anew]));
    assert_eq!((seen.given_up, seen.wrong), (0, 0), "{seen:?}");
    assert!(seen.oldest_ns <= 10 * SECOND_NS && seen.received > 300, "{seen:?}");
}

#[test]
fn a_server_that_hears_from_nobody_closes_before_the_bound_and_without_it_never_does() {
    let faults = || vec![fault(8, 32, cut(&API, &AUTH))];
    let bounded = run(&plan(4, &[("client.revoked", "2")], faults()));
    assert_eq!(bounded.revoked.len(), 2, "those who revoke are not cut off: {bounded:?}");
    assert_eq!(bounded.late, 0, "{bounded:?}");
    assert!(bounded.oldest_ns <= 10 * SECOND_NS, "{bounded:?}");
    let unbounded = run(&plan(4, &[("client.revoked", "2"), ("auth.bounded", "false")], faults()));
    assert!(unbounded.late > 10, "what the bound is good for: {unbounded:?}");
}

#[test]
fn a_revocation_is_made_once_a_majority_keeps_it_and_not_before() {
    let alone = cut(&["identity-1"], &AUTH[1..]);
    let seen = run(&plan(5, &[("client.revoked", "2")], vec![fault(8, 25, alone)]));
    for at_ns in seen.revoked.values() {
        assert!(*at_ns >= 25 * SECOND_NS, "one of three is no majority: {seen:?}");
    }
    assert_eq!((seen.revoked.len(), seen.late), (2, 0), "{seen:?}");
}

#[test]
fn what_lost_disks_had_is_had_again_and_nobody_is_let_in_meanwhile_who_must_not_be() {
    for seed in 6..9 {
        let faults = vec![
            fault(16, 18, Inject::LostDisk(on(&["auth-1"]))),
            fault(22, 24, Inject::LostDisk(on(&["identity-1"]))),
            fault(28, 30, Inject::LostDisk(on(&["auth-2"]))),
        ];
        let seen = run(&plan(seed, &[("client.revoked", "2")], faults));
        assert_eq!((seen.late, seen.wrong), (0, 0), "{seen:?}");
        assert_eq!(seen.enrolled.len(), 4, "{seen:?}");
        assert!(
            seen.received > 200 && seen.given_up == 0,
            "credentials of a key that is gone stay good: {seen:?}"
        );
    }
}

#[test]
fn an_account_that_only_a_lost_disk_had_was_given_out_to_nobody() {
    for seed in 9..11 {
        let faults = vec![
            fault(0, 14, cut(&["identity-1"], &AUTH)),
            // Its accounts are in no other place.
            fault(8, 10, Inject::LostDisk(on(&["identity-1"]))),
        ];
        let seen = run(&plan(seed, &[], faults));
        assert_eq!(
            (seen.wrong, seen.given_up),
            (0, 0),
            "a credential of a lost account is of no use: {seen:?}"
        );
        assert!(seen.enrolled.len() == 4 && seen.received > 100, "{seen:?}");
    }
}

#[test]
fn a_node_that_lost_its_disk_is_not_sure_by_a_copy_that_is_behind() {
    // Two of the data plane keep the revocations, of which one loses its disk and the other is gone; so is who made them.
    let behind = cut(&["identity-1"], &["identity-2", "auth-3"]);
    let faults = vec![
        fault(8, 40, behind),
        fault(18, 40, Inject::PowerLoss(on(&["identity-1"]))),
        fault(20, 21, Inject::LostDisk(on(&["auth-1"]))),
        fault(20, 40, Inject::Crash(on(&["auth-2"]))),
    ];
    for seed in 11..13 {
        let seen = run(&plan(seed, &[("client.revoked", "2")], faults.clone()));
        assert_eq!((seen.revoked.len(), seen.denied.len()), (2, 2), "{seen:?}");
        assert_eq!(seen.late, 0, "nobody can say who is revoked: {seen:?}");
    }
}
