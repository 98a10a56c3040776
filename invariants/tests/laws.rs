//! Every law accepts the good histories under `tests/histories/LAW/` and rejects the bad ones. A file's name begins with
//! the verdict that it must get; a `# shape:` line names the violation.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use invariants::{Bound, LAWS, Law, Verdict, Watch, check};
use sim::fault::{ClockDrift, Cut, Fault, Inject, On, Share};
use sim::history::{Event, Fact, from_text};
use sim::plan::{DiskPlan, NetworkPlan, NodePlan, Objectives, PLAN_VERSION, Plan, Workload};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

extern crate hogwash_invariants as invariants;

const NODES: [&str; 6] = ["queue-1", "queue-2", "queue-3", "worker-1", "worker-2", "client-1"];

fn plan() -> Plan {
    let node = |name: &&str| NodePlan {
        name: (*name).to_owned(),
        role: name.split_once('-').expect("a role and a number").0.to_owned(),
        cores: 1,
        memory_bytes: 1 << 30,
        domains: BTreeMap::new(),
        clock_offset_ns: 0,
        clock_drift_parts_per_million: 0.0,
    };
    Plan {
        version: PLAN_VERSION,
        stack: "test".to_owned(),
        scenario: "test/laws".to_owned(),
        variant: None,
        seed: 0,
        duration_ns: 20_000_000_000,
        drain_ns: 60_000_000_000,
        expect: BTreeMap::new(),
        objectives: Objectives {
            window_ns: Some(5_000_000_000),
            availability: Some(0.75),
            latency_ns: Some(2_000_000_000),
            error_budget: Some(0.2),
            recovery_ns: Some(3_000_000_000),
            blast_radius: Some(0.5),
            fairness: Some(0.5),
        },
        settings: BTreeMap::new(),
        workload: Workload { clients: 1, rate_per_s: 1.0, ..Workload::default() },
        network: NetworkPlan::default(),
        disk: DiskPlan::default(),
        byte_scale: 1,
        nodes: NODES.iter().map(node).collect(),
        faults: faults(),
    }
}

/// Faults on both sides of what laws promise to survive: histories say which began.
fn faults() -> Vec<Fault> {
    let on = || On { nodes: vec!["worker-1".to_owned()] };
    let drift = |parts_per_million| Inject::ClockDrift(ClockDrift { nodes: on().nodes, parts_per_million });
    let cut = || Inject::Cut(Cut { from: vec!["queue-1".to_owned()], to: on().nodes, both_ways: true });
    let faults = [
        (drift(-50_000.0), 10_000_000_000),
        (drift(500.0), 10_000_000_000),
        (Inject::Pause(on()), 5_000_000_000),
        (Inject::Pause(on()), 100_000_000),
        (cut(), 10_000_000_000),
        (cut(), 500_000_000),
        (Inject::Crash(on()), 10_000_000_000),
        (Inject::Crash(on()), 500_000_000),
        (Inject::FullDisk(on()), 1_000_000_000),
        (Inject::MemoryPressure(Share { nodes: on().nodes, share: 0.5 }), 1_000_000_000),
    ];
    let fault = |(number, (inject, length_ns)): (usize, (Inject, u64))| Fault {
        name: format!("fault-{number}"),
        start_ns: 2_000_000_000,
        end_ns: 2_000_000_000 + length_ns,
        after: None,
        shared: None,
        inject,
    };
    faults.into_iter().enumerate().map(fault).collect()
}

fn histories(law: &Law) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories").join(law.name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn expected_verdict(path: &Path) -> Verdict {
    let name = path.file_name().unwrap().to_str().unwrap();
    let starts = |verdict: &Verdict| name.starts_with(&format!("{verdict}-"));
    Verdict::ALL.into_iter().find(starts).unwrap_or_else(|| panic!("{name} names no verdict"))
}

#[test]
fn every_law_accepts_its_good_histories_and_rejects_its_bad_ones() {
    for law in LAWS {
        let mut seen = Vec::new();
        for path in histories(law) {
            let text = std::fs::read_to_string(&path).unwrap();
            let events =
                from_text(&text, &NODES).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let finding = check(law, &plan(), &events);
            let verdict = expected_verdict(&path);
            assert_eq!(finding.verdict, verdict, "{}: {finding:#?}", path.display());
            let shapes: Vec<_> =
                finding.violations.iter().map(|violation| violation.shape.as_str()).collect();
            let expected: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# shape: ")).collect();
            assert_eq!(shapes, expected, "{}", path.display());
            assert!(finding.violations.iter().all(|violation| !violation.evidence.is_empty()));
            match verdict {
                Verdict::Held => assert!(finding.exercised > 0, "{}", path.display()),
                Verdict::NotExercised => {
                    assert_eq!(finding.exercised, 0, "{}", path.display());
                    assert_eq!(finding.because, Some(format!("it needs {}", law.needs)));
                }
                _ => {}
            }
            seen.push(verdict);
        }
        if !law.survives.is_empty() {
            assert!(seen.contains(&Verdict::BeyondDesign), "{} has no history past its bounds", law.name);
        }
        for needed in [Verdict::Held, Verdict::Violated, Verdict::NotExercised] {
            assert!(seen.contains(&needed), "{} has no history that is {needed}", law.name);
        }
    }
}

/// Whether something of the sort that `bound` limits happened, however much.
fn happened(bound: Bound, events: &[Event]) -> bool {
    let plan = plan();
    let began = |is_such: fn(&Inject) -> bool| {
        events.iter().any(|event| match event.fact {
            Fact::FaultStart { fault, .. } => is_such(&plan.faults[fault as usize].inject),
            _ => false,
        })
    };
    match bound {
        Bound::MinorityOfDisks(_) | Bound::Disks { .. } => {
            events.iter().any(|event| matches!(event.fact, Fact::DiskLoss { synced: true, .. }))
        }
        Bound::ClockDrift { .. } => began(|inject| matches!(inject, Inject::ClockDrift(_))),
        Bound::Pause { .. } => began(|inject| matches!(inject, Inject::Pause(_))),
        Bound::Cut { .. } => began(|inject| matches!(inject, Inject::Cut(_))),
        Bound::Down { .. } => began(|inject| matches!(inject, Inject::Crash(_))),
    }
}

/// What is said where something went past `bound`.
fn said_past(bound: Bound) -> &'static str {
    match bound {
        Bound::MinorityOfDisks(_) | Bound::Disks { .. } => "lost what was synced",
        Bound::ClockDrift { .. } => "drifted",
        Bound::Pause { .. } => "stood still",
        Bound::Cut { .. } => "had bad links",
        Bound::Down { .. } => "were down",
    }
}

#[test]
fn each_bound_of_each_law_has_histories_on_both_sides_of_its_line() {
    for law in LAWS {
        for bound in law.survives {
            let (mut within, mut past) = (false, false);
            for path in histories(law) {
                let events = from_text(&std::fs::read_to_string(&path).unwrap(), &NODES).unwrap();
                let finding = check(law, &plan(), &events);
                let because = finding.because.unwrap_or_default();
                within |= finding.verdict == Verdict::Violated && happened(*bound, &events);
                past |= finding.verdict == Verdict::BeyondDesign && because.contains(said_past(*bound));
            }
            assert!(within, "{}: no violated history within {bound}", law.name);
            assert!(past, "{}: no history past {bound}", law.name);
        }
    }
}

#[test]
fn every_law_is_in_the_readme_and_every_folder_of_histories_is_a_laws() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("../README.md")).unwrap();
    let table = readme.split("| law | what it demands |").nth(1).unwrap();
    let names: BTreeSet<_> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("| `"))
        .flat_map(|line| {
            line.split('|').nth(1).unwrap().split(", ").map(|name| name.trim().trim_matches('`'))
        })
        .collect();
    assert_eq!(names, LAWS.iter().map(|law| law.name).collect());
    let folders: BTreeSet<_> = std::fs::read_dir(root.join("tests/histories"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(folders, LAWS.iter().map(|law| law.name.to_owned()).collect());
}

#[test]
fn a_law_is_broken_at_the_event_that_breaks_it_and_not_before() {
    for law in LAWS {
        for path in histories(law) {
            let events = from_text(&std::fs::read_to_string(&path).unwrap(), &NODES).unwrap();
            let mut invariant = (law.make)(&plan());
            let mut first_ns = None;
            for event in &events {
                invariant.observe(event);
                if invariant.broken() && first_ns.is_none() {
                    first_ns = Some(event.at_ns);
                }
            }
            let finding = invariant.finish();
            let told_ns = finding.violations.iter().map(|violation| violation.at_ns).min();
            assert_eq!(first_ns, told_ns, "{}", path.display());
        }
    }
}

/// A violation as a person reads it: the law, what broke it, the events.
fn told(law: &Law, path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let finding = check(law, &plan(), &from_text(&text, &NODES).unwrap());
    let violations = finding.violations.iter().map(|violation| {
        let evidence: String = violation.evidence.iter().map(|line| format!("    {line}\n")).collect();
        format!("  {}\n{evidence}", violation.message)
    });
    let because = finding.because.map(|because| format!("  {because}\n")).unwrap_or_default();
    let file = path.file_stem().unwrap().to_str().unwrap();
    format!("{file}\n{}{because}", violations.collect::<String>())
}

#[test]
fn counterexamples_speak() {
    for law in LAWS {
        let told: Vec<_> = histories(law)
            .iter()
            .filter(|path| expected_verdict(path) != Verdict::Held)
            .map(|path| told(law, path))
            .collect();
        let page =
            format!("{}: {}; survives {}\n\n{}", law.name, law.sentence, law.promise(), told.join("\n"));
        insta::assert_snapshot!(law.name, page);
    }
}

#[test]
fn the_watch_says_what_each_law_says_alone() {
    for path in LAWS.iter().flat_map(histories) {
        let mut events = from_text(&std::fs::read_to_string(&path).unwrap(), &NODES).unwrap();
        let at_ns = events.last().map_or(0, |event| event.at_ns);
        // Without this, the run was cut off.
        events.push(Event { at_ns, node: sim::history::WORLD, fact: Fact::End { messages: 0, steps: 0 } });
        let mut watch = Watch::new(&plan());
        events.iter().for_each(|event| watch.observe(event));
        for (law, finding) in watch.finish() {
            assert_eq!(finding, check(law, &plan(), &events), "{} of {}", law.name, path.display());
        }
    }
}

#[test]
fn many_victims_of_one_bug_are_one_violation() {
    let lost = |operation| {
        format!("1s client-1 submit id=0.{operation} attempt=1\n1s client-1 acknowledge id=0.{operation}\n")
    };
    let text: String = (0..100).map(lost).chain(["2s world drained\n".to_owned()]).collect();
    let law = LAWS.iter().find(|law| law.name == "delivery").unwrap();
    let finding = check(law, &plan(), &from_text(&text, &NODES).unwrap());
    assert_eq!(finding.violations.len(), 1);
    let violation = &finding.violations[0];
    assert!(violation.message.ends_with("99 more like it"), "{}", violation.message);
    assert_eq!(violation.evidence.last().unwrap(), "60 more are not shown");
}
