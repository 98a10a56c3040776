//! Runs, the store and replays.

use crate::support::{Journal, journal_plan};
use hogwash_scenarios as scenarios;
use invariants::Verdict;
use scenarios::expectation::Judgement;
use scenarios::replay::{self, Comparison};
use scenarios::runner::{self, Options, RunReport};
use scenarios::store::Store;
use sim::plan::Plan;
use sim::stack::Stack;
use std::sync::Arc;

fn stack() -> Arc<dyn Stack> {
    Arc::new(Journal)
}

fn run(plan: &Plan, store: Option<&Store>) -> RunReport {
    runner::run(plan, &stack(), Options { store, ..Options::default() }).unwrap()
}

fn delivery(report: &RunReport) -> (Verdict, Judgement) {
    let law = report.laws.iter().find(|law| law.law.name == "delivery").unwrap();
    (law.finding.verdict, law.judgement)
}

#[test]
fn what_is_synced_survives_a_loss_of_power_and_what_is_not_does_not() {
    for seed in 0..5 {
        assert_eq!(delivery(&run(&journal_plan(None, seed), None)), (Verdict::Held, Judgement::Expected));
    }
    let mut violated = 0;
    for seed in 0..5 {
        let report = run(&journal_plan(Some("unsafe"), seed), None);
        let broken = report.broken();
        violated += usize::from(delivery(&report) == (Verdict::Violated, Judgement::Expected));
        assert!(broken.iter().all(|one| one.fingerprint.starts_with("delivery-")), "{broken:?}");
    }
    assert!(violated > 0, "no seed of five lost anything");
}

#[test]
fn a_run_is_kept_with_all_that_a_replay_needs() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("store"));
    let plan = journal_plan(Some("unsafe"), 1);
    let report = run(&plan, Some(&store));
    let stored = report.stored.clone().unwrap();
    assert_eq!(stored.name(), format!("journal-power-unsafe-seed1-{}", &report.digest[..8]));
    assert_eq!(stored.plan(&Journal).unwrap(), plan);
    let capsule = stored.capsule().unwrap();
    assert_eq!(capsule, report.capsule());
    assert!(!capsule.provenance.toolchain.is_empty());
    let events =
        sim::history::read(&stored.history().unwrap()).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(events.len() as u64, report.events);
    assert_eq!(store.runs(), std::slice::from_ref(&stored));
    for name in ["latest", "journal-power", &stored.name(), stored.folder.to_str().unwrap()] {
        assert_eq!(store.find(name).unwrap().name(), stored.name(), "{name}");
    }
    assert!(store.find("nothing").unwrap_err().to_string().contains("there is no stored run `nothing`"));
    let mut left = store.folder().read_dir().unwrap().map(|entry| entry.unwrap().file_name());
    assert!(
        !left.any(|name| name.to_string_lossy().starts_with(".partial")),
        "nothing partial is left behind"
    );
}

#[test]
fn laws_say_the_same_of_a_stored_history_as_they_said_while_it_happened() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    for (variant, seed) in [(None, 0), (None, 1), (Some("unsafe"), 0), (Some("unsafe"), 1)] {
        let plan = journal_plan(variant, seed);
        let online = run(&plan, Some(&store));
        let history = online.stored.as_ref().unwrap().history().unwrap();
        let events = sim::history::read(&history).unwrap().map(Result::unwrap);
        let afterwards = runner::check(&plan, events);
        assert_eq!(online.laws.len(), afterwards.len());
        for (one, other) in online.laws.iter().zip(&afterwards) {
            assert_eq!((one.law.name, &one.finding), (other.law.name, &other.finding), "{variant:?} {seed}");
        }
    }
}

#[test]
fn a_replay_gives_the_same_digest() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let report = run(&journal_plan(None, 2), Some(&store));
    let stored = report.stored.unwrap();
    for path in [stored.folder.to_str().unwrap(), stored.plan_path().to_str().unwrap(), "latest"] {
        let recorded = replay::find(path, &store, &Journal).unwrap();
        let replayed = replay::replay(&recorded, &stack(), &store).unwrap();
        assert_eq!(replayed.comparison, Comparison::Same, "{path}");
        assert_eq!(replayed.report.digest, report.digest);
        assert!(replayed.changed.is_empty());
    }
}

#[test]
fn an_edited_plan_is_another_run_with_nothing_to_compare() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let stored = run(&journal_plan(None, 2), Some(&store)).stored.unwrap();
    let text = std::fs::read_to_string(stored.plan_path()).unwrap().replace("seed = 2", "seed = 3");
    std::fs::write(stored.plan_path(), text).unwrap();
    let recorded = replay::find(stored.plan_path().to_str().unwrap(), &store, &Journal).unwrap();
    let replayed = replay::replay(&recorded, &stack(), &store).unwrap();
    assert_eq!(replayed.comparison, Comparison::Nothing);
}

#[test]
fn a_leak_of_nondeterminism_is_caught_and_its_first_event_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let mut plan = journal_plan(None, 2);
    plan.settings.insert("journal.leak".to_owned(), "true".to_owned());
    let stored = run(&plan, Some(&store)).stored.unwrap();
    let recorded = replay::find(&stored.name(), &store, &Journal).unwrap();
    let replayed = replay::replay(&recorded, &stack(), &store).unwrap();
    let Comparison::Different { recorded: digest, first: Some(first) } = replayed.comparison else {
        panic!("the leak went unnoticed")
    };
    assert_eq!(digest, stored.capsule().unwrap().digest);
    let lines = [first.first, first.second].map(|event| replay::line(&event.unwrap(), &plan));
    assert!(lines.iter().all(|line| line.contains("client-1 note text=leak ")), "{lines:?}");
    assert_ne!(lines[0], lines[1]);
}

#[test]
fn a_capsule_of_another_version_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let stored = run(&journal_plan(None, 4), Some(&store)).stored.unwrap();
    let path = stored.folder.join("result.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"v\": 1", "\"v\": 2")).unwrap();
    let error = stored.capsule().unwrap_err().to_string();
    assert!(error.contains("it is of version 2, this hogwash reads 1: replay its plan"), "{error}");
    std::fs::write(&path, "{}").unwrap();
    assert!(stored.capsule().unwrap_err().to_string().contains("it is of no version"));
}

#[test]
fn a_store_that_cannot_be_written_is_an_error_not_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").unwrap();
    let store = Store::new(&file);
    let options = Options { store: Some(&store), ..Options::default() };
    let error = runner::run(&journal_plan(None, 0), &stack(), options).err().unwrap().to_string();
    assert!(error.starts_with("cannot write `"), "{error}");
}
