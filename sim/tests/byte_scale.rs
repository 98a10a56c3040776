//! Bytes that stand for many: what links, disks and memory make of them.
#![cfg(not(live))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use harness::{note, notes, plan, run};
use sim::fs::OpenOptions;
use sim::history::{Down, Fact};
use sim::net::{TcpListener, TcpStream};
use sim::plan::{DiskPlan, Plan};
use sim::stack::{Process, Task};
use sim::time::{Instant, sleep};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

extern crate hogwash_sim as sim;

#[path = "disk/harness.rs"]
#[expect(dead_code, reason = "shared with the tests of disks")]
mod harness;

const BYTES: usize = 1 << 20;
const SCALE: u32 = 64;

/// Two servers, in a world where each byte stands for so many.
fn scaled(byte_scale: u32, disk: DiskPlan) -> Plan {
    let mut plan = Plan { byte_scale, ..plan(disk, vec![]) };
    let mut second = plan.nodes[0].clone();
    second.name = "server-2".to_owned();
    plan.nodes.push(second);
    plan
}

/// How many nanoseconds `script` took, by its only note.
fn took_ns(byte_scale: u32, script: fn(Process) -> Task) -> u64 {
    let (_, events) = run(&scaled(byte_scale, DiskPlan::default()), script);
    let notes = notes(&events);
    assert_eq!(notes.len(), 1, "{notes:?}");
    notes[0].parse().unwrap()
}

fn transfer(process: Process) -> Task {
    Box::pin(async move {
        if process.node.name == "server-2" {
            let listener = TcpListener::bind(7).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            assert_eq!(bytes.len(), BYTES);
            stream.write_all(b"!").await.unwrap();
            return sleep(Duration::from_secs(1_000)).await;
        }
        sleep(Duration::from_secs(1)).await;
        let mut stream = TcpStream::connect("server-2", 7).await.unwrap();
        let begun = Instant::now();
        stream.write_all(&vec![7; BYTES]).await.unwrap();
        stream.shutdown().await.unwrap();
        stream.read_u8().await.unwrap();
        note(begun.elapsed().as_nanos());
        sleep(Duration::from_secs(1_000)).await;
    })
}

fn write(process: Process) -> Task {
    Box::pin(async move {
        if process.node.name == "server-1" {
            let file = OpenOptions::new().write(true).create(true).open("/file").await.unwrap();
            let begun = Instant::now();
            file.write_at(0, Bytes::from(vec![7; BYTES])).await.unwrap();
            file.sync_all().await.unwrap();
            note(begun.elapsed().as_nanos());
        }
        sleep(Duration::from_secs(1_000)).await;
    })
}

#[test]
fn a_card_takes_as_long_for_a_byte_as_for_all_that_it_stands_for() {
    let bandwidth = Plan::to_scale(scaled(1, DiskPlan::default())).network.bandwidth_bytes_per_s;
    let wire_ns = BYTES as u64 * u64::from(SCALE) * 1_000_000_000 / bandwidth;
    let (plain_ns, scaled_ns) = (took_ns(1, transfer), took_ns(SCALE, transfer));
    assert!(plain_ns < wire_ns / 10, "{plain_ns} ns at scale 1");
    // A buffer that holds that much less is filled that much more often, each time for a way there and back.
    let acknowledged_ns = u64::from(SCALE) * BYTES as u64 / (256 * 1024) * 1_000_000;
    assert!(
        (wire_ns..wire_ns + acknowledged_ns).contains(&scaled_ns),
        "{scaled_ns} ns, {wire_ns} on the wire"
    );
}

#[test]
fn a_disk_takes_as_long_for_a_byte_as_for_all_that_it_stands_for() {
    let bandwidth = DiskPlan::default().bandwidth_bytes_per_s;
    let more_ns = BYTES as u64 * u64::from(SCALE - 1) * 1_000_000_000 / bandwidth;
    let (plain_ns, scaled_ns) = (took_ns(1, write), took_ns(SCALE, write));
    // Both ways draw the same latencies, and no less than the bytes' own time is added.
    assert!((more_ns..more_ns * 3).contains(&(scaled_ns - plain_ns)), "{plain_ns} ns, {scaled_ns} ns scaled");
}

#[test]
fn a_disk_and_a_memory_are_full_of_so_many_fewer_bytes() {
    let disk = DiskPlan { capacity_bytes: BYTES as u64 * u64::from(SCALE), ..DiskPlan::default() };
    let (_, events) = run(&scaled(SCALE, disk), |process| {
        Box::pin(async move {
            let memory = (1_u64 << 30) / u64::from(SCALE);
            assert_eq!(process.node.memory_bytes, memory, "a process counts its own bytes");
            if process.node.name == "server-1" && process.incarnation == 1 {
                let file = OpenOptions::new().write(true).create(true).open("/file").await.unwrap();
                note(file.write_at(0, Bytes::from(vec![7; BYTES / 2])).await.is_ok());
                note(file.write_at(0, Bytes::from(vec![7; BYTES + 1])).await.is_ok());
                let held = sim::memory::reserve(memory);
                sleep(Duration::from_secs(1)).await;
                note("alive");
                let more = sim::memory::reserve(1);
                sleep(Duration::from_secs(1)).await;
                note("alive after all");
                drop((held, more));
            }
            sleep(Duration::from_secs(1_000)).await;
        })
    });
    assert_eq!(notes(&events), ["true", "false", "alive"]);
    let killed = |fact: &Fact| matches!(fact, Fact::Exit { cause: Down::OutOfMemory });
    assert_eq!(events.iter().filter(|event| killed(&event.fact)).count(), 1);
}
