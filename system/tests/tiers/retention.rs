//! How long bills stay: for their retention, on every node, whatever its clock says; and then no longer, on none.

use crate::usage::{accounts, plan};
use crate::world::{SECOND_NS, events, fault, on};
use sim::fault::{ClockStep, Fault, Inject};
use sim::history::{Event, Fact, NodeIndex};
use std::collections::{BTreeMap, BTreeSet};

const ARCHIVE: [&str; 3] = ["archive-1", "archive-2", "archive-3"];
const DAY_NS: i64 = 86_400_000_000_000;

/// All that happens where bills are kept for 15 s, or as `settings` say.
fn run(seed: u64, settings: &[(&str, &str)], faults: Vec<Fault>) -> Vec<Event> {
    let mut plan = plan(seed, faults);
    plan.duration_ns *= 3;
    for (name, value) in [("archive.retention", "15s")].iter().chain(settings) {
        plan.settings.insert((*name).to_owned(), (*value).to_owned());
    }
    events(&plan)
}

/// What nodes said last of each bill: whether they have it, or a receipt; and how often each bill was put away.
#[derive(Debug, Default)]
struct Bills {
    kept: BTreeMap<String, BTreeSet<NodeIndex>>,
    discarded: BTreeMap<String, BTreeSet<NodeIndex>>,
    archived: BTreeMap<String, u32>,
    /// Of each bill that was discarded: how soon after a node first had it.
    after_ns: BTreeMap<String, u64>,
    /// When a node first had it.
    first_ns: BTreeMap<String, u64>,
    /// Where a node kept what it, or the node that had its place before, had discarded.
    brought_back: Vec<Event>,
}

impl Bills {
    fn of(events: &[Event]) -> Self {
        let mut bills = Self::default();
        for event in events {
            match &event.fact {
                Fact::Archive { object, .. } => {
                    bills.first_ns.entry(object.clone()).or_insert(event.at_ns);
                    if bills.discarded.get(object).is_some_and(|nodes| nodes.contains(&event.node)) {
                        bills.brought_back.push(event.clone());
                    }
                    bills.kept.entry(object.clone()).or_default().insert(event.node);
                }
                Fact::Discard { object, .. } => {
                    let after_ns = event.at_ns - bills.first_ns.get(object).unwrap_or(&0);
                    bills.after_ns.entry(object.clone()).or_insert(after_ns);
                    bills.kept.entry(object.clone()).or_default().remove(&event.node);
                    bills.discarded.entry(object.clone()).or_default().insert(event.node);
                }
                Fact::Archived { object, .. } => *bills.archived.entry(object.clone()).or_default() += 1,
                _ => {}
            }
        }
        bills
    }
}

#[test]
fn bills_are_discarded_everywhere_once_their_retention_is_over_and_stay_billed_once() {
    for seed in 1..=2 {
        let events = run(seed, &[], Vec::new());
        let bills = Bills::of(&events);
        let everywhere = bills.discarded.values().filter(|nodes| nodes.len() == ARCHIVE.len()).count();
        assert!(everywhere >= 4, "those of the first half minute at least: {bills:?}");
        let young = bills.kept.values().filter(|nodes| nodes.len() == ARCHIVE.len()).count();
        assert!(young >= 1, "the last is young: {bills:?}");
        assert!(bills.archived.values().all(|times| *times == 1), "{bills:?}");
        assert!(bills.brought_back.is_empty(), "{bills:?}");
        accounts(events).check();
    }
}

#[test]
fn a_node_that_lost_its_disk_gets_young_bills_and_receipts_of_old_ones() {
    for seed in 1..=2 {
        let lost = vec![fault(40, 42, Inject::LostDisk(on(&ARCHIVE[..1])))];
        let events = run(seed, &[], lost);
        let is_loss = |event: &Event| matches!(event.fact, Fact::DiskLoss { synced: true, .. });
        let (at, loss) = events.iter().enumerate().find(|(_, event)| is_loss(event)).unwrap();
        let of_newcomer = events[at..].iter().filter(|event| event.node == loss.node).cloned();
        let newcomer = Bills::of(&of_newcomer.collect::<Vec<_>>());
        let before = Bills::of(&events[..at]);
        let old = before.discarded.iter().filter(|(_, nodes)| nodes.len() == ARCHIVE.len());
        let old: BTreeSet<_> = old.map(|(bill, _)| bill).collect();
        assert!(!old.is_empty() && old.iter().all(|bill| newcomer.discarded.contains_key(*bill)));
        let young = before.kept.iter().filter(|(_, nodes)| nodes.contains(&loss.node));
        assert!(young.clone().count() > 0 && young.clone().all(|(bill, _)| newcomer.kept.contains_key(bill)));
        // As old as they were with the others, or they would stay for as long again.
        let bills = Bills::of(&events);
        assert!(bills.brought_back.is_empty(), "{bills:?}");
        assert!(young.clone().all(|(bill, _)| bills.discarded[bill].contains(&loss.node)), "{bills:?}");
        accounts(events).check();
    }
}

#[test]
fn bills_are_discarded_and_billed_once_though_nodes_go_and_come_back() {
    for seed in 1..=3 {
        let events = run(
            seed,
            &[],
            vec![
                fault(9, 20, Inject::PowerLoss(on(&ARCHIVE[..2]))),
                fault(24, 26, Inject::PowerLoss(on(&ARCHIVE))),
                fault(30, 34, Inject::Crash(on(&["archive-3", "batch-1", "batch-2", "batch-3"]))),
                fault(36, 39, Inject::PowerLoss(on(&ARCHIVE[1..]))),
            ],
        );
        let bills = Bills::of(&events);
        assert!(bills.discarded.len() >= 2, "{bills:?}");
        assert!(bills.brought_back.is_empty(), "{bills:?}");
        accounts(events).check();
    }
}

#[test]
fn a_disk_that_is_stuck_while_a_bill_is_put_away_makes_no_bill_older() {
    for seed in 1..=2 {
        // Nobody is told of the first bill before the disks go on. The second is put away right then, so that whoever starts again knows
        // from it how long it has been running.
        let stuck = fault(8, 17, Inject::StuckDisk(on(&ARCHIVE)));
        let restart = fault(20, 21, Inject::PowerLoss(on(&ARCHIVE)));
        let events = run(seed, &[], vec![stuck, restart]);
        let bills = Bills::of(&events);
        assert!(bills.first_ns["bill-000000000000"] >= 17 * SECOND_NS, "{bills:?}");
        assert!(bills.first_ns["bill-000000000001"] < 20 * SECOND_NS, "{bills:?}");
        assert!(bills.after_ns.values().all(|after_ns| *after_ns >= 15 * SECOND_NS), "{bills:?}");
        accounts(events).check();
    }
}

#[test]
fn the_next_bill_begins_where_the_last_one_ended_though_nobody_has_the_last_one_any_more() {
    for seed in 1..=2 {
        // Who starts then knows of the first bill only what its receipt says.
        let restart = fault(13, 14, Inject::Crash(on(&["batch-1", "batch-2", "batch-3"])));
        let events = run(seed, &[("archive.retention", "2s")], vec![restart]);
        let until = events.partition_point(|event| event.at_ns < 14 * SECOND_NS);
        let before = Bills::of(&events[..until]);
        assert_eq!(before.discarded["bill-000000000000"].len(), ARCHIVE.len(), "{before:?}");
        assert!(!before.archived.contains_key("bill-000000000001"), "{before:?}");
        accounts(events).check();
    }
}

#[test]
fn a_wrong_time_makes_nothing_old_where_age_is_not_counted_by_dates() {
    let discards = |settings: &[(&str, &str)]| {
        let nodes = on(&ARCHIVE).nodes;
        let ahead = Inject::ClockStep(ClockStep { nodes, by_ns: 3000 * DAY_NS });
        let settings = [&[("archive.retention", "2557d")], settings].concat();
        Bills::of(&run(1, &settings, vec![fault(20, 40, ahead)])).discarded.len()
    };
    assert_eq!(discards(&[]), 0);
    assert!(discards(&[("archive.retention-by", "wall-clock")]) > 0, "what running time is good for");
}
