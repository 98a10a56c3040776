//! Disks.

use crate::harness::{fault, note, run};
use crate::sim::fault::{DiskDeath, DiskError, Inject, OnChance};
use crate::sim::fs;
use crate::sim::history::{Event, Fact};
use crate::sim::stack::{Process, Task};
use crate::sim::time::{Instant, sleep};
use crate::{SECOND, boots_of, names, notes_of, on, two_servers};
use bytes::Bytes;
use std::time::Duration;

/// Every second `server-1` appends a page to a file and syncs it, and notes what came of it and how many seconds it took.
fn writer(process: Process) -> Task {
    Box::pin(async move {
        if process.node.name != "server-1" {
            return std::future::pending().await;
        }
        if let Ok(old) = fs::read("/data").await {
            note(format!("found {}", old.len() / 4096));
        }
        loop {
            let begun = Instant::now();
            let result = append().await;
            let took = begun.elapsed().as_secs();
            note(format!(
                "{} after {took}",
                result.map_or_else(|error| error.kind().to_string(), |()| "ok".to_owned())
            ));
            sleep(Duration::from_secs(1)).await;
        }
    })
}

async fn append() -> std::io::Result<()> {
    let file = fs::OpenOptions::new().read(true).write(true).create(true).open("/data").await?;
    let end = file.len().await?;
    file.write_at(end, Bytes::from(vec![7; 4096])).await?;
    file.sync_all().await?;
    fs::sync_dir("/").await
}

fn said(inject: Inject) -> (Vec<(u64, String)>, Vec<Event>) {
    let (_, events) = run(&two_servers(vec![fault(5 * SECOND, 15 * SECOND, inject)]), writer);
    (notes_of(&events, 0), events)
}

/// What was said between two seconds.
fn between(notes: &[(u64, String)], from_s: u64, to_s: u64) -> Vec<&str> {
    let inside = notes.iter().filter(|(at_ms, _)| (from_s * 1000..to_s * 1000).contains(at_ms));
    inside.map(|(_, text)| text.as_str()).collect()
}

fn all_is_well(notes: &[&str]) -> bool {
    !notes.is_empty() && notes.iter().all(|text| *text == "ok after 0")
}

fn damages(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event.fact, Fact::DiskLoss { synced: true, .. })).count()
}

#[test]
fn a_stuck_disk_answers_when_it_comes_free() {
    let (notes, _) = said(Inject::StuckDisk(on(&["server-1"])));
    assert!(all_is_well(&between(&notes, 0, 5)));
    assert_eq!(between(&notes, 5, 15), Vec::<&str>::new());
    assert_eq!(between(&notes, 15, 16)[0], "ok after 9");
    assert!(all_is_well(&between(&notes, 16, 39)));
}

#[test]
fn a_full_disk_refuses_to_grow_and_takes_more_afterwards() {
    let (notes, _) = said(Inject::FullDisk(on(&["server-1"])));
    assert!(all_is_well(&between(&notes, 0, 5)));
    assert!(between(&notes, 5, 15).iter().all(|text| text.starts_with("no storage space")), "{notes:?}");
    assert!(all_is_well(&between(&notes, 15, 39)));
}

#[test]
fn a_disk_error_strikes_always_or_once() {
    let error = |once| DiskError { nodes: names(&["server-1"]), probability: 1.0, once };
    let (notes, _) = said(Inject::DiskError(error(false)));
    assert!(all_is_well(&between(&notes, 0, 5)));
    assert!(between(&notes, 5, 15).iter().all(|text| text.starts_with("other error")), "{notes:?}");
    assert!(all_is_well(&between(&notes, 15, 39)));
    let (notes, _) = said(Inject::DiskError(error(true)));
    let failed = notes.iter().filter(|(_, text)| text.starts_with("other error")).count();
    assert_eq!(failed, 1);
}

#[test]
fn a_failed_sync_says_so_once_and_what_it_forgot_goes_with_the_power() {
    let failing = OnChance { nodes: names(&["server-1"]), probability: 1.0 };
    let plan = two_servers(vec![
        fault(5 * SECOND, 8 * SECOND, Inject::FailedSync(failing)),
        fault(20 * SECOND, 21 * SECOND, Inject::PowerLoss(on(&["server-1"]))),
    ]);
    let (_, events) = run(&plan, |process: Process| {
        Box::pin(async move {
            if process.node.name != "server-1" {
                return std::future::pending().await;
            }
            let file =
                fs::OpenOptions::new().read(true).write(true).create(true).open("/data").await.unwrap();
            if process.incarnation > 1 {
                let bytes = file.read_at(0, 4096).await.unwrap();
                note(format!("found {}", bytes.iter().filter(|byte| **byte == 7).count()));
                return std::future::pending().await;
            }
            fs::sync_dir("/").await.unwrap();
            sleep(Duration::from_secs(6)).await;
            file.write_at(0, Bytes::from(vec![7; 4096])).await.unwrap();
            note(file.sync_all().await.is_err());
            note(file.sync_all().await.is_err());
            let seen = file.read_at(0, 4096).await.unwrap();
            note(format!("sees {}", seen.iter().filter(|byte| **byte == 7).count()));
            std::future::pending().await
        })
    });
    let said: Vec<String> = notes_of(&events, 0).into_iter().map(|(_, text)| text).collect();
    assert_eq!(said, ["true", "false", "sees 4096", "found 0"]);
    assert_eq!(damages(&events), 1, "what a sync had called durable is gone");
}

#[test]
fn bits_rot_at_the_start_and_stay_rotten() {
    let rot = OnChance { nodes: names(&["server-1"]), probability: 1.0 };
    let plan = two_servers(vec![fault(5 * SECOND, 6 * SECOND, Inject::BitRot(rot))]);
    let (_, events) = run(&plan, |process: Process| {
        Box::pin(async move {
            if process.node.name != "server-1" {
                return std::future::pending().await;
            }
            fs::write("/data", Bytes::from(vec![7; 4096])).await.unwrap();
            sleep(Duration::from_secs(10)).await;
            let bytes = fs::read("/data").await.unwrap();
            note(bytes.iter().map(|byte| (byte ^ 7).count_ones()).sum::<u32>());
            fs::write("/data", Bytes::from(vec![7; 4096])).await.unwrap();
            note(fs::read("/data").await.unwrap().iter().filter(|byte| **byte != 7).count());
            std::future::pending().await
        })
    });
    let said: Vec<String> = notes_of(&events, 0).into_iter().map(|(_, text)| text).collect();
    assert_eq!(said, ["8", "0"], "one bit of each of eight sectors, none of what is written later");
    assert_eq!(damages(&events), 1);
}

/// How many sectors of a file of 64 are not as 64 writes of one sector each, after the fault began, should have left them.
fn wrong_sectors(inject: Inject, bytes_a_write: usize) -> (usize, usize) {
    let plan = two_servers(vec![fault(5 * SECOND, 10 * SECOND, inject)]);
    let (_, events) = run(&plan, move |process: Process| {
        Box::pin(async move {
            if process.node.name != "server-1" {
                return std::future::pending().await;
            }
            for pause in [0, 6, 6] {
                sleep(Duration::from_secs(pause)).await;
                fs::write("/data", Bytes::from(vec![0; 64 * 512])).await.unwrap();
                let file = fs::OpenOptions::new().read(true).write(true).open("/data").await.unwrap();
                for at in (0..64 * 512).step_by(bytes_a_write) {
                    file.write_at(at, Bytes::from(vec![7; bytes_a_write])).await.unwrap();
                }
                let bytes = fs::read("/data").await.unwrap();
                note(bytes.iter().filter(|byte| **byte != 7).count());
            }
            std::future::pending().await
        })
    });
    let said: Vec<usize> = notes_of(&events, 0).into_iter().map(|(_, text)| text.parse().unwrap()).collect();
    assert_eq!((said[0], said[2]), (0, 0), "nothing goes wrong before and after");
    (said[1], damages(&events))
}

#[test]
fn a_misdirected_write_lands_elsewhere_in_its_file() {
    let astray = OnChance { nodes: names(&["server-1"]), probability: 0.5 };
    let (wrong, damages) = wrong_sectors(Inject::MisdirectedWrite(astray), 512);
    assert!(wrong >= 512 && wrong.is_multiple_of(512), "{wrong} bytes were never written");
    assert!(damages >= 5, "{damages}");
}

#[test]
fn a_torn_write_ends_at_a_sector() {
    let torn = OnChance { nodes: names(&["server-1"]), probability: 0.5 };
    let (wrong, damages) = wrong_sectors(Inject::TornWrite(torn), 2048);
    assert!(wrong >= 512 && wrong.is_multiple_of(512), "{wrong} bytes were never written");
    assert!(damages >= 2, "{damages}");
}

#[test]
fn a_lost_disk_comes_back_empty() {
    let (notes, events) = said(Inject::LostDisk(on(&["server-1"])));
    assert_eq!(boots_of(&events, 0), [0, 15_000]);
    assert!(notes.iter().all(|(_, text)| !text.starts_with("found")), "the new disk is empty: {notes:?}");
    assert_eq!(damages(&events), 1);
}

#[test]
fn dying_disks_fail_for_good_and_are_replaced() {
    let death = DiskDeath { nodes: names(&["server-1", "server-2"]), spread_ns: 4 * SECOND };
    let (notes, events) = said(Inject::DiskDeath(death));
    assert!(between(&notes, 9, 15).iter().all(|text| text.starts_with("other error")), "{notes:?}");
    assert!(all_is_well(&between(&notes, 15, 39)), "{notes:?}");
    assert_eq!(boots_of(&events, 0), [0, 15_000]);
}
