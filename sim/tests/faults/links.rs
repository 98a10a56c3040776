//! Links.

use crate::harness::{fault, note, run};
use crate::sim::fault::{Bandwidth, Chance, Corrupt, Delay, Flap, Inject, Links, Reorder};
use crate::sim::history::Event;
use crate::sim::net::{TcpListener, TcpStream, UdpSocket};
use crate::sim::plan::Plan;
use crate::sim::stack::{Process, Task};
use crate::sim::time::sleep;
use crate::{SECOND, names, notes_of, on, two_servers};
use bytes::Bytes;
use std::time::Duration;

/// `server-1` sends a datagram with its number every 100 ms, `server-2` notes each that arrives.
fn datagrams(process: Process) -> Task {
    Box::pin(async move {
        let socket = UdpSocket::bind(9).await.unwrap();
        if process.node.name == "server-2" {
            loop {
                let (bytes, _) = socket.recv_from().await.unwrap();
                note(String::from_utf8_lossy(&bytes));
            }
        }
        for number in 0..300 {
            socket.send_to(format!("{number:03}").into(), "server-2", 9).await.unwrap();
            sleep(Duration::from_millis(100)).await;
        }
        std::future::pending::<()>().await;
    })
}

/// `server-1` sends 1 KB every 100 ms on one connection, `server-2` notes how many have arrived so far.
fn stream(process: Process) -> Task {
    Box::pin(async move {
        if process.node.name == "server-2" {
            let (mut stream, _) = TcpListener::bind(7).await.unwrap().accept().await.unwrap();
            let mut sum = 0;
            while let Ok(Some(bytes)) = stream.receive().await {
                assert!(bytes.iter().all(|byte| *byte == 7), "a byte has changed");
                sum += bytes.len();
                note(sum / 1024);
            }
        } else {
            sleep(Duration::from_millis(10)).await;
            let mut stream = TcpStream::connect("server-2", 7).await.unwrap();
            for _ in 0..300 {
                stream.send(Bytes::from(vec![7; 1024])).await.unwrap();
                sleep(Duration::from_millis(100)).await;
            }
            std::future::pending::<()>().await;
        }
    })
}

fn arrivals(plan: &Plan, script: fn(Process) -> Task) -> (Vec<(u64, u64)>, Vec<Event>) {
    let (_, events) = run(plan, script);
    let notes = notes_of(&events, 1);
    let numbers = notes.into_iter().filter_map(|(at_ms, text)| Some((at_ms, text.parse().ok()?))).collect();
    (numbers, events)
}

fn ends() -> (Vec<String>, Vec<String>) {
    (names(&["server-1"]), names(&["server-2"]))
}

/// Those of `arrivals` between two times in milliseconds.
fn within(arrivals: &[(u64, u64)], from_ms: u64, to_ms: u64) -> Vec<u64> {
    arrivals.iter().filter(|(at_ms, _)| (from_ms..to_ms).contains(at_ms)).map(|(_, number)| *number).collect()
}

#[test]
fn a_flapping_link_passes_by_turns_and_always_after_the_end() {
    let (from, to) = ends();
    let flap = Flap { from, to, both_ways: true, down_ns: SECOND, up_ns: SECOND };
    let plan = two_servers(vec![fault(5 * SECOND, 11 * SECOND, Inject::Flap(flap))]);
    let (arrived, _) = arrivals(&plan, datagrams);
    for (second, passes) in [(4, true), (5, false), (6, true), (7, false), (8, true), (9, false), (11, true)]
    {
        let count = within(&arrived, second * 1000 + 10, second * 1000 + 990).len();
        assert_eq!(count > 8, passes, "{count} datagrams in second {second}");
        assert!(passes || count == 0, "{count} datagrams in second {second}");
    }
}

#[test]
fn a_clog_holds_packets_back_and_lets_all_of_them_go() {
    let (from, to) = ends();
    let clog = Links { from, to, both_ways: true };
    let plan = two_servers(vec![fault(5 * SECOND, 8 * SECOND, Inject::Clog(clog))]);
    let (arrived, _) = arrivals(&plan, datagrams);
    assert!(within(&arrived, 5010, 8000).is_empty());
    let mut numbers: Vec<u64> = arrived.iter().map(|(_, number)| *number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>(), "each arrives once");
    assert!(within(&arrived, 8000, 8010).len() >= 28, "what was held back arrives together");
}

#[test]
fn swizzle_clogging_stops_each_node_and_frees_each() {
    let plan =
        two_servers(vec![fault(6 * SECOND, 15 * SECOND, Inject::SwizzleClog(on(&["server-1", "server-2"])))]);
    let (arrived, _) = arrivals(&plan, datagrams);
    assert!(within(&arrived, 9100, 12_000).is_empty(), "all are clogged in the middle third");
    assert_eq!(within(&arrived, 0, 6000).len(), 60);
    assert_eq!(arrived.len(), 300, "all arrive in the end");
}

#[test]
fn duplication_doubles_datagrams_and_leaves_streams_alone() {
    let twice = || {
        let (from, to) = ends();
        Inject::Duplicate(Chance { from, to, both_ways: true, probability: 1.0 })
    };
    let plan = two_servers(vec![fault(5 * SECOND, 8 * SECOND, twice())]);
    let (arrived, _) = arrivals(&plan, datagrams);
    assert!((58..=60).contains(&within(&arrived, 5010, 8010).len()));
    assert_eq!(arrived.len(), 330);
    let (arrived, _) = arrivals(&plan, stream);
    assert_eq!(arrived.last().map(|(_, sum)| *sum), Some(300));
}

#[test]
fn reordering_lets_datagrams_overtake_and_keeps_streams_in_order() {
    let (from, to) = ends();
    let late = Reorder { from, to, both_ways: true, probability: 0.5, by_ns: SECOND };
    let plan = two_servers(vec![fault(5 * SECOND, 15 * SECOND, Inject::Reorder(late))]);
    let (arrived, _) = arrivals(&plan, datagrams);
    let overtaken = |from, to| within(&arrived, from, to).windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!(overtaken(5000, 16_000) > 5);
    assert_eq!((overtaken(0, 5000), overtaken(16_100, 30_000)), (0, 0));
    assert_eq!(arrived.len(), 300);
    let (arrived, _) = arrivals(&plan, stream);
    assert!(arrived.is_sorted_by_key(|(_, sum)| *sum));
    assert_eq!(arrived.last().map(|(_, sum)| *sum), Some(300));
}

#[test]
fn corruption_that_checksums_find_costs_datagrams_and_only_time_on_streams() {
    let (from, to) = ends();
    let bad = Corrupt { from, to, both_ways: true, probability: 0.5, undetected: 0.0 };
    let plan = two_servers(vec![fault(5 * SECOND, 15 * SECOND, Inject::Corrupt(bad))]);
    let (arrived, _) = arrivals(&plan, datagrams);
    assert!((25..75).contains(&within(&arrived, 5010, 15_000).len()));
    let late = arrived.iter().filter(|(_, number)| *number > 150).count();
    assert_eq!(late, 149, "none is lost after the end");
    let (arrived, _) = arrivals(&plan, stream);
    assert_eq!(arrived.last().map(|(_, sum)| *sum), Some(300));
}

#[test]
fn corruption_that_nobody_notices_changes_a_bit() {
    let (from, to) = ends();
    let bad = Corrupt { from, to, both_ways: true, probability: 1.0, undetected: 1.0 };
    let plan = two_servers(vec![fault(5 * SECOND, 10 * SECOND, Inject::Corrupt(bad))]);
    let (_, events) = run(&plan, datagrams);
    let notes = notes_of(&events, 1);
    let wrong = |(number, (_, text)): (usize, &(u64, String))| *text != format!("{number:03}");
    let wrong = notes.iter().enumerate().filter(|pair| wrong(*pair)).count();
    assert_eq!((notes.len(), wrong), (300, 50));
}

#[test]
fn a_bound_on_bandwidth_holds_bytes_up_until_its_end() {
    let (from, to) = ends();
    let narrow = Bandwidth { from, to, both_ways: true, bytes_per_second: 5120.0 };
    let plan = two_servers(vec![fault(5 * SECOND, 15 * SECOND, Inject::Bandwidth(narrow))]);
    let (arrived, _) = arrivals(&plan, stream);
    let at = |at_ms| arrived.iter().rev().find(|(at, _)| *at <= at_ms).map_or(0, |(_, sum)| *sum);
    let passed = at(15_000) - at(5000);
    assert!((48..=52).contains(&passed), "5 KB a second for 10 s, and not {passed} KB");
    assert_eq!(arrived.last().map(|(_, sum)| *sum), Some(300));
}

#[test]
fn a_late_packet_holds_up_nobody_elses() {
    let slow = Delay {
        from: names(&["server-1"]),
        to: names(&["client-1"]),
        both_ways: true,
        by_ns: 3 * SECOND,
        jitter_ns: 0,
    };
    let plan = two_servers(vec![fault(2 * SECOND, 20 * SECOND, Inject::Delay(slow))]);
    let (_, events) = run(&plan, |process: Process| {
        Box::pin(async move {
            sleep(Duration::from_secs(5)).await;
            if process.node.name == "server-1" {
                // Both go to the same card: first the one that takes 3 s, then its neighbour's.
                let socket = UdpSocket::bind(9).await.unwrap();
                socket.send_to("late".into(), "client-1", 9).await.unwrap();
            } else {
                sleep(Duration::from_millis(1)).await;
                let called = TcpStream::connect("client-1", 7).await;
                note(called.is_err());
            }
            std::future::pending::<()>().await;
        })
    });
    // The client listens at no port: it says no at once.
    let (at_ms, refused) = notes_of(&events, 1).pop().unwrap();
    assert_eq!(refused, "true");
    assert!(at_ms < 5100, "told after {at_ms} ms");
}
