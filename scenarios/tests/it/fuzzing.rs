//! Batches: complete, shared out, resumed, and never ended by one bad run.

use crate::support::{CROWDED, JOURNAL, Journal, journal_plan};
use hogwash_scenarios as scenarios;
use scenarios::fuzz::{Batch, Event, Events, RunResult, Shard, Summary, Target, fuzz, merge, seed_of_commit};
use scenarios::guarded::{Budget, Cut};
use scenarios::scenario::Scenario;
use scenarios::store::Store;
use sim::stack::Stack;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn batch(variants: &[Option<&str>], seeds: u64) -> Batch {
    let scenario = Scenario::parse(JOURNAL.as_bytes(), "journal.toml", &Journal).unwrap();
    let target =
        |variant: &Option<&str>| Target { scenario: scenario.clone(), variant: variant.map(str::to_owned) };
    Batch {
        targets: variants.iter().map(target).collect(),
        regressions: Vec::new(),
        base: 0,
        seeds,
        shard: Shard::default(),
        guide: false,
        overrides: Vec::new(),
        jobs: 2,
        time_limit: None,
        budget: Budget::default(),
        twice: false,
        store: None,
    }
}

/// The file of the only batch in `store` that ends so.
fn of_batch(store: &Path, extension: &str) -> PathBuf {
    let mut files = store.join(".fuzz").read_dir().unwrap().map(|file| file.unwrap().path());
    files.find(|path| path.extension().is_some_and(|of| of == extension)).unwrap()
}

/// Keeps what happens in few words, and stops the batch after some runs.
#[derive(Default)]
struct Heard {
    words: Mutex<Vec<String>>,
    stop: AtomicBool,
    stop_after: Option<usize>,
}

impl Heard {
    fn ended(&self) -> Vec<String> {
        self.words.lock().unwrap().iter().filter(|word| word.starts_with("ended")).cloned().collect()
    }
}

impl Events for Heard {
    fn event(&self, event: &Event<'_>) {
        let word = match event {
            Event::Begun { runs, done, .. } => format!("begun {runs} {done}"),
            Event::Ended { run, .. } => {
                format!("ended {}/{}", run.variant.as_deref().unwrap_or("base"), run.seed)
            }
            Event::New { broken, stored, .. } => format!("new {} {}", broken.fingerprint, stored.is_some()),
            Event::Trouble { message, .. } => format!("trouble {message}"),
        };
        self.words.lock().unwrap().push(word);
        if self.stop_after.is_some_and(|count| self.ended().len() >= count) {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// What does not differ from one time to the next.
fn timeless(summary: Summary) -> Summary {
    Summary { wall_ns: 0, ..summary }
}

fn run(batch: &Batch, heard: &Heard) -> Summary {
    let stack: Arc<dyn Stack> = Arc::new(Journal);
    fuzz(batch, &stack, heard, &heard.stop).unwrap()
}

#[test]
fn a_batch_runs_every_scenario_with_every_seed_and_tells_violations_apart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let batch = Batch { store: Some(store.clone()), ..batch(&[None, Some("unsafe")], 10) };
    let heard = Heard::default();
    let summary = run(&batch, &heard);
    assert_eq!((summary.runs, summary.violated, summary.held), (20, 0, 20));
    assert!(summary.expected > 0 && summary.missing.is_empty());
    assert_eq!(heard.ended().iter().collect::<BTreeSet<_>>().len(), 20, "each once");
    for distinct in &summary.distinct {
        assert!(distinct.expected && distinct.runs > 0);
        let plan = std::fs::read(distinct.plan.as_ref().unwrap()).unwrap();
        let plan = scenarios::plan_file::read(&plan, "plan.toml", &Journal).unwrap();
        assert_eq!(plan.seed, distinct.first.seed);
    }
    // One that was kept before an earlier run of the batch showed the same may be left.
    let firsts = summary.distinct.iter().map(|one| one.first.seed).collect::<BTreeSet<_>>().len();
    assert!(store.runs().len() >= firsts);
}

#[test]
fn an_expected_violation_that_no_seed_shows_is_missed() {
    let summary = run(&batch(&[Some("unsafe")], 0), &Heard::default());
    assert_eq!((summary.runs, summary.missing.len()), (0, 0));
    // Where power fails before anything is written, nothing is lost.
    let mut batch = batch(&[Some("unsafe")], 3);
    batch.targets[0].scenario.faults.clear();
    let summary = run(&batch, &Heard::default());
    assert_eq!(summary.missing, [("journal/power --variant unsafe".to_owned(), "delivery".to_owned())]);
}

#[test]
fn shards_together_run_each_seed_once() {
    let mut seen = Vec::new();
    for part in ["1/3", "2/3", "3/3"] {
        let batch = Batch { shard: part.parse().unwrap(), ..batch(&[None], 7) };
        let heard = Heard::default();
        assert_eq!(run(&batch, &heard).runs, batch.runs());
        seen.extend(heard.ended());
    }
    seen.sort();
    assert_eq!(seen, (0..7).map(|seed| format!("ended base/{seed}")).collect::<Vec<_>>());
    for wrong in ["0/3", "4/3", "1", "a/b", "1/0"] {
        assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
    }
}

#[test]
fn a_batch_that_was_stopped_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let batch =
        Batch { store: Some(Store::new(folder.path())), jobs: 1, ..batch(&[None, Some("unsafe")], 6) };
    let first = Heard { stop_after: Some(4), ..Heard::default() };
    let half = run(&batch, &first);
    assert!(half.interrupted && half.runs == 4, "{half:?}");
    // As if it was killed in the middle of a line.
    let ledger = of_batch(folder.path(), "jsonl");
    let mut text = std::fs::read_to_string(&ledger).unwrap();
    text.truncate(text.len() - 20);
    std::fs::write(&ledger, text).unwrap();
    let second = Heard::default();
    let whole = run(&batch, &second);
    assert_eq!(second.words.lock().unwrap()[0], "begun 12 3");
    assert_eq!((whole.runs, second.ended().len()), (12, 9));
    let uninterrupted = run(&Batch { jobs: 2, ..batch }, &Heard::default());
    assert_eq!(timeless(uninterrupted), timeless(whole));
}

#[test]
fn shards_merged_say_what_one_batch_says() {
    let folder = tempfile::tempdir().unwrap();
    let store = |name: &str| Store::new(folder.path().join(name));
    let of = |store: &Store, shard: &str| Batch {
        store: Some(store.clone()),
        shard: shard.parse().unwrap(),
        regressions: vec![("regressions/lost.toml".to_owned(), journal_plan(Some("unsafe"), 9))],
        ..batch(&[None, Some("unsafe")], 10)
    };
    let alone = store("alone");
    let whole = run(&of(&alone, "1/1"), &Heard::default());
    let merged = merge(std::slice::from_ref(&alone), None, false).unwrap();
    assert_eq!(timeless(merged.summary), timeless(whole.clone()));
    let shards = ["1/3", "2/3", "3/3"].map(|shard| (shard, store(&shard.replace('/', "-of-"))));
    for (shard, store) in &shards {
        run(&of(store, shard), &Heard::default());
    }
    let stores: Vec<Store> = shards.iter().map(|(_, store)| store.clone()).collect();
    let merged = merge(&stores, None, false).unwrap();
    assert_eq!(merged.shards.iter().map(|(_, there, _)| there).collect::<Vec<_>>(), [&7, &7, &7]);
    let mut summary = merged.summary.clone();
    for (one, other) in summary.distinct.iter_mut().zip(&whole.distinct) {
        let plan = std::fs::read(one.plan.as_ref().unwrap()).unwrap();
        assert_eq!(plan, std::fs::read(other.plan.as_ref().unwrap()).unwrap(), "the same run is kept");
        one.plan.clone_from(&other.plan);
    }
    assert_eq!(timeless(summary), timeless(whole));

    let missing = merge(&stores[..2], None, false).unwrap_err().to_string();
    assert_eq!(
        missing,
        "7 of 21 runs are missing: shard 3/3 has 0 of 7; add or finish these shards, or give `--partial`"
    );
    let partial = merge(&stores[..2], None, true).unwrap();
    assert_eq!((partial.summary.runs, partial.missing), (14, 7));
    let twice = merge(&[&stores[..], &stores[..1]].concat(), None, false).unwrap_err().to_string();
    assert!(twice.starts_with("shard 1/3 is there twice: in `"), "{twice}");
    let several = merge(&[&stores[..], &[alone]].concat(), None, false).unwrap_err().to_string();
    assert!(several.starts_with("these stores hold 2 batches; name one with `--batch`: "), "{several}");
    let nothing = merge(&[store("none")], None, false).unwrap_err().to_string();
    assert!(nothing.starts_with("cannot read `"), "{nothing}");
}

/// The plan of each run that a guided batch says it made, by its place among all.
fn digests(store: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(of_batch(store, "jsonl")).unwrap();
    let entries = text.lines().skip(1).map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    entries.map(|entry| format!("{} {}", entry["place"], entry["result"]["ended"]["plan-digest"])).collect()
}

#[test]
fn a_guided_batch_makes_the_same_plans_with_any_number_of_jobs_and_when_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let guided = |name: &str, jobs: usize| {
        let store = Some(Store::new(folder.path().join(name)));
        let scenario = Scenario::parse(CROWDED.as_bytes(), "crowded.toml", &Journal).unwrap();
        let targets = vec![Target { scenario, variant: None }];
        Batch { guide: true, store, jobs, targets, ..batch(&[], 90) }
    };
    let one = timeless(run(&guided("one", 1), &Heard::default()));
    assert!(one.guided > 10 && one.guided < 70 && one.situations > 5, "{one:?}");
    let three = timeless(run(&guided("three", 3), &Heard::default()));
    let stopped = Heard { stop_after: Some(50), ..Heard::default() };
    assert!(run(&guided("stopped", 2), &stopped).interrupted);
    let resumed = timeless(run(&guided("stopped", 2), &Heard::default()));
    let of = |name: &str| digests(&folder.path().join(name));
    assert_eq!(of("one"), of("three"));
    assert_eq!(of("one"), of("stopped"));
    assert_eq!((&one.marks, one.situations, one.guided), (&three.marks, three.situations, three.guided));
    assert_eq!(
        (&one.marks, one.situations, one.guided),
        (&resumed.marks, resumed.situations, resumed.guided)
    );
}

#[test]
fn a_ledger_that_holds_a_run_twice_is_not_merged() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    run(&Batch { store: Some(store.clone()), ..batch(&[None], 3) }, &Heard::default());
    let ledger = of_batch(folder.path(), "jsonl");
    let text = std::fs::read_to_string(&ledger).unwrap();
    let last = text.lines().last().unwrap();
    std::fs::write(&ledger, format!("{text}{last}\n")).unwrap();
    let error = merge(&[store], None, false).unwrap_err().to_string();
    assert!(error.contains("is damaged: run "), "{error}");
}

#[test]
fn a_batch_that_another_process_is_at_work_on_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let batch = Batch { store: Some(Store::new(folder.path())), ..batch(&[None], 2) };
    let first = Heard { stop_after: Some(1), ..Heard::default() };
    run(&Batch { jobs: 1, store: batch.store.clone(), ..self::batch(&[None], 2) }, &first);
    let held = std::fs::File::open(of_batch(folder.path(), "lock")).unwrap();
    held.lock().unwrap();
    let stack: Arc<dyn Stack> = Arc::new(Journal);
    let error = fuzz(&batch, &stack, &Heard::default(), &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.contains("another hogwash is at work on this batch"), "{error}");
    drop(held);
    assert_eq!(run(&batch, &Heard::default()).runs, 2);
}

#[test]
fn what_a_killed_process_left_half_kept_is_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let left = |name: &str| {
        let left = folder.path().join(name);
        std::fs::create_dir_all(&left).unwrap();
        std::fs::write(left.join(".lock"), "").unwrap();
        left
    };
    let (dead, alive) = (left(".partial-0"), left(".partial-1"));
    let lock = std::fs::File::open(alive.join(".lock")).unwrap();
    lock.lock().unwrap();
    run(&Batch { store: Some(Store::new(folder.path())), ..batch(&[None], 1) }, &Heard::default());
    assert!(!dead.exists() && alive.exists());
}

#[test]
fn committed_regressions_run_first() {
    let mut batch = batch(&[None], 2);
    batch.regressions.push(("regressions/lost.toml".to_owned(), journal_plan(Some("unsafe"), 9)));
    batch.jobs = 1;
    let heard = Heard::default();
    assert_eq!(run(&batch, &heard).runs, 3);
    assert_eq!(heard.ended(), ["ended unsafe/9", "ended base/0", "ended base/1"]);
}

#[test]
fn an_endless_batch_ends_with_its_time() {
    let batch = Batch { time_limit: Some(Duration::ZERO), ..batch(&[None], u64::MAX) };
    let summary = run(&batch, &Heard::default());
    assert!(summary.timed_out && summary.runs == 0);
}

#[test]
fn a_leak_of_nondeterminism_is_found_by_running_twice() {
    let mut batch = Batch { twice: true, ..batch(&[None], 2) };
    batch.overrides.push(("journal.leak".to_owned(), "true".to_owned()));
    let summary = run(&batch, &Heard::default());
    assert_eq!(summary.not_deterministic, 2);
    assert!(summary.troubles[0].1.starts_with("not deterministic: digest "), "{:?}", summary.troubles);
}

#[test]
fn a_violation_whose_run_cannot_be_repeated_stands_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Some(Store::new(folder.path()));
    let mut batch = Batch { store, jobs: 1, ..batch(&[Some("unsafe")], 6) };
    let heard = Heard::default();
    let violated = run(&Batch { store: None, jobs: 1, ..self::batch(&[Some("unsafe")], 6) }, &heard).expected;
    assert!(violated > 1, "{violated}");
    batch.overrides.push(("journal.leak".to_owned(), "true".to_owned()));
    let heard = Heard::default();
    let summary = run(&batch, &heard);
    assert_eq!((summary.not_deterministic, summary.distinct), (violated, Vec::new()));
    assert!(!heard.words.lock().unwrap().iter().any(|word| word.starts_with("new")));
}

#[test]
fn one_run_that_spins_loops_or_breaks_hogwash_never_ends_the_batch() {
    let budget = Budget { wall: Duration::from_secs(20), polls: 100_000, ..Budget::default() };
    let mut batch = Batch { budget, ..batch(&[None], 2) };
    batch.overrides.push(("journal.spin".to_owned(), "true".to_owned()));
    let summary = run(&batch, &Heard::default());
    assert_eq!((summary.runs, summary.cut_off), (2, 2));
    let cut = serde_json::to_string(&RunResult::CutOff(Cut::Polls)).unwrap();
    assert_eq!(cut, r#"{"cut-off":"polls"}"#);
    assert!(summary.troubles.iter().all(|(_, message)| *message == Cut::Polls.to_string()));
}

#[test]
fn a_commit_is_a_seed() {
    assert_eq!(seed_of_commit("25e3389cafe0123456789abcdef"), Ok(0x25e3_389c_afe0_1234));
    assert!(seed_of_commit("main").is_err());
    assert!(seed_of_commit("25e3389").is_err());
}
