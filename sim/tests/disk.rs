//! The disk as programs see it: what a crash leaves, what a loss of power leaves, and what things cost.
#![cfg(not(live))]
#![expect(clippy::unwrap_used, reason = "a test fails by its panic")]

#[path = "disk/crashes.rs"]
mod crashes;
#[path = "disk/harness.rs"]
mod harness;
#[path = "disk/model.rs"]
mod model;

use bytes::Bytes;
use harness::{fault, note, notes, plan, run, server};
use sim::fault::{Inject, SlowDisk};
use sim::fs::{self, OpenOptions};
use sim::history::{Event, Fact};
use sim::plan::DiskPlan;
use sim::stack::{Process, Task};
use sim::time::Instant;
use std::io;
use std::time::Duration;

extern crate hogwash_sim as sim;

/// Runs `body` once, without faults, on `disk`; gives its notes.
fn notes_of<F>(disk: DiskPlan, body: fn() -> F) -> Vec<String>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let (_, events) = run(&plan(disk, vec![]), move |_| {
        Box::pin(async move {
            body().await.unwrap();
            std::future::pending::<()>().await;
        })
    });
    notes(&events)
}

const SECOND: u64 = 1_000_000_000;

async fn writable(path: &str) -> fs::File {
    OpenOptions::new().read(true).write(true).create(true).open(path).await.unwrap()
}

#[test]
fn files_are_read_as_they_were_written() {
    let notes = notes_of(DiskPlan::default(), || async {
        fs::create_dir_all("/data/logs").await?;
        let file = writable("/data/logs/one").await;
        file.write_at(3, Bytes::from_static(b"hogwash")).await?;
        note(format!("{:?}", file.read_at(0, 100).await?));
        file.set_len(5).await?;
        file.set_len(8).await?;
        note(format!("{:?}", file.read_at(2, 4).await?));
        note(format!("{:?}", file.read_at(8, 4).await?));
        fs::rename("/data/logs/one", "/data/two").await?;
        fs::write("/data/three", Bytes::from_static(b"3")).await?;
        fs::remove_file("/data/three").await?;
        note(format!("{:?} {:?}", fs::read_dir("/data").await?, fs::read_dir("/data/logs").await?));
        note(format!("{} {}", fs::exists("/data/two").await, fs::exists("/data/three").await));
        Ok(())
    });
    let expected = [r#"b"\0\0\0hogwash""#, r#"b"\0ho\0""#, r#"b"""#, r#"["logs", "two"] []"#, "true false"];
    assert_eq!(notes, expected);
}

#[test]
fn what_cannot_be_done_is_said_in_words() {
    let notes = notes_of(DiskPlan::default(), || async {
        fs::create_dir_all("/data/full").await?;
        fs::write("/data/file", Bytes::new()).await?;
        fs::write("/data/full/file", Bytes::new()).await?;
        let say = |result: io::Result<()>| {
            let error = result.unwrap_err();
            note(format!("{:?}: {error}", error.kind()));
        };
        say(fs::read("/data/none").await.map(drop));
        say(fs::read("data").await.map(drop));
        say(fs::read("/data/../data/file").await.map(drop));
        say(fs::read("/data").await.map(drop));
        say(fs::create_dir_all("/data/file/below").await);
        say(fs::rename("/data/file", "/data/full").await);
        say(fs::rename("/data/full", "/data/full/below").await);
        say(OpenOptions::new().create(true).open("/data/new").await.map(drop));
        let file = OpenOptions::new().read(true).open("/data/file").await?;
        say(file.write_at(0, Bytes::from_static(b"x")).await);
        say(writable("/data/file").await.write_at(u64::MAX - 1, Bytes::from_static(b"x")).await);
        Ok(())
    });
    let expected = [
        "NotFound: there is no `/data/none`",
        "InvalidInput: the path `data` must begin with `/`",
        "InvalidInput: the path `/data/../data/file` must name each directory on its way, without `.` and `..`",
        "IsADirectory: `/data` is a directory",
        "NotADirectory: a name on the way of `/data/file/below` is not a directory",
        "IsADirectory: `/data/full` is a directory",
        "InvalidInput: `/data/full` cannot be moved into itself, to `/data/full/below`",
        "InvalidInput: opening `/data/new`: ask for `read` or `write`; `create` and `truncate` need `write`",
        "PermissionDenied: the file was not opened for writing",
        "FileTooLarge: no file can have a byte at 18446744073709551615",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn a_full_disk_says_so_and_has_room_again_when_something_is_removed() {
    let disk = DiskPlan { capacity_bytes: 64 * 1024, ..DiskPlan::default() };
    let notes = notes_of(disk, || async {
        fs::write("/one", Bytes::from(vec![1; 40 * 1024])).await?;
        let error = fs::write("/two", Bytes::from(vec![2; 40 * 1024])).await.unwrap_err();
        note(format!("{:?}: {error}", error.kind()));
        fs::remove_file("/one").await?;
        fs::write("/two", Bytes::from(vec![2; 40 * 1024])).await?;
        note(fs::read("/two").await?.len());
        // An open file keeps its place.
        let held = writable("/two").await;
        fs::remove_file("/two").await?;
        note(fs::write("/three", Bytes::from(vec![3; 40 * 1024])).await.is_err());
        drop(held);
        note(fs::write("/three", Bytes::from(vec![3; 40 * 1024])).await.is_err());
        Ok(())
    });
    assert_eq!(notes, ["StorageFull: the disk is full", "40960", "true", "false"]);
}

/// What the second start of the server finds, after `fault` ended the first.
fn found_after(inject: Inject, body: fn(Process) -> Task) -> (Vec<String>, Vec<Event>) {
    let (_, events) = run(&plan(DiskPlan::default(), vec![fault(SECOND, 2 * SECOND, inject)]), body);
    (notes(&events), events)
}

fn writes_then_reads(process: Process) -> Task {
    Box::pin(async move {
        if process.incarnation == 1 {
            let file = writable("/file").await;
            file.write_at(0, Bytes::from(vec![1; 4096])).await.unwrap();
            file.sync_data().await.unwrap();
            fs::sync_dir("/").await.unwrap();
            file.write_at(0, Bytes::from(vec![2; 64 * 1024])).await.unwrap();
            writable("/other").await.sync_all().await.unwrap();
        } else {
            let bytes = fs::read("/file").await.unwrap();
            note(bytes.len());
            note(
                (0..3)
                    .map(|wanted| bytes.iter().filter(|byte| **byte == wanted).count().to_string() + " ")
                    .collect::<String>(),
            );
            note(fs::exists("/other").await);
        }
        std::future::pending::<()>().await;
    })
}

#[test]
fn the_end_of_a_process_takes_nothing_back() {
    let (notes, _) = found_after(Inject::Crash(server()), writes_then_reads);
    assert_eq!(notes, ["65536", "0 0 65536 ", "true"]);
}

#[test]
fn a_loss_of_power_takes_back_some_of_what_was_not_synced_and_says_how_much() {
    let (notes, events) = found_after(Inject::PowerLoss(server()), writes_then_reads);
    let length: usize = notes[0].parse().unwrap();
    assert!((4096..=65536).contains(&length), "{notes:?}");
    let counts: Vec<usize> = notes[1].split_whitespace().map(|count| count.parse().unwrap()).collect();
    assert!(counts[0] <= length - 4096, "what was synced is never zero: {counts:?}");
    assert!(counts[2] < 65536, "nothing was lost: {counts:?}");
    let lost: Vec<_> = events
        .iter()
        .filter_map(|event| match event.fact {
            Fact::DiskLoss { unsynced_bytes, .. } => Some(unsynced_bytes),
            _ => None,
        })
        .collect();
    assert_eq!(lost.len(), 1);
    let gone = 65536 - counts[2] as u64;
    assert!(lost[0] >= gone && lost[0] <= gone + 512 * 128, "{lost:?} said, {gone} gone");
}

#[test]
fn operations_cost_what_the_plan_says_and_more_on_a_slow_disk() {
    let timed = |process: Process| -> Task {
        Box::pin(async move {
            if process.incarnation == 1 {
                let file = writable("/file").await;
                for round in 0..2 {
                    let (mut write, mut read, mut sync) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
                    for number in 0..50 {
                        let start = Instant::now();
                        file.write_at(number * 10_000, Bytes::from(vec![round; 10_000])).await.unwrap();
                        write += start.elapsed();
                        let start = Instant::now();
                        file.read_at(number * 10_000, 10_000).await.unwrap();
                        read += start.elapsed();
                        let start = Instant::now();
                        file.sync_data().await.unwrap();
                        sync += start.elapsed();
                    }
                    note(format!(
                        "{} {} {}",
                        write.as_micros() / 50,
                        read.as_micros() / 50,
                        sync.as_micros() / 50
                    ));
                    sim::time::sleep_until(Instant::from_nanos(2 * SECOND)).await;
                }
            } else {
                let file = writable("/file").await;
                let start = Instant::now();
                file.read_at(0, 500_000).await.unwrap();
                let cold = start.elapsed();
                let start = Instant::now();
                file.read_at(0, 500_000).await.unwrap();
                note(format!("{} {}", cold.as_micros(), start.elapsed().as_micros()));
            }
            std::future::pending::<()>().await;
        })
    };
    let slow = |factor| Inject::SlowDisk(SlowDisk { nodes: server().nodes, factor });
    let faults = vec![
        fault(SECOND, 4 * SECOND, slow(10.0)),
        // Of two that overlap the worse counts, or nobody could say when what they slowed down ends.
        fault(SECOND, 4 * SECOND, slow(8.0)),
        fault(5 * SECOND, 6 * SECOND, Inject::PowerLoss(server())),
    ];
    let (_, events) = run(&plan(DiskPlan::default(), faults), timed);
    let numbers: Vec<Vec<u64>> = notes(&events)
        .iter()
        .map(|note| note.split(' ').map(|number| number.parse().unwrap()).collect())
        .collect();
    let [first, slow, read] = &numbers[..] else { panic!("{numbers:?}") };
    assert!(first[0] <= 3 && first[1] <= 3, "the cache answers at once: {numbers:?}");
    assert!((300..600).contains(&first[2]), "400 µs and 10 µs for the bytes: {numbers:?}");
    assert!(slow[0] <= 3 && slow[1] <= 3, "a slow medium does not slow the cache: {numbers:?}");
    assert!((3_000..6_000).contains(&slow[2]), "ten times as long: {numbers:?}");
    assert!((540..1_500).contains(&read[0]), "80 µs and 500 µs for the bytes, from the medium: {numbers:?}");
    assert!(read[1] <= 52, "the second time from the cache: {numbers:?}");
}

#[test]
fn the_kernel_writes_back_what_is_unsynced_for_long() {
    let script = |process: Process| -> Task {
        Box::pin(async move {
            if process.incarnation == 1 {
                fs::write("/file", Bytes::from(vec![1; 100_000])).await.unwrap();
            } else {
                note(fs::read("/file").await.unwrap().iter().all(|byte| *byte == 1));
            }
            std::future::pending::<()>().await;
        })
    };
    let loss = fault(40 * SECOND, 41 * SECOND, Inject::PowerLoss(server()));
    let (_, events) = run(&plan(DiskPlan::default(), vec![loss]), script);
    assert_eq!(notes(&events), ["true"]);
}

#[test]
fn a_sync_cut_short_by_a_crash_is_no_sync() {
    // The process is killed in the middle of every sync that it begins; the power goes later.
    let script = |process: Process| -> Task {
        Box::pin(async move {
            match process.incarnation {
                1 => {
                    let file = writable("/file").await;
                    fs::sync_dir("/").await.unwrap();
                    file.write_at(0, Bytes::from(vec![1; 1 << 20])).await.unwrap();
                    sim::time::sleep_until(Instant::from_nanos(SECOND - 100_000)).await;
                    file.sync_data().await.unwrap();
                    note("synced");
                }
                2 => note(fs::read("/file").await.unwrap().len()),
                _ => {
                    let bytes = fs::read("/file").await.unwrap();
                    note(bytes.iter().filter(|byte| **byte == 1).count() < 1 << 20);
                }
            }
            std::future::pending::<()>().await;
        })
    };
    let faults = vec![
        fault(SECOND, 2 * SECOND, Inject::Crash(server())),
        fault(3 * SECOND, 4 * SECOND, Inject::PowerLoss(server())),
    ];
    let (_, events) = run(&plan(DiskPlan::default(), faults), script);
    assert_eq!(notes(&events), ["1048576", "true"]);
}
