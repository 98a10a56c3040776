//! How a network says no: refused, reset, timed out or silent, as a real one does.
#![cfg(not(live))]
#![expect(clippy::unwrap_used, reason = "a test fails by its panic")]
#![expect(dead_code, reason = "the harness serves more tests than these")]

#[path = "disk/harness.rs"]
mod harness;

use bytes::Bytes;
use harness::{fault, note, notes, plan, run};
use sim::fault::{Cut, Fault, Inject, On};
use sim::net::{TcpListener, TcpStream};
use sim::plan::{DiskPlan, Plan};
use sim::stack::Process;
use sim::time::{Instant, sleep};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

extern crate hogwash_sim as sim;

const SECOND: u64 = 1_000_000_000;

/// A caller, `server-1`, and a host that listens at port 7 and swallows what comes, `server-2`.
fn two_nodes(faults: Vec<Fault>) -> Plan {
    let mut plan = plan(DiskPlan::default(), faults);
    let mut other = plan.nodes[0].clone();
    other.name = "server-2".to_owned();
    plan.nodes.insert(1, other);
    plan
}

fn on_other() -> On {
    On { nodes: vec!["server-2".to_owned()] }
}

async fn swallow() {
    let listener = TcpListener::bind(7).await.unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        sim::task::spawn(async move { while let Ok(Some(_)) = stream.receive().await {} });
    }
}

/// Runs `caller` on `server-1`, `swallow` on `server-2`; gives the caller's notes.
fn call<F>(faults: Vec<Fault>, caller: fn() -> F) -> Vec<String>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (_, events) = run(&two_nodes(faults), move |process: Process| {
        Box::pin(async move {
            if process.node.name == "server-2" {
                swallow().await;
            }
            caller().await;
            std::future::pending::<()>().await;
        })
    });
    notes(&events)
}

/// Notes how a call to `port` ends, and after how many whole milliseconds.
async fn note_call(port: u16) {
    let begun = Instant::now();
    let outcome = TcpStream::connect("server-2", port).await.map(drop).map_err(|error| error.kind());
    note(format!("{outcome:?} after {} ms", begun.elapsed().as_millis()));
}

/// Writes and waits, over and over, until the connection is dead; notes how, and in which second.
async fn write_until_dead() {
    let mut stream = TcpStream::connect("server-2", 7).await.unwrap();
    loop {
        if let Err(error) = stream.send(Bytes::from(vec![0; 1000])).await {
            note(format!("{:?} at {} s", error.kind(), Instant::now().as_nanos() / SECOND));
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn a_closed_port_refuses_at_once() {
    assert_eq!(call(vec![], || note_call(8)), ["Err(ConnectionRefused) after 0 ms"]);
    assert_eq!(call(vec![], || note_call(7)), ["Ok(()) after 0 ms"]);
}

#[test]
fn a_dead_host_and_a_cut_let_callers_wait() {
    let later = || async {
        sleep(Duration::from_secs(2)).await;
        note_call(7).await;
    };
    let dark = fault(SECOND, 60 * SECOND, Inject::PowerLoss(on_other()));
    assert_eq!(call(vec![dark], later), ["Err(TimedOut) after 20000 ms"]);
    for both_ways in [true, false] {
        let (from, to) = (vec!["server-2".to_owned()], vec!["server-1".to_owned()]);
        let cut = fault(SECOND, 60 * SECOND, Inject::Cut(Cut { from, to, both_ways }));
        assert_eq!(call(vec![cut], later), ["Err(TimedOut) after 20000 ms"], "both ways: {both_ways}");
    }
}

#[test]
fn a_call_over_a_short_cut_gets_through_when_it_is_repeated() {
    let (from, to) = (vec!["server-1".to_owned()], vec!["server-2".to_owned()]);
    let cut = fault(SECOND, 4 * SECOND, Inject::Cut(Cut { from, to, both_ways: true }));
    let notes = call(vec![cut], || async {
        sleep(Duration::from_secs(2)).await;
        note_call(7).await;
    });
    assert_eq!(notes, ["Ok(()) after 3000 ms"], "called at 2 s, and again 1 s and 3 s later");
}

#[test]
fn a_process_that_is_killed_resets_its_peer_and_a_dark_host_is_silent() {
    let crash = fault(5 * SECOND, 30 * SECOND, Inject::Crash(on_other()));
    assert_eq!(call(vec![crash], write_until_dead), ["ConnectionReset at 5 s"]);
    let dark = fault(5 * SECOND, 95 * SECOND, Inject::PowerLoss(on_other()));
    let notes = call(vec![dark], write_until_dead);
    let [note] = notes.as_slice() else { panic!("{notes:?}") };
    let second: u64 = note.strip_prefix("TimedOut at ").unwrap().strip_suffix(" s").unwrap().parse().unwrap();
    assert!((65..95).contains(&second), "the first retry past 60 s of silence: {note}");
}

#[test]
fn a_host_that_comes_back_resets_what_it_does_not_know() {
    let dark = fault(5 * SECOND, 15 * SECOND, Inject::PowerLoss(on_other()));
    let notes = call(vec![dark], write_until_dead);
    let [note] = notes.as_slice() else { panic!("{notes:?}") };
    assert!(note.starts_with("ConnectionReset at 1") || note.starts_with("ConnectionReset at 2"), "{note}");
}

#[test]
fn a_reader_that_never_reads_blocks_the_writer_until_it_goes() {
    let (_, events) = run(&two_nodes(vec![]), |process| {
        Box::pin(async move {
            if process.node.name == "server-2" {
                let (stream, _) = TcpListener::bind(7).await.unwrap().accept().await.unwrap();
                sleep(Duration::from_secs(10)).await;
                drop(stream);
            } else {
                sleep(Duration::from_millis(1)).await;
                let mut stream = TcpStream::connect("server-2", 7).await.unwrap();
                let mut written = 0_usize;
                let error = loop {
                    match stream.write(&[0; 10_000]).await {
                        Ok(count) => written += count,
                        Err(error) => break error.kind(),
                    }
                };
                note(format!("{written} bytes, then {error:?} at {} s", Instant::now().as_nanos() / SECOND));
            }
            std::future::pending::<()>().await;
        })
    });
    assert_eq!(
        notes(&events),
        ["524288 bytes, then ConnectionReset at 10 s"],
        "a send and a receive buffer full"
    );
}

#[test]
fn half_a_connection_may_end_before_the_other() {
    let (_, events) = run(&two_nodes(vec![]), |process| {
        Box::pin(async move {
            if process.node.name == "server-2" {
                let (mut stream, _) = TcpListener::bind(7).await.unwrap().accept().await.unwrap();
                let mut question = String::new();
                stream.read_to_string(&mut question).await.unwrap();
                sleep(Duration::from_secs(1)).await;
                stream.write_all(format!("{question}, and so on").as_bytes()).await.unwrap();
            } else {
                sleep(Duration::from_millis(1)).await;
                let mut stream = TcpStream::connect("server-2", 7).await.unwrap();
                stream.write_all(b"hogwash").await.unwrap();
                stream.shutdown().await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                note(answer);
            }
            std::future::pending::<()>().await;
        })
    });
    assert_eq!(notes(&events), ["hogwash, and so on"]);
}
