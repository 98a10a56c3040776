//! Plan files: read back as they were written, and nothing taken on trust.

use crate::support::{FULL, Named};
use hogwash_scenarios as scenarios;
use proptest::prelude::*;
use scenarios::plan_file::{read, write};
use scenarios::scenario::Scenario;
use sim::fault::{
    After, BadTimeSource, Cause, ClockDrift, ClockStep, Cut, Delay, DiskError, Fault, Flap, Inject, Load,
    Loss, MainsLoss, On, SlowDisk,
};
use sim::plan::{Arrivals, DiskPlan, NetworkPlan, NodePlan, Objectives, PLAN_VERSION, Plan, Step, Workload};
use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn every_bad_plan_is_told_what_is_wrong_where_and_what_to_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-plans");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 15, "the bad plans are gone");
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let result = read(&std::fs::read(&file).unwrap(), &format!("{name}.toml"), &Named);
        let error = result.err().unwrap_or_else(|| panic!("{name} was accepted"));
        insta::assert_snapshot!(format!("plan-{name}"), error.to_string());
    }
}

fn nodes() -> impl Strategy<Value = Vec<NodePlan>> {
    let domains = prop::collection::btree_map("[a-z][a-z-]{0,6}x", "[A-Za-z0-9 \"'=é\n]{0,6}[a-z]", 0..3);
    let node = (domains, 1..64_u32, 1..1_u64 << 50, any::<i32>(), -999_999.0..999_999.0_f64);
    prop::collection::vec(node, 1..6).prop_map(|nodes| {
        let nodes =
            nodes.into_iter().enumerate().map(|(index, (domains, cores, memory_bytes, offset, drift))| {
                let role = ["client", "queue", "api", "worker"][index % 4].to_owned();
                NodePlan {
                    name: format!("{role}-{}", index / 4 + 1),
                    role,
                    cores,
                    memory_bytes,
                    domains,
                    clock_offset_ns: i64::from(offset),
                    clock_drift_parts_per_million: drift,
                }
            });
        nodes.collect()
    })
}

fn inject(names: Vec<String>) -> impl Strategy<Value = Inject> {
    let names = prop::sample::subsequence(names.clone(), 1..=names.len());
    (names.clone(), names, 0..14_u8, any::<bool>(), any::<u32>(), 0.0..=1.0_f64).prop_map(
        |(nodes, to, kind, both_ways, length, share)| {
            let (from, by_ns) = (nodes.clone(), u64::from(length));
            let jitter_ns = by_ns / 2;
            match kind {
                0 => Inject::PowerLoss(On { nodes }),
                1 => Inject::Crash(On { nodes }),
                2 => Inject::Pause(On { nodes }),
                3 => Inject::Cut(Cut { from, to, both_ways }),
                4 => Inject::Delay(Delay { from, to, both_ways, by_ns, jitter_ns }),
                5 => Inject::Loss(Loss { from, to, both_ways, probability: share }),
                6 => Inject::SlowDisk(SlowDisk { nodes, factor: 1.0 + share }),
                7 => Inject::ClockStep(ClockStep { nodes, by_ns: -i64::from(length) }),
                8 => Inject::ClockDrift(ClockDrift { nodes, parts_per_million: share * 100.0 - 50.0 }),
                9 => Inject::Flap(Flap { from, to, both_ways, down_ns: by_ns, up_ns: jitter_ns }),
                10 => Inject::DiskError(DiskError { nodes, probability: share, once: both_ways }),
                11 => Inject::MainsLoss(MainsLoss { nodes, battery_ns: by_ns, generator_fails: share }),
                12 => {
                    Inject::BadTimeSource(BadTimeSource { nodes, by_ns: -i64::from(length), poll_ns: by_ns })
                }
                _ => Inject::WrongNames(On { nodes }),
            }
        },
    )
}

fn after(seed: u64, role: &str) -> Option<After> {
    let name = role.to_owned();
    let event = match seed % 9 {
        0 => Cause::FaultStart("a fault that \"is\" not there".to_owned()),
        1 => Cause::FaultEnd("fault 0".to_owned()),
        2 => Cause::Lead(name),
        3 => Cause::Exit(name),
        4 => Cause::Boot(name),
        5 => Cause::Load(Load { role: name, share: 0.25, lasts_ns: seed & 0xffff_ffff }),
        _ => return None,
    };
    Some(After { event, delay_ns: seed & 0xffff, length_ns: 1 + (seed & 0xff_ffff) })
}

fn plans() -> impl Strategy<Value = Plan> {
    let duration = 2..1_000_000_000_000_u64;
    (nodes(), duration, any::<u64>(), 0.0..100.0_f64, prop::option::of("\\PC{0,8}x")).prop_flat_map(
        |(nodes, duration_ns, seed, rate_per_s, variant)| {
            let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
            let fault =
                (0..duration_ns - 1, any::<u64>(), inject(names), prop::option::of("[a-z]{1,4}=[A-Z]"));
            prop::collection::vec(fault, 0..5).prop_map(move |faults| Plan {
                version: PLAN_VERSION,
                stack: "named".to_owned(),
                scenario: "a/b \"quoted\"".to_owned(),
                variant: variant.clone(),
                seed,
                duration_ns,
                drain_ns: seed >> 8 & 0xffff_ffff,
                expect: BTreeMap::from([("delivery".to_owned(), "held | violated".to_owned())]),
                objectives: Objectives {
                    window_ns: (seed % 3 == 0).then_some(5_000_000_000),
                    availability: (seed % 5 == 0).then_some(0.99),
                    ..Objectives::default()
                },
                settings: BTreeMap::from([("queue.lease".to_owned(), "3s".to_owned())]),
                workload: Workload {
                    clients: 3,
                    rate_per_s,
                    arrivals: Arrivals::NAMES[usize::from(seed % 2 == 1)].1,
                    only: (seed % 2 == 0).then(|| vec!["1.0-4".to_owned()]),
                    steps: (0..seed % 3)
                        .map(|number| Step { at_ns: number * 1_000_000, rate_per_s })
                        .collect(),
                },
                network: NetworkPlan { jitter: rate_per_s, ..NetworkPlan::default() },
                disk: DiskPlan { queue_depth: 7, ..DiskPlan::default() },
                byte_scale: 1,
                nodes: nodes.clone(),
                faults: faults
                    .into_iter()
                    .enumerate()
                    .map(|(index, (start_ns, length, inject, shared))| {
                        let end_ns = start_ns + 1 + length % (duration_ns - start_ns);
                        Fault {
                            name: format!("fault {index}"),
                            start_ns,
                            end_ns,
                            after: after(seed >> index, &nodes[0].role),
                            shared,
                            inject,
                        }
                    })
                    .collect(),
            })
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_the_same(plan in plans()) {
        let text = write(&plan);
        let again = read(text.as_bytes(), "plan.toml", &Named).unwrap_or_else(|error| panic!("{error}"));
        prop_assert_eq!(again, plan);
    }

    #[test]
    fn no_bytes_panic_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, "plan.toml", &Named).map_err(|error| error.render(true));
    }

    #[test]
    fn no_damage_to_a_plan_panics_the_reader(
        at in 0..4000_usize,
        length in 0..12_usize,
        piece in "[\\[\\]{}=\"'.#\n0-9a-z-]{0,8}",
    ) {
        let scenario = Scenario::parse(FULL.as_bytes(), "full.toml", &Named).unwrap();
        let plan = scenarios::planner::plan(&scenario, &Named, None, 1, &[]).unwrap();
        let mut bytes = write(&plan).into_bytes();
        let at = at.min(bytes.len());
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, piece.into_bytes());
        if let Err(error) = read(&bytes, "plan.toml", &Named) {
            prop_assert!(!error.render(true).is_empty());
        }
    }
}
