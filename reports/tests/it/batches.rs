//! Batches as CI runs them: killed, interrupted, gone on with, shared out and merged, by the binary itself.
#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "tests read files of the machine and wait for processes")]
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

fn scenario() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/feed.toml")
}

/// `hogwash fuzz` of the small scenario's failing variant, in `folder`.
fn fuzz(folder: &Path, store: &str, seeds: u64, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hogwash"));
    command.arg("fuzz").arg(scenario()).args(["--variant", "unsafe", "--seeds", &seeds.to_string()]);
    command.args(["--store", store, "--message-format", "json"]).args(arguments);
    command.current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The seeds that a batch's lines on stdout say are done, and its last line.
fn said(output: &Output) -> (Vec<u64>, Value) {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let runs = lines.iter().filter(|line| line["type"] == "run-finished");
    (runs.map(|line| line["seed"].as_u64().unwrap()).collect(), lines.last().cloned().unwrap_or_default())
}

/// The seeds that the ledger of the only batch in `store` has.
fn in_ledger(store: &Path) -> Vec<u64> {
    let Ok(files) = store.join(".fuzz").read_dir() else { return Vec::new() };
    let mut paths = files.map(|file| file.unwrap().path());
    let is_ledger = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jsonl");
    let Some(ledger) = paths.find(is_ledger) else { return Vec::new() };
    // It gets another name once it is done.
    let text = std::fs::read_to_string(ledger).unwrap_or_default();
    // Lines that are not written to their end are no runs.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["run"]["seed"].as_u64().unwrap())
        .collect()
}

fn wait_for(mut condition: impl FnMut() -> bool) {
    while !condition() {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_batch_killed_again_and_again_runs_each_seed_once_and_loses_none() {
    const SEEDS: u64 = 16;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    for at_least in [1, 4, 7] {
        let before: BTreeSet<u64> = in_ledger(&store).into_iter().collect();
        let mut child = fuzz(folder.path(), "store", SEEDS, &["--jobs", "2"]).spawn().unwrap();
        wait_for(|| in_ledger(&store).len() >= at_least || child.try_wait().unwrap().is_some());
        // SIGKILL: nothing is tidied up.
        child.kill().unwrap();
        let (said_now, _) = said(&child.wait_with_output().unwrap());
        assert!(said_now.iter().all(|seed| !before.contains(seed)), "{said_now:?} after {before:?}");
        let after: BTreeSet<u64> = in_ledger(&store).into_iter().collect();
        assert!(before.is_subset(&after), "{before:?} and then {after:?}");
    }
    let before = in_ledger(&store);
    assert!(before.len() >= 7 && before.len() < 16, "killed in the middle: {before:?}");
    let output = fuzz(folder.path(), "store", SEEDS, &["--jobs", "2"]).output().unwrap();
    let (seeds, last) = said(&output);
    let mut all = [before, seeds].concat();
    all.sort_unstable();
    assert_eq!(all, (0..SEEDS).collect::<Vec<_>>(), "each seed once, none lost");
    assert_eq!((&last["type"], last["runs"].as_u64()), (&"fuzz-finished".into(), Some(SEEDS)));
    let uninterrupted = fuzz(folder.path(), "other", SEEDS, &[]).output().unwrap();
    assert_eq!(timeless(&said(&uninterrupted).1), timeless(&last));
    let left = store.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.starts_with(".partial-")), "half-kept runs are swept");
}

/// A summary without what differs from time to time and from store to store.
fn timeless(summary: &Value) -> Value {
    let mut summary = summary.clone();
    summary["wall-ns"] = Value::Null;
    for distinct in summary["distinct"].as_array_mut().unwrap() {
        let plan = PathBuf::from(distinct["plan"].as_str().unwrap());
        distinct["plan"] = plan.parent().unwrap().file_name().unwrap().to_str().unwrap().into();
    }
    summary
}

#[test]
fn shards_of_three_machines_merge_to_what_one_machine_says() {
    let folder = tempfile::tempdir().unwrap();
    let (_, alone) = said(&fuzz(folder.path(), "alone", 9, &[]).output().unwrap());
    for (shard, store) in [("1/3", "one"), ("2/3", "two"), ("3/3", "three")] {
        fuzz(folder.path(), store, 9, &["--shard", shard]).output().unwrap();
    }
    // As artifacts of CI are: somewhere else than where they were made.
    std::fs::rename(folder.path().join("two"), folder.path().join("moved")).unwrap();
    let merge = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hogwash"));
        command.arg("merge").args(arguments).current_dir(folder.path()).output().unwrap()
    };
    let merged = merge(&["one", "moved", "three", "--message-format", "json"]);
    assert_eq!(timeless(&said(&merged).1), timeless(&alone));
    for distinct in said(&merged).1["distinct"].as_array().unwrap() {
        assert!(folder.path().join(distinct["plan"].as_str().unwrap()).is_file(), "{distinct}");
    }
    let human = String::from_utf8(merge(&["one", "moved", "three"]).stdout).unwrap();
    assert!(human.contains("Reproduce with: ") && human.contains("9 runs: "), "{human}");
    let missing = merge(&["one", "three"]);
    let error = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(error.contains("3 of 9 runs are missing: shard 2/3 has 0 of 3"), "{error}");
    let partial = merge(&["one", "three", "--partial"]);
    assert!(String::from_utf8(partial.stdout).unwrap().contains("6 runs: "));
    let doubled = String::from_utf8(merge(&["one", "one"]).stderr).unwrap();
    assert!(doubled.contains("shard 1/3 is there twice"), "{doubled}");
}

#[test]
fn one_interrupt_finishes_the_runs_under_way_and_says_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let child = fuzz(folder.path(), "store", 100_000, &["--jobs", "1"]).spawn().unwrap();
    wait_for(|| in_ledger(&store).len() >= 2);
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let (seeds, last) = said(&output);
    assert_eq!((&last["type"], &last["interrupted"]), (&"fuzz-finished".into(), &true.into()));
    assert_eq!(last["runs"].as_u64().unwrap(), seeds.len() as u64);
    assert_eq!(in_ledger(&store), seeds);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("100000 runs") && errors.contains("interrupted: the runs under way are finished"),
        "{errors}"
    );
}

#[test]
fn a_second_interrupt_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // A run of minutes: however late this test hears of it, it is not over.
    let baseline = include_str!("../../../scenarios/steady/baseline.toml");
    let long = baseline.replace("duration = \"120s\"", "duration = \"10h\"").replace("50/s", "5/s");
    assert!(long.contains("10h") && long.contains("\"5/s\""));
    std::fs::write(folder.path().join("long.toml"), long).unwrap();
    let steady = ["fuzz", "long.toml", "--seeds", "1", "--jobs", "1", "--message-format", "json"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_hogwash"))
        .args(steady)
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(errors.next().unwrap(), "1 run");
    signal(&child, "INT");
    assert!(errors.next().unwrap().starts_with("interrupted: "));
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(output.stdout.is_empty(), "the run was not waited for");
}

#[test]
fn shrinking_that_is_interrupted_keeps_the_smallest_so_far() {
    let folder = tempfile::tempdir().unwrap();
    let hogwash = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hogwash"));
        command.args(arguments).current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    hogwash(&["run", scenario().to_str().unwrap(), "--variant", "unsafe"]).output().unwrap();
    let mut child = hogwash(&["shrink", "latest", "--message-format", "json"]).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(errors.next().unwrap().starts_with("shrinking 1 fault, "));
    signal(&child, "INT");
    let told = errors.find(|line| line.starts_with("interrupted: "));
    assert_eq!(told.unwrap(), "interrupted: the smallest plan so far is kept; once more ends at once");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let (_, last) = said(&output);
    assert_eq!((&last["type"], &last["interrupted"]), (&"shrink-finished".into(), &true.into()));
    assert_eq!(last["complete"], false);
    assert!(folder.path().join(last["plan"].as_str().unwrap()).is_file());
}

#[test]
fn a_batch_that_reaches_not_every_mark_lists_the_others_and_fails_where_all_are_required() {
    let folder = tempfile::tempdir().unwrap();
    let safe = |store: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hogwash"));
        command.arg("fuzz").arg(scenario()).args(["--seeds", "2", "--store", store]).args(arguments);
        command.args(["--message-format", "json"]).current_dir(folder.path()).output().unwrap()
    };
    let free = safe("free", &[]);
    let last = said(&free).1;
    let reached = last["marks"].as_object().unwrap();
    let never: Vec<_> =
        last["never-reached"].as_array().unwrap().iter().map(|mark| mark.as_str().unwrap()).collect();
    // The feed's loss takes all replicas at once: those that come back find no leader.
    assert!(reached.contains_key("a client of the queue asks a replica that does not lead"), "{last}");
    assert!(reached.values().all(|runs| (1..=2).contains(&runs.as_u64().unwrap())), "{last}");
    assert!(never.contains(&"a job is set aside as poison"), "{last}");
    assert!(never.iter().all(|mark| !reached.contains_key(*mark)));
    assert_eq!(free.status.code(), Some(0));
    let required = safe("required", &["--require-coverage"]);
    assert_eq!(required.status.code(), Some(1));
    let mut human = Command::new(env!("CARGO_BIN_EXE_hogwash"));
    human.args(["merge", "required", "--require-coverage"]).current_dir(folder.path());
    let merged = human.output().unwrap();
    assert_eq!(merged.status.code(), Some(1));
    let text = String::from_utf8(merged.stdout).unwrap();
    let count = format!("  {} of {} marks reached\n", reached.len(), reached.len() + never.len());
    assert!(text.contains(&count) && text.contains("    never: a job is set aside as poison\n"), "{text}");
}
