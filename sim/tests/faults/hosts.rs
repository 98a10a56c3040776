//! Power, processes, clocks, cores, memory and names.

use crate::harness::{fault, note, run};
use crate::sim::fault::{
    BadTimeSource, ClockLeap, CrashLoop, GracefulStop, Inject, MainsLoss, Share, SlowCpu, StolenCpu,
};
use crate::sim::history::{Down, Event, Fact};
use crate::sim::net::{TcpListener, TcpStream};
use crate::sim::stack::{Process, Task};
use crate::sim::time::{Instant, sleep, wall_now};
use crate::sim::{cpu, memory, node};
use crate::{MILLISECOND, SECOND, boots_of, count_of, names, notes_of, on, two_servers};
use std::time::Duration;

fn idle(_: Process) -> Task {
    Box::pin(std::future::pending())
}

fn exits_of(events: &[Event], node: u32) -> Vec<(u64, Down)> {
    let exit = |event: &Event| match &event.fact {
        Fact::Exit { cause } if event.node.0 == node => Some((event.at_ns / MILLISECOND, *cause)),
        _ => None,
    };
    events.iter().filter_map(exit).collect()
}

fn run_with(inject: Inject, script: fn(Process) -> Task) -> Vec<Event> {
    run(&two_servers(vec![fault(5 * SECOND, 15 * SECOND, inject)]), script).1
}

#[test]
fn without_mains_a_host_lives_as_long_as_its_battery_unless_a_generator_starts() {
    let mains =
        |generator_fails| MainsLoss { nodes: names(&["server-1"]), battery_ns: 4 * SECOND, generator_fails };
    let events = run_with(Inject::MainsLoss(mains(1.0)), idle);
    assert_eq!(exits_of(&events, 0), [(9000, Down::PowerLoss)]);
    assert_eq!(boots_of(&events, 0), [0, 15_000]);
    let events = run_with(Inject::MainsLoss(mains(0.0)), idle);
    assert_eq!((count_of(&events, 0, "exit"), count_of(&events, 0, "note")), (0, 1));
    let long = MainsLoss { battery_ns: 60 * SECOND, ..mains(1.0) };
    assert_eq!(count_of(&run_with(Inject::MainsLoss(long), idle), 0, "exit"), 0);
}

#[test]
fn a_crash_loop_ends_with_its_fault() {
    let again = CrashLoop { nodes: names(&["server-1"]), lives_ns: 2 * SECOND };
    let events = run_with(Inject::CrashLoop(again), idle);
    assert_eq!(boots_of(&events, 0), [0, 6000, 9000, 12_000, 15_000]);
}

#[test]
fn a_restart_of_all_takes_no_time() {
    let events = run_with(Inject::Restart(on(&["server-1", "server-2"])), idle);
    assert_eq!((boots_of(&events, 0), boots_of(&events, 1)), (vec![0, 5000], vec![0, 5000]));
}

#[test]
fn a_process_that_listens_stops_in_its_own_time_and_one_that_does_not_at_once() {
    let stop = |grace_ns| GracefulStop { nodes: names(&["server-1", "server-2"]), grace_ns };
    let listens = |process: Process| -> Task {
        Box::pin(async move {
            if process.node.name == "server-1" {
                node::stopping().await;
                sleep(Duration::from_secs(2)).await;
            } else {
                std::future::pending().await
            }
        })
    };
    let events = run_with(Inject::GracefulStop(stop(3 * SECOND)), listens);
    assert_eq!(exits_of(&events, 0), [(7000, Down::Stop)]);
    assert_eq!(exits_of(&events, 1), [(5000, Down::Stop)]);
    assert_eq!((boots_of(&events, 0), boots_of(&events, 1)), (vec![0, 15_000], vec![0, 15_000]));
    let events = run_with(Inject::GracefulStop(stop(SECOND)), listens);
    assert_eq!(exits_of(&events, 0), [(6000, Down::Crash)], "it took too long");
}

/// Notes the wall clock's error in milliseconds, and that of monotonic time, every second of true time: by a peer's cores.
fn clocks(process: Process) -> Task {
    Box::pin(async move {
        let began_wall = wall_now();
        for second in 1_u64..30 {
            // Cores run on true time.
            cpu::run(Duration::from_secs(1), || ()).await;
            let wall = wall_now().saturating_sub(began_wall).as_millis();
            let monotonic = Instant::now().as_nanos() / MILLISECOND;
            if process.node.name == "server-1" {
                note(format!(
                    "{} {}",
                    wall.abs_diff(u128::from(second) * 1000),
                    (second * 1000).abs_diff(monotonic)
                ));
            }
        }
        std::future::pending().await
    })
}

/// Wall and monotonic error in milliseconds, a second each.
fn errors(inject: Inject) -> Vec<(u64, u64)> {
    let events = run_with(inject, clocks);
    let pair = |(_, text): (u64, String)| {
        let (wall, monotonic) = text.split_once(' ').unwrap();
        (wall.parse().unwrap(), monotonic.parse().unwrap())
    };
    notes_of(&events, 0).into_iter().map(pair).collect()
}

#[test]
fn a_frozen_clock_loses_the_time_of_its_fault_and_goes_on() {
    let errors = errors(Inject::ClockFreeze(on(&["server-1"])));
    for (second, lost) in [(3, 0_u64), (9, 5000), (19, 10_000)] {
        let (wall, monotonic) = errors[second];
        assert!(wall.abs_diff(lost) <= 1 && monotonic.abs_diff(lost) <= 1, "{errors:?}");
    }
    let slept = run_with(Inject::ClockFreeze(on(&["server-1"])), |_| {
        Box::pin(async {
            sleep(Duration::from_secs(6)).await;
            note("awake");
            std::future::pending().await
        })
    });
    assert_eq!(notes_of(&slept, 0)[0].0, 16_000, "a sleep waits for the clock");
    assert_eq!(notes_of(&slept, 1)[0].0, 6000);
}

#[test]
fn a_leaping_clock_is_right_again_in_the_end() {
    let leap = ClockLeap { nodes: names(&["server-1"]), by_ns: 10 * SECOND, every_ns: 500 * MILLISECOND };
    let errors = errors(Inject::ClockLeap(leap));
    let (inside, outside): (Vec<_>, Vec<_>) =
        (0..).zip(&errors).partition(|(second, _)| (4..14).contains(second));
    assert!(inside.iter().filter(|(_, (wall, _))| *wall > 100).count() >= 6, "{errors:?}");
    assert!(inside.iter().all(|(_, (wall, _))| *wall <= 10_000));
    assert!(
        outside.iter().all(|(_, (wall, run))| *wall <= 1 && *run <= 1)
            && inside.iter().all(|(_, (_, run))| *run <= 1),
        "{errors:?}"
    );
}

#[test]
fn those_who_follow_a_bad_time_source_believe_it_at_their_next_poll() {
    let source = BadTimeSource { nodes: names(&["server-1"]), by_ns: 300_000_000_000, poll_ns: 4 * SECOND };
    let errors = errors(Inject::BadTimeSource(source));
    assert_eq!((errors[3], errors[9], errors[19]), ((0, 0), (300_000, 0), (0, 0)));
}

/// Notes how many milliseconds each of 20 pieces of work of a second takes.
fn works(process: Process) -> Task {
    Box::pin(async move {
        if process.node.name != "server-1" {
            return std::future::pending().await;
        }
        loop {
            let begun = Instant::now();
            cpu::run(Duration::from_secs(1), || ()).await;
            note(begun.elapsed().as_millis());
        }
    })
}

fn took(inject: Inject) -> Vec<(u64, u64)> {
    let events = run_with(inject, works);
    notes_of(&events, 0).into_iter().map(|(at_ms, text)| (at_ms, text.parse().unwrap())).collect()
}

#[test]
fn slow_cores_take_longer_and_stolen_ones_as_much_longer_as_is_stolen() {
    let slow = took(Inject::SlowCpu(SlowCpu { nodes: names(&["server-1"]), factor: 2.5 }));
    assert!(
        slow.iter().all(|(at, took)| *took == if (5001..=15_000).contains(at) { 2500 } else { 1000 }),
        "{slow:?}"
    );
    let stolen = StolenCpu { nodes: names(&["server-1"]), share: 0.75, period_ns: 100 * MILLISECOND };
    let stolen = took(Inject::StolenCpu(stolen));
    let during = stolen.iter().filter(|(at, _)| (9500..15_000).contains(at));
    assert!(
        during.clone().count() > 0 && during.clone().all(|(_, took)| took.abs_diff(4000) <= 100),
        "{stolen:?}"
    );
    assert_eq!(stolen.last().map(|(_, took)| *took), Some(1000));
}

#[test]
fn memory_that_others_take_costs_a_process_that_has_more() {
    fn holds(process: Process) -> Task {
        Box::pin(async move {
            // The harness's nodes have a gibibyte.
            let share = if process.node.name == "server-1" { 3 } else { 1 };
            let held = memory::reserve(share << 28);
            sleep(Duration::from_secs(60)).await;
            drop(held);
        })
    }
    let pressure = Share { nodes: names(&["server-1", "server-2"]), share: 0.5 };
    let events = run_with(Inject::MemoryPressure(pressure), holds);
    assert_eq!(exits_of(&events, 0)[0], (5000, Down::OutOfMemory));
    assert!(exits_of(&events, 0).iter().all(|(at_ms, _)| *at_ms <= 15_000), "it lives once they are gone");
    assert!(exits_of(&events, 1).is_empty());
}

/// `server-1` calls `server-2` every second and notes what comes of it.
fn calls(process: Process) -> Task {
    Box::pin(async move {
        if process.node.name == "server-2" {
            let listener = TcpListener::bind(7).await.unwrap();
            loop {
                drop(listener.accept().await.unwrap());
            }
        }
        loop {
            let begun = Instant::now();
            let called = TcpStream::connect("server-2", 7)
                .await
                .map_or_else(|error| error.kind().to_string(), |_| "up".to_owned());
            note(format!("{called} after {}", begun.elapsed().as_secs()));
            sleep(Duration::from_secs(1)).await;
        }
    })
}

#[test]
fn names_lead_nowhere_to_silence_or_elsewhere_and_right_again_after_the_end() {
    let from = || on(&["server-1"]);
    for (inject, expected) in [
        (Inject::NoNames(from()), "entity not found after 0"),
        (Inject::StaleNames(from()), "timed out after 20"),
        // The only other node is itself, which listens at no port.
        (Inject::WrongNames(from()), "connection refused after 0"),
    ] {
        let events = run_with(inject, calls);
        let notes = notes_of(&events, 0);
        let said = |from_ms: u64, to_ms: u64| {
            notes
                .iter()
                .filter(|(at_ms, _)| (from_ms..to_ms).contains(at_ms))
                .map(|(_, text)| text.as_str())
                .collect::<Vec<_>>()
        };
        assert!(said(0, 5000).iter().all(|text| *text == "up after 0"));
        let first = notes.iter().find(|(at_ms, _)| *at_ms > 5001).unwrap();
        assert_eq!(first.1, expected);
        assert_eq!(notes.last().unwrap().1, "up after 0", "{notes:?}");
    }
}
