//! Faults that something in the run sets off.

use crate::harness::{fault, note, run};
use crate::sim::cpu;
use crate::sim::fault::{After, Cause, Fault, Inject, Load, WHERE_IT_HAPPENED};
use crate::sim::history::{Event, Fact};
use crate::sim::stack::{Process, Task};
use crate::sim::time::sleep;
use crate::{MILLISECOND, SECOND, boots_of, notes_of, on, two_servers};
use std::time::Duration;

fn idle(_: Process) -> Task {
    Box::pin(std::future::pending())
}

fn after(name: &str, event: Cause, nodes: &[&str]) -> Fault {
    let mut fault = fault(0, 40 * SECOND, Inject::Crash(on(nodes)));
    fault.name = name.to_owned();
    fault.after = Some(After { event, delay_ns: SECOND, length_ns: 2 * SECOND });
    fault
}

fn named(mut fault: Fault, name: &str) -> Fault {
    fault.name = name.to_owned();
    fault
}

/// What set faults off: when in milliseconds, which, in what words, and the word of the event that it names.
fn set_off(events: &[Event]) -> Vec<(u64, u32, String, &'static str)> {
    let one = |event: &Event| match &event.fact {
        Fact::SetOff { fault, event: number, cause } => {
            let named = &events[usize::try_from(*number).unwrap()];
            Some((event.at_ns / MILLISECOND, *fault, cause.clone(), named.fact.word()))
        }
        _ => None,
    };
    events.iter().filter_map(one).collect()
}

#[test]
fn power_that_comes_back_trips_the_next_feed_and_the_history_says_so() {
    let feed = named(fault(5 * SECOND, 8 * SECOND, Inject::PowerLoss(on(&["server-1"]))), "feed.2");
    let inrush = after("inrush", Cause::FaultEnd("feed".to_owned()), &["server-2"]);
    let (_, events) = run(&two_servers(vec![feed, inrush]), idle);
    assert_eq!(boots_of(&events, 1), [0, 11_000], "a second after the feed is back, for two");
    assert_eq!(set_off(&events), [(8000, 1, "feed.2 ended".to_owned(), "fault-end")]);
}

#[test]
fn a_process_that_ends_brings_its_own_node_down_once() {
    let crash = fault(5 * SECOND, 6500 * MILLISECOND, Inject::Crash(on(&["server-1"])));
    let chain = after("chain", Cause::Exit("server".to_owned()), &[WHERE_IT_HAPPENED]);
    let (_, events) = run(&two_servers(vec![crash, chain]), idle);
    assert_eq!(
        boots_of(&events, 0),
        [0, 8000],
        "down from 5 s by the crash, from 6 s to 8 s by what it set off"
    );
    assert_eq!(boots_of(&events, 1), [0]);
    assert_eq!(set_off(&events), [(5000, 1, "the process of server-1 ended".to_owned(), "exit")]);
}

#[test]
fn load_that_lasts_sets_a_fault_off_and_load_that_does_not_does_not() {
    fn works(process: Process) -> Task {
        Box::pin(async move {
            let rests = if process.node.name == "server-1" { 1000 } else { 0 };
            sleep(Duration::from_secs(3)).await;
            loop {
                cpu::run(Duration::from_millis(1500), || note("worked")).await;
                sleep(Duration::from_millis(rests)).await;
            }
        })
    }
    let load = Load { role: "server".to_owned(), share: 1.0, lasts_ns: 4 * SECOND };
    let hot = after("thermal", Cause::Load(load), &[WHERE_IT_HAPPENED]);
    let (_, events) = run(&two_servers(vec![hot]), works);
    let (at_ms, _, cause, _) = set_off(&events)[0].clone();
    assert!((7000..7300).contains(&at_ms), "{at_ms}");
    assert_eq!(cause, "the cores of server-2 were 100 % busy");
    assert_eq!((boots_of(&events, 0).len(), boots_of(&events, 1).len()), (1, 2));
    assert!(notes_of(&events, 0).len() > 5);
}

#[test]
fn what_nothing_sets_off_never_begins() {
    let never = after("never", Cause::FaultStart("nobody".to_owned()), &["server-1"]);
    let late = after("late", Cause::Exit("server".to_owned()), &["server-2"]);
    let crash = fault(39_500 * MILLISECOND, 40 * SECOND, Inject::Crash(on(&["server-1"])));
    let (_, events) = run(&two_servers(vec![never, late, crash]), idle);
    assert_eq!(boots_of(&events, 1), [0], "the run's end heals all, so that nothing begins after it");
    assert!(set_off(&events).is_empty());
}
