//! Tests of many seeds as their author sees them: what fails on purpose is run by itself, and what it prints is read.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

#[expect(dead_code, reason = "its main is the example's")]
#[path = "../../examples/primary_backup.rs"]
mod example;

use example::PrimaryBackup;
use std::process::{Command, Output};

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/primary-backup.toml");

#[test]
#[ignore = "fails on purpose: another test reads what it prints"]
fn loses_what_it_promised() {
    hogwash::test::holds(PrimaryBackup, SCENARIO, 100);
}

#[test]
#[ignore = "fails on purpose: another test reads what it prints"]
fn fails_from_the_third_seed_on() {
    hogwash::test::seeds(100, |seed| {
        let drawn = sim::world::alone(seed, async { sim::node::stream("three").next_u64() });
        println!("seed {seed} draws {drawn}");
        assert!(seed < 3, "this seed is not less than 3");
    });
}

#[test]
fn a_world_of_one_node_is_the_same_for_the_same_seed() {
    let draw = |seed| sim::world::alone(seed, async { sim::node::stream("same").next_u64() });
    hogwash::test::seeds(5, |seed| {
        assert_eq!(draw(seed), draw(seed));
        assert_ne!(draw(seed), draw(seed + 1));
    });
}

#[test]
#[should_panic(expected = "found nothing")]
fn a_panic_in_a_world_of_one_node_is_the_tests() {
    sim::world::alone(0, async {
        sim::time::sleep(std::time::Duration::from_secs(1)).await;
        panic!("found nothing");
    })
}

/// Runs the test `name` of this program alone.
fn run(name: &str, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    for name in ["HOGWASH_SEED", "MADSIM_TEST_SEED", "MADSIM_TEST_NUM", "NEXTEST", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    command.env("CARGO_PKG_NAME", "mine").envs(environment.iter().copied()).output().unwrap()
}

/// What a test said on stderr, without the thread's number and the place in this machine's files.
fn said(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let lines = text.lines().filter(|line| !line.contains("panicked at ") && !line.starts_with("note: "));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_failing_law_says_what_was_done_what_is_lost_and_how_to_run_that_seed_alone() {
    let output = run("seeds::loses_what_it_promised", &[]);
    assert!(!output.status.success());
    insta::assert_snapshot!(said(&output));
}

#[test]
fn the_line_that_a_failing_test_prints_fails_alike_and_other_seeds_do_not() {
    let output = run("seeds::fails_from_the_third_seed_on", &[]);
    let line = "  HOGWASH_SEED=3 cargo test --package mine seeds::fails_from_the_third_seed_on -- --exact";
    assert!(said(&output).lines().any(|said| said == line), "{}", said(&output));
    let drawn = |output: &Output| {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        text.lines().filter(|line| line.starts_with("seed ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let alone = run("seeds::fails_from_the_third_seed_on", &[("HOGWASH_SEED", "3")]);
    assert!(!alone.status.success());
    assert_eq!(drawn(&alone), drawn(&output)[3..]);
    let two = [("MADSIM_TEST_SEED", "1"), ("MADSIM_TEST_NUM", "2")];
    let before = run("seeds::fails_from_the_third_seed_on", &two);
    assert!(before.status.success());
    assert_eq!(drawn(&before), drawn(&output)[1..3]);
    let under_nextest =
        run("seeds::fails_from_the_third_seed_on", &[("NEXTEST", "1"), ("HOGWASH_SEED", "9")]);
    assert!(said(&under_nextest).contains("cargo nextest run --package mine -E 'test("));
}
