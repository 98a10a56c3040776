//! Any schedule of faults against a model: what streams deliver through cuts, delays and losses, and when sleeps end on
//! clocks that drift and step.
#![cfg(not(live))]
#![expect(clippy::unwrap_used, reason = "a test fails by its panic")]
#![expect(dead_code, reason = "the harness serves more tests than these")]

#[path = "disk/harness.rs"]
mod harness;

use bytes::Bytes;
use harness::{note, plan, run};
use proptest::prelude::*;
use sim::fault::{
    Chance, ClockDrift, ClockStep, Corrupt, Cut, Delay, Fault, Flap, Inject, Links, Loss, On, Reorder,
};
use sim::history::{Event, Fact};
use sim::net::{TcpListener, TcpStream};
use sim::plan::{DiskPlan, Plan};
use sim::stack::Process;
use sim::time::{Instant, sleep, wall_now};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

extern crate hogwash_sim as sim;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;

/// When a fault begins and how long it lasts, in milliseconds.
fn times(lasts_ms: std::ops::Range<u64>) -> impl Strategy<Value = (u64, u64)> {
    (0_u64..40_000, lasts_ms)
}

/// Something that happens to the links between `server-1` and `server-2`.
fn harm() -> impl Strategy<Value = Inject> {
    let ends = prop_oneof![Just(("server-1", "server-2")), Just(("server-2", "server-1"))];
    let kind = prop_oneof![
        4 => any::<bool>().prop_map(|both_ways| (0, both_ways, 0.0)),
        2 => any::<bool>().prop_map(|both_ways| (1, both_ways, 0.0)),
        2 => (any::<bool>(), 0.0..0.9).prop_map(|(both_ways, probability)| (2, both_ways, probability)),
        1 => Just((3, false, 0.0)),
        3 => (4..9, any::<bool>(), 0.0..0.9),
    ];
    (ends, kind, 0..2 * SECOND, 0..SECOND).prop_map(
        |((from, to), (kind, both_ways, probability), by_ns, jitter_ns)| {
            let (nodes, from, to) = (vec![from.to_owned()], vec![from.to_owned()], vec![to.to_owned()]);
            match kind {
                0 => Inject::Cut(Cut { from, to, both_ways }),
                1 => Inject::Delay(Delay { from, to, both_ways, by_ns, jitter_ns }),
                2 => Inject::Loss(Loss { from, to, both_ways, probability }),
                3 => Inject::Pause(On { nodes }),
                4 => Inject::Flap(Flap { from, to, both_ways, down_ns: by_ns / 4, up_ns: jitter_ns }),
                5 => Inject::Clog(Links { from, to, both_ways }),
                6 => Inject::Duplicate(Chance { from, to, both_ways, probability }),
                7 => Inject::Reorder(Reorder { from, to, both_ways, probability, by_ns }),
                _ => Inject::Corrupt(Corrupt { from, to, both_ways, probability, undetected: 0.0 }),
            }
        },
    )
}

fn faults(schedule: &[((u64, u64), Inject)]) -> Vec<Fault> {
    let fault = |(number, ((start_ms, lasts_ms), inject)): (usize, &((u64, u64), Inject))| Fault {
        name: format!("fault-{number}"),
        start_ns: start_ms * MILLISECOND,
        end_ns: (start_ms + lasts_ms) * MILLISECOND,
        after: None,
        shared: None,
        inject: inject.clone(),
    };
    schedule.iter().enumerate().map(fault).collect()
}

/// What came of one connection.
#[derive(Clone, Debug, Default)]
struct Carried {
    /// What the writer handed over, and whether it was told of no error.
    sent: Vec<u8>,
    all_sent: bool,
    /// What the reader got, and whether it saw the stream's end.
    received: Vec<u8>,
    ended: bool,
}

/// Sends `chunks` (bytes, and a pause in milliseconds after them) from `server-1` to `server-2` on one connection.
fn carry(seed: u64, schedule: &[((u64, u64), Inject)], chunks: &[(usize, u64)]) -> (String, Carried) {
    let mut plan = two_servers(faults(schedule));
    plan.seed = seed;
    let carried = Arc::new(Mutex::new(Carried::default()));
    let (shared, chunks) = (carried.clone(), chunks.to_vec());
    let (digest, _) = run(&plan, move |process: Process| {
        let (shared, chunks) = (shared.clone(), chunks.clone());
        Box::pin(async move {
            if process.node.name == "server-2" {
                let (stream, _) = TcpListener::bind(7).await.unwrap().accept().await.unwrap();
                read(stream, &shared).await;
            } else if let Some(stream) = connect().await {
                write(stream, &chunks, &shared).await;
            }
            std::future::pending::<()>().await;
        })
    });
    let carried = carried.lock().unwrap().clone();
    (digest, carried)
}

/// A call that a cut makes time out is made again.
async fn connect() -> Option<TcpStream> {
    for _ in 0..5 {
        if let Ok(stream) = TcpStream::connect("server-2", 7).await {
            return Some(stream);
        }
        sleep(Duration::from_millis(10)).await;
    }
    None
}

async fn read(mut stream: TcpStream, carried: &Mutex<Carried>) {
    loop {
        match stream.receive().await {
            Ok(Some(bytes)) => carried.lock().unwrap().received.extend_from_slice(&bytes),
            Ok(None) => return carried.lock().unwrap().ended = true,
            Err(_) => return,
        }
    }
}

async fn write(mut stream: TcpStream, chunks: &[(usize, u64)], carried: &Mutex<Carried>) {
    for (length, pause_ms) in chunks {
        let bytes: Bytes = {
            let mut carried = carried.lock().unwrap();
            let from = carried.sent.len();
            // Each place has a byte of its own making, so that one that is lost, doubled or moved shows.
            let bytes: Vec<u8> =
                (from..from + length).map(|place| (place * 167 + place / 251).to_le_bytes()[0]).collect();
            carried.sent.extend_from_slice(&bytes);
            bytes.into()
        };
        if stream.send(bytes).await.is_err() {
            return;
        }
        sleep(Duration::from_millis(*pause_ms)).await;
    }
    if stream.shutdown().await.is_ok() {
        carried.lock().unwrap().all_sent = true;
    }
    // Dropping it is for the peer to see only after it has read the rest.
    let _ = stream.receive().await;
}

fn two_servers(faults: Vec<Fault>) -> Plan {
    let mut plan = plan(DiskPlan::default(), faults);
    let mut other = plan.nodes[0].clone();
    other.name = "server-2".to_owned();
    plan.nodes.insert(1, other);
    plan.duration_ns = 200 * SECOND;
    plan
}

fn chunks() -> impl Strategy<Value = Vec<(usize, u64)>> {
    proptest::collection::vec((1_usize..150_000, 0_u64..4000), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_stream_delivers_a_prefix_of_what_was_sent_in_order_and_once(
        seed: u64,
        schedule in proptest::collection::vec((times(1..100_000), harm()), 0..8),
        chunks in chunks(),
    ) {
        let (digest, carried) = carry(seed, &schedule, &chunks);
        let Carried { sent, received, all_sent, ended } = &carried;
        prop_assert!(received.len() <= sent.len(), "{} sent, {} received", sent.len(), received.len());
        prop_assert!(received[..] == sent[..received.len()], "bytes were lost, doubled or moved");
        prop_assert!(!ended || (*all_sent && received.len() == sent.len()), "an end that nobody sent");
        prop_assert_eq!(digest, carry(seed, &schedule, &chunks).0, "two runs differ");
    }

    #[test]
    fn a_stream_delivers_all_where_no_fault_outlasts_its_patience(
        seed: u64,
        schedule in proptest::collection::vec((times(1..3_000), harm()), 0..8),
        chunks in chunks(),
    ) {
        let (_, carried) = carry(seed, &schedule, &chunks);
        prop_assert!(carried.all_sent && carried.ended, "{} of {} bytes", carried.received.len(), carried.sent.len());
        prop_assert!(carried.received == carried.sent);
    }

    #[test]
    fn on_any_clock_monotonic_time_never_goes_back_and_sleeps_end_when_it_says(
        seed: u64,
        schedule in proptest::collection::vec((times(1..30_000), turn()), 0..8),
        sleeps_ms in proptest::collection::vec(0_u64..5000, 1..20),
        offset_ms in -10_000_i64..10_000,
        drift in -10_000..10_000_i32,
    ) {
        let mut plan = plan(DiskPlan::default(), faults(&schedule));
        plan.seed = seed;
        plan.nodes[0].clock_offset_ns = offset_ms * 1_000_000;
        plan.nodes[0].clock_drift_parts_per_million = f64::from(drift);
        let asked = sleeps_ms.clone();
        let (_, events) = run(&plan, move |_| {
            let asked = asked.clone();
            Box::pin(async move {
                for milliseconds in asked {
                    let begun = Instant::now();
                    sleep(Duration::from_millis(milliseconds)).await;
                    note(format!("{} {} {}", begun.as_nanos(), Instant::now().as_nanos(), wall_now().as_nanos()));
                }
                std::future::pending::<()>().await;
            })
        });
        check_sleeps(&plan, &events, &sleeps_ms)?;
    }
}

/// Something that happens to the clock of `server-1`. Rates add up and stay above a tenth of the true one.
fn turn() -> impl Strategy<Value = Inject> {
    let nodes = || vec!["server-1".to_owned()];
    prop_oneof![
        (-100_000..900_000_i32).prop_map(move |parts| {
            Inject::ClockDrift(ClockDrift { nodes: nodes(), parts_per_million: f64::from(parts) })
        }),
        (-60 * 1_000_000_000_i64..60 * 1_000_000_000)
            .prop_map(move |by_ns| Inject::ClockStep(ClockStep { nodes: nodes(), by_ns })),
    ]
}

/// What a clock without error shows when a world begins: 2026-01-01.
const EPOCH_NS: i128 = 1_767_225_600_000_000_000;
/// Tasks take turns of up to 100 ns of true time; a rate rounds at each of its changes.
const SLACK_NS: i128 = 20_000;

fn check_sleeps(plan: &Plan, events: &[Event], sleeps_ms: &[u64]) -> Result<(), TestCaseError> {
    let (mut before_ns, mut count) = (0, 0);
    for event in events {
        let Fact::Note { text } = &event.fact else { continue };
        let numbers: Vec<i128> = text.split(' ').map(|number| number.parse().unwrap()).collect();
        let [begun_ns, ended_ns, wall_ns] = numbers[..] else { unreachable!("three numbers") };
        let deadline_ns = begun_ns + i128::from(sleeps_ms[count]) * 1_000_000;
        prop_assert!(begun_ns >= before_ns && ended_ns >= begun_ns, "time went back: {}", text);
        prop_assert!(
            (deadline_ns..deadline_ns + SLACK_NS).contains(&ended_ns),
            "{} for {}",
            ended_ns,
            deadline_ns
        );
        let (model_ns, stepped_ns) = model(plan, event.at_ns);
        prop_assert!(
            (ended_ns - model_ns).abs() < SLACK_NS,
            "the node says {}, the model {}",
            ended_ns,
            model_ns
        );
        prop_assert_eq!(
            wall_ns,
            EPOCH_NS + ended_ns + stepped_ns,
            "wall time is monotonic time, offset and steps"
        );
        (before_ns, count) = (ended_ns, count + 1);
    }
    prop_assert_eq!(count, sleeps_ms.len(), "sleeps that never ended");
    Ok(())
}

/// What monotonic time the clock of `server-1` shows at true time `at_ns`, and how far its wall clock was moved.
fn model(plan: &Plan, at_ns: u64) -> (i128, i128) {
    let node = &plan.nodes[0];
    let parts = |parts_per_million: f64, lasted_ns: u64| {
        #[expect(clippy::cast_possible_truncation, reason = "whole parts per million")]
        let parts = parts_per_million as i128;
        i128::from(lasted_ns) * parts / 1_000_000
    };
    let mut monotonic_ns = i128::from(at_ns) + parts(node.clock_drift_parts_per_million, at_ns);
    let mut stepped_ns = i128::from(node.clock_offset_ns);
    for fault in &plan.faults {
        let lasted_ns = at_ns.min(fault.end_ns).saturating_sub(fault.start_ns);
        match &fault.inject {
            Inject::ClockDrift(drift) => monotonic_ns += parts(drift.parts_per_million, lasted_ns),
            Inject::ClockStep(step) if (fault.start_ns..fault.end_ns).contains(&at_ns) => {
                stepped_ns += i128::from(step.by_ns);
            }
            _ => {}
        }
    }
    (monotonic_ns, stepped_ns)
}
