//! Scenario files: what is accepted, and what people are told about the rest.

use crate::support::{FULL, Named};
use hogwash_scenarios as scenarios;
use proptest::prelude::*;
use scenarios::ScenarioError;
use scenarios::scenario::Scenario;
use std::path::Path;

fn message(result: Result<Scenario, ScenarioError>, file: &str) -> String {
    result.err().unwrap_or_else(|| panic!("{file} was accepted")).to_string()
}

#[test]
fn every_bad_scenario_is_told_what_is_wrong_where_and_what_to_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad-scenarios");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 20, "the bad scenarios are gone");
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let result = Scenario::parse(&std::fs::read(&file).unwrap(), &format!("{name}.toml"), &Named);
        insta::assert_snapshot!(format!("scenario-{name}"), message(result, name));
    }
}

#[test]
fn every_form_of_the_format_is_read() {
    let scenario = Scenario::parse(FULL.as_bytes(), "full.toml", &Named);
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(scenario.faults.len(), 9);
    assert_eq!(scenario.workload.rate_per_s, 50.0);
    assert_eq!(scenario.disk.capacity_bytes, 1 << 30);
    assert_eq!(scenario.settings["queue.max-deliveries"], "3");
    assert_eq!(scenario.faults[1].name, "half-a-feed");
    assert_eq!(scenario.faults[2].name, "pause-1");
    let plan = scenarios::planner::plan(&scenario, &Named, Some("unsafe-acks"), 3, &[]).unwrap();
    insta::assert_snapshot!("plan-of-every-form", scenarios::plan_file::write(&plan));
}

#[test]
fn problems_have_lines_and_columns_for_annotations_on_a_diff() {
    let source = FULL.replace("factor = 10", "factor = 0");
    let Err(ScenarioError::Invalid(diagnostics)) = Scenario::parse(source.as_bytes(), "x.toml", &Named)
    else {
        panic!("a factor of 0 was accepted")
    };
    let placed: Vec<_> = diagnostics.placed().collect();
    let line = source.lines().position(|line| line.contains("factor")).unwrap() + 1;
    assert_eq!((placed.len(), placed[0].line, placed[0].column), (1, line, 52));
}

/// Texts that are nearly scenarios: the full one with some of it replaced.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        "[\\[\\]{}=\"'.#\n0-9a-z-]{0,8}".prop_map(String::into_bytes),
        prop::sample::select(vec![
            "-1",
            "1e999",
            "\"..\"",
            "9999999999999999999999999",
            "[[fault]]",
            "\u{feff}"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec((0..FULL.len(), 0..12_usize, piece), 1..4).prop_map(|changes| {
        let mut bytes = FULL.as_bytes().to_vec();
        for (at, length, piece) in changes {
            let at = at.min(bytes.len());
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, piece);
        }
        bytes
    })
}

proptest! {
    #[test]
    fn no_bytes_panic_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Scenario::parse(&bytes, "x.toml", &Named).map_err(|error| error.render(true));
    }

    #[test]
    fn no_damage_to_a_scenario_panics_the_parser_or_the_planner(bytes in nearly(), seed: u64) {
        match Scenario::parse(&bytes, "x.toml", &Named) {
            Ok(scenario) => {
                let plan = scenarios::planner::plan(&scenario, &Named, None, seed, &[]).unwrap();
                let again = scenarios::plan_file::read(scenarios::plan_file::write(&plan).as_bytes(), "p.toml", &Named);
                prop_assert_eq!(again.unwrap_or_else(|error| panic!("{error}")), plan);
            }
            Err(error) => prop_assert!(!error.render(true).is_empty()),
        }
    }

    #[test]
    fn a_plan_depends_on_nothing_but_its_seed_and_faults_do_not_depend_on_each_other(seed: u64) {
        let scenario = Scenario::parse(FULL.as_bytes(), "full.toml", &Named).unwrap();
        let draw = |scenario: &Scenario| scenarios::planner::plan(scenario, &Named, None, seed, &[]).unwrap();
        let all = draw(&scenario);
        prop_assert_eq!(&all, &draw(&scenario));
        let mut fewer = scenario.clone();
        let gone = fewer.faults.remove(4).name;
        let kept: Vec<_> = all.faults.into_iter().filter(|fault| fault.name != gone).collect();
        prop_assert_eq!(draw(&fewer).faults, kept);
    }

    #[test]
    fn drawn_faults_stay_within_what_the_scenario_says(seed: u64) {
        let scenario = Scenario::parse(FULL.as_bytes(), "full.toml", &Named).unwrap();
        let plan = scenarios::planner::plan(&scenario, &Named, None, seed, &[]).unwrap();
        let find = |name: &str| plan.faults.iter().find(|fault| fault.name == name);
        let feed = find("power-loss-1").unwrap();
        prop_assert!((20_000_000_000..=40_000_000_000).contains(&feed.start_ns));
        prop_assert_eq!(feed.end_ns - feed.start_ns, 10_000_000_000);
        prop_assert_eq!(feed.shared.as_deref(), Some("power=A"));
        prop_assert_eq!(feed.inject.targets(), ["queue-1", "queue-2", "queue-3", "worker-1", "worker-3"]);
        let paused = find("pause-1").unwrap().inject.targets().len();
        prop_assert!((1..=2).contains(&paused));
        if let Some(half) = find("half-a-feed") {
            prop_assert!(half.shared.as_deref().is_some_and(|domain| domain.starts_with("power=")));
        }
        for node in plan.nodes.iter().filter(|node| node.role == "worker") {
            prop_assert!(node.clock_offset_ns.abs() <= 5_000_000);
        }
        let sim::fault::Inject::Loss(loss) = &find("loss-1").unwrap().inject else { panic!("not a loss") };
        prop_assert!((0.01..=0.2).contains(&loss.probability));
    }
}

#[test]
fn over_many_seeds_a_chance_of_one_half_is_one_half() {
    let scenario = Scenario::parse(FULL.as_bytes(), "full.toml", &Named).unwrap();
    let taken = (0..400).filter(|seed| {
        let plan = scenarios::planner::plan(&scenario, &Named, None, *seed, &[]).unwrap();
        plan.faults.iter().any(|fault| fault.name == "half-a-feed")
    });
    let taken = taken.count();
    assert!((160..240).contains(&taken), "{taken} of 400");
}

#[test]
fn overrides_are_settings_of_the_stack() {
    let scenario = Scenario::parse(FULL.as_bytes(), "full.toml", &Named).unwrap();
    let plan = |name: &str, value: &str| {
        scenarios::planner::plan(&scenario, &Named, None, 0, &[(name.to_owned(), value.to_owned())])
    };
    assert_eq!(plan("queue.lease", "1s").unwrap().settings["queue.lease"], "1s");
    let unknown = plan("queue.leese", "1s").unwrap_err().to_string();
    assert!(unknown.contains("did you mean `queue.lease`?"), "{unknown}");
    let wrong = plan("queue.durability", "paper").unwrap_err().to_string();
    assert!(wrong.contains("must be `disk` or `memory`"), "{wrong}");
    let variant = scenarios::planner::plan(&scenario, &Named, Some("x"), 0, &[]).unwrap_err().to_string();
    assert_eq!(variant, "there is no variant `x`: `correlated/everything` has `unsafe-acks`");
}

const OPEN: &str = r#"
name = "test/open"
why = "All that can be left open."
duration = "60s"
[nodes]
api = { count = 2, domains = { rack = "spread:2" } }
queue = { count = 3, domains = { rack = "spread:2", power = "spread:2" } }
worker = { count = 2 }
client = { count = 1 }
[workload]
clients = 2
rate = "1/s"
[[fault]]
name = "anything"
at = "any"
for = "any"
times = "1..6"
inject = "any"
[[fault]]
name = "clocks"
at = "5s..10s"
for = "1s"
times = 4
inject = ["clock", "pause"]
[[fault]]
name = "slow"
at = "any"
for = "any"
inject.slow-disk = { target = "any", factor = "any" }
[[fault]]
name = "link"
at = "any"
for = "any"
inject.delay = { from = "any", to = "all", by = "any" }
[[fault]]
name = "crash"
at = "any"
for = "any"
inject.crash = "any"
[[fault]]
name = "inrush"
after = { fault-end = "crash", delay = "1s..3s" }
for = "2s..4s"
inject.power-loss = { domain = "power" }
[[fault]]
name = "thermal"
after = { load = "worker", share = 0.9, lasts = "2s", delay = "1s" }
for = "5s"
inject.power-loss = { nodes = ["where it happened"] }
"#;

fn open_plan(seed: u64) -> sim::plan::Plan {
    let scenario = Scenario::parse(OPEN.as_bytes(), "open.toml", &Named);
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    scenarios::planner::plan(&scenario, &Named, None, seed, &[]).unwrap()
}

#[test]
fn what_is_left_open_is_drawn_and_every_kind_comes_up() {
    let mut kinds = std::collections::BTreeMap::new();
    for seed in 0..400 {
        let plan = open_plan(seed);
        for fault in &plan.faults {
            *kinds.entry(fault.inject.word()).or_insert(0) += 1;
            let clocks = fault.name.starts_with("clocks.");
            let is_clock = fault.inject.word().contains("clock") || fault.inject.word() == "bad-time-source";
            assert!(!clocks || is_clock || fault.inject.word() == "pause", "{fault:?}");
            assert!(!fault.inject.targets().is_empty() && fault.end_ns <= 60_000_000_000, "{fault:?}");
        }
        let again =
            scenarios::plan_file::read(scenarios::plan_file::write(&plan).as_bytes(), "p.toml", &Named);
        assert_eq!(again.unwrap_or_else(|error| panic!("{error}")), plan);
    }
    let missing: Vec<_> = scenarios::kinds::words().filter(|word| !kinds.contains_key(word)).collect();
    assert!(missing.is_empty(), "never drawn: {missing:?}");
}

#[test]
fn each_seed_leaves_some_kinds_out() {
    let kinds_of = |seed| {
        let plan = open_plan(seed);
        let open = plan.faults.iter().filter(|fault| fault.name.starts_with("clocks."));
        open.map(|fault| fault.inject.word()).collect::<std::collections::BTreeSet<_>>()
    };
    // Six kinds, four draws: were all always on, that all four are one kind would come once in 216 seeds.
    let alone = (0..300).filter(|seed| kinds_of(*seed).len() == 1).count();
    assert!(alone > 30, "{alone} of 300 seeds had one kind alone");
}

#[test]
fn a_plan_says_what_sets_a_fault_off() {
    let plan = open_plan(2);
    let words = scenarios::describe::faults(&plan);
    let last: Vec<&String> = words.iter().rev().take(2).collect();
    insta::assert_snapshot!(format!("{}\n{}", last[1], last[0]));
}
