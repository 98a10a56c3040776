//! The runs of a review: cut off, refused, killed, interrupted and gone on with, by the batch itself and by the binary.
#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "tests read files of the machine and wait for processes")]
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use hogwash::review::batch::{Batch, Runs, Watcher};
use hogwash::review::file::Review;
use hogwash::review::study::Study;
use scenarios::guarded::{Budget, Cut};
use sim::stack::Stack;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

const SMALL: &str = include_str!("../files/review.toml");

/// Nobody looks on.
struct Unseen;

impl Watcher for Unseen {
    fn begin(&self, _runs: u64, _done: u64) {}

    fn ended(&self) {}
}

/// What `with` makes of the small review's study and a batch of its runs.
fn batch<T>(budget: Budget, ledger: &Path, with: impl FnOnce(&Study<'_>, &Batch<'_>) -> T) -> T {
    let stack: Arc<dyn Stack> = Arc::new(system::ImageStack);
    let review = Review::parse(SMALL.as_bytes(), "review.toml", stack.as_ref()).unwrap();
    let study = Study::new(&review, stack.as_ref()).unwrap();
    let stop = AtomicBool::new(false);
    let batch = Batch { stack: &stack, run: &review.run, budget, jobs: 2, ledger: Some(ledger), stop: &stop };
    with(&study, &batch)
}

/// Why the small review's runs failed, within this budget.
fn failures(budget: Budget, ledger: &Path) -> Vec<String> {
    batch(budget, ledger, |study, batch| {
        let runs: Runs = batch.run(&study.plans(), &Unseen).unwrap();
        study.answer(&runs).unwrap().failed
    })
}

#[test]
fn a_run_past_its_budget_is_cut_off_told_and_tried_again_by_the_next_review() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("runs.jsonl");
    for (budget, cut) in [
        (Budget { polls: 1_000, ..Budget::default() }, Cut::Polls),
        (Budget { wall: Duration::ZERO, ..Budget::default() }, Cut::Wall),
        (Budget { memory_bytes: 0, ..Budget::default() }, Cut::Memory),
    ] {
        let failed = failures(budget, &ledger);
        assert!(!failed.is_empty(), "{cut}");
        assert!(failed.iter().all(|why| why.ends_with(&cut.to_string())), "{failed:?}");
        let kept = std::fs::read_to_string(&ledger).unwrap();
        assert!(!kept.contains(&cut.to_string()), "a run without an outcome is not done");
    }
    assert_eq!(failures(Budget::default(), &ledger), Vec::<String>::new());
}

#[test]
fn a_second_review_on_the_same_store_is_refused_while_the_first_is_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("runs.jsonl");
    let held = std::fs::File::create(&ledger).unwrap();
    held.lock().unwrap();
    let refused = batch(Budget::default(), &ledger, |study, batch| {
        batch.run(&study.plans(), &Unseen).map(|_| ()).unwrap_err().to_string()
    });
    assert!(refused.starts_with("another hogwash reviews with") && refused.contains("--store"), "{refused}");
}

#[test]
fn runs_of_another_build_are_not_taken_for_ours() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("runs.jsonl");
    assert_eq!(failures(Budget::default(), &ledger), Vec::<String>::new());
    let text = std::fs::read_to_string(&ledger).unwrap();
    let (header, lines) = text.split_once('\n').unwrap();
    // Whatever these lines say, another build said it.
    let other = header.replace("\"program\":\"", "\"program\":\"0");
    std::fs::write(&ledger, format!("{other}\n{}", lines.replace("\"lost\":0", "\"lost\":7"))).unwrap();
    failures(Budget::default(), &ledger);
    assert_eq!(in_order(&std::fs::read_to_string(&ledger).unwrap()), in_order(&text));
}

/// Two threads keep runs in the order in which they end.
fn in_order(ledger: &str) -> BTreeSet<&str> {
    ledger.lines().collect()
}

/// A review of the binary with runs enough to be interrupted.
fn review(folder: &Path, store: &str) -> Command {
    let file = folder.join("long.toml");
    std::fs::write(&file, SMALL.replace("seeds = 2", "seeds = 4")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hogwash"));
    command.arg("review").arg(&file).args(["--jobs", "2", "--store", store, "--message-format", "json"]);
    command.current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The plans that the ledger in `store` has outcomes of.
fn in_ledger(store: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(ledger_of(store)).unwrap_or_default();
    // A line that is not written to its end is no run.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let plan = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["plan"].to_string();
    whole.lines().skip(1).map(plan).collect()
}

fn ledger_of(store: &Path) -> PathBuf {
    store.join("reviews/.runs.jsonl")
}

fn wait_for(child: &mut Child, mut condition: impl FnMut() -> bool) {
    while !condition() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What was printed, without the names of the store's folder.
fn said(output: &Output, store: &str) -> String {
    String::from_utf8(output.stdout.clone()).unwrap().replace(store, "STORE/")
}

#[test]
fn a_review_killed_and_interrupted_goes_on_without_loss_and_says_the_same_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let mut before = 0;
    for (at_least, signal) in [(2, "KILL"), (5, "INT"), (9, "KILL")] {
        let mut child = review(folder.path(), "store").spawn().unwrap();
        wait_for(&mut child, || in_ledger(&store).len() >= at_least);
        let id = child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let done = in_ledger(&store);
        assert!(done.len() >= at_least, "what was done stays done: {done:?}");
        if signal == "INT" {
            assert_eq!(output.status.code(), Some(130), "{output:?}");
            let errors = String::from_utf8(output.stderr).unwrap();
            assert!(errors.contains("the same command goes on from there"), "{errors}");
            assert!(errors.contains(&format!("{before} of them done before")), "{errors}");
            let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let failed = line["failed"].to_string();
            assert!(failed.contains("interrupted"), "what is missing is said: {failed}");
        }
        before = done.len();
    }
    let resumed = review(folder.path(), "store").output().unwrap();
    let done = in_ledger(&store);
    assert_eq!(done.iter().collect::<BTreeSet<_>>().len(), done.len(), "no run was made twice");
    let whole = review(folder.path(), "whole").output().unwrap();
    assert_eq!(whole.status.code(), resumed.status.code());
    assert!(said(&whole, "whole/") == said(&resumed, "store/"), "the same seeds, the same bytes");
    let page = |store: &str| {
        let page = std::fs::read_to_string(folder.path().join(store).join("reviews/small.html")).unwrap();
        page.replace(&format!("{store}/reviews"), "STORE/reviews")
    };
    assert!(page("store") == page("whole"), "and the same page");
}
