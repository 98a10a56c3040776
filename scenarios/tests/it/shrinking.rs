//! Shrinking: smaller, the same violation, and nothing left for a second time.

use crate::support::{Journal, crowded_plan, journal_plan};
use hogwash_scenarios as scenarios;
use scenarios::explain::{ExplainOptions, explain};
use scenarios::shrink::{Event, ShrinkError, ShrinkOptions, Shrunk, save, shrink};
use scenarios::store::Store;
use sim::plan::Plan;
use sim::stack::Stack;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn shrink_it(plan: &Plan, options: &ShrinkOptions) -> Result<Shrunk, ShrinkError> {
    let stack: Arc<dyn Stack> = Arc::new(Journal);
    shrink(plan, &stack, options, &|_| {}, &AtomicBool::new(false))
}

fn median(mut numbers: Vec<usize>) -> usize {
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}

#[test]
fn most_faults_and_nearly_all_requests_go_and_the_violation_stays() {
    let (mut faults_gone, mut requests_gone) = (Vec::new(), Vec::new());
    for seed in 0..20 {
        let plan = crowded_plan(seed);
        let shrunk = shrink_it(&plan, &ShrinkOptions { jobs: 2, ..ShrinkOptions::default() }).unwrap();
        assert!(shrunk.complete && shrunk.runs <= 200, "seed {seed} took {} runs", shrunk.runs);
        assert!(shrunk.report.broken().iter().any(|one| one.fingerprint == shrunk.broken.fingerprint));
        faults_gone.push(100 - 100 * shrunk.after.faults / shrunk.before.faults);
        requests_gone.push(100 - 100 * shrunk.after.operations / shrunk.before.operations);
        assert!(shrunk.after.nodes <= 3, "{:?}", shrunk.plan.nodes);
    }
    assert!(median(faults_gone.clone()) >= 80, "{faults_gone:?}");
    assert!(median(requests_gone.clone()) >= 90, "{requests_gone:?}");
}

#[test]
fn a_second_shrink_changes_nothing_and_the_number_of_jobs_changes_nothing() {
    for seed in 0..4 {
        let once = shrink_it(&crowded_plan(seed), &ShrinkOptions::default()).unwrap();
        let twice = shrink_it(&once.plan, &ShrinkOptions::default()).unwrap();
        assert_eq!(twice.plan, once.plan, "seed {seed}");
        let wide = shrink_it(&crowded_plan(seed), &ShrinkOptions { jobs: 3, ..ShrinkOptions::default() });
        assert_eq!(wide.unwrap().plan, once.plan, "seed {seed}");
    }
}

#[test]
fn a_plan_that_holds_cannot_be_shrunk() {
    let error = shrink_it(&journal_plan(None, 0), &ShrinkOptions::default()).err().unwrap();
    assert!(matches!(error, ShrinkError::Held), "{error}");
    let options =
        ShrinkOptions { fingerprint: Some("delivery-00000000".to_owned()), ..ShrinkOptions::default() };
    let error = shrink_it(&crowded_plan(0), &options).err().unwrap().to_string();
    assert!(
        error.starts_with("this run does not break `delivery-00000000`; it breaks `delivery-"),
        "{error}"
    );
}

#[test]
fn few_runs_give_a_plan_that_still_fails_and_says_that_more_would_go() {
    let options = ShrinkOptions { runs_max: 5, ..ShrinkOptions::default() };
    let shrunk = shrink_it(&crowded_plan(1), &options).unwrap();
    assert!(!shrunk.complete && shrunk.runs <= 5);
    assert!(shrunk.report.broken().iter().any(|one| one.fingerprint == shrunk.broken.fingerprint));
}

#[test]
fn what_is_saved_is_read_and_fails_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("store"));
    let mut heard = 0;
    let stack: Arc<dyn Stack> = Arc::new(Journal);
    let told = std::cell::RefCell::new(Vec::new());
    let options = ShrinkOptions { store: Some(store.clone()), ..ShrinkOptions::default() };
    let shrunk = shrink(
        &crowded_plan(2),
        &stack,
        &options,
        &|event| {
            if let Event::Smaller { what, size, runs } = event {
                told.borrow_mut().push(((*what).to_owned(), *size, *runs));
            }
        },
        &AtomicBool::new(false),
    )
    .unwrap();
    for (_, size, _) in told.borrow().iter() {
        assert!(size.operations <= shrunk.before.operations && size.faults <= shrunk.before.faults);
        heard += 1;
    }
    assert!(heard > 3);
    let path = save(&shrunk, &folder.path().join("regressions")).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert_eq!(name, format!("journal-crowded-{}.toml", shrunk.broken.fingerprint));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# delivery: ") && text.contains("#   feed."), "{text}");
    let plan = scenarios::plan_file::read(text.as_bytes(), "saved.toml", &Journal).unwrap();
    assert_eq!(plan, shrunk.plan);
    let committed = scenarios::library::regressions(path.parent().unwrap(), &Journal).unwrap();
    assert_eq!(committed, [(path.display().to_string(), plan)]);
    assert!(scenarios::library::regressions(&folder.path().join("none"), &Journal).unwrap().is_empty());
    std::fs::write(path.with_file_name("old.toml"), text.replace("version = 1", "version = 0")).unwrap();
    let error = scenarios::library::regressions(path.parent().unwrap(), &Journal).unwrap_err().to_string();
    assert!(error.contains("this plan is of version 0"), "{error}");
    assert_eq!(store.runs().len(), 1);
}

#[test]
fn what_is_left_is_explained_by_its_faults_its_safeguards_and_its_last_chance() {
    let stack: Arc<dyn Stack> = Arc::new(Journal);
    let go = AtomicBool::new(false);
    let mut saved_some = 0;
    for seed in [0, 5, 6] {
        let shrunk = shrink_it(&crowded_plan(seed), &ShrinkOptions::default()).unwrap();
        let options = ExplainOptions { branches: 6, moments: 4, halvings: 3, ..ExplainOptions::default() };
        let explanation =
            explain(&shrunk.plan, &shrunk.broken, shrunk.verdict, &stack, &options, &go).unwrap();
        let [fault] = &explanation.faults[..] else { panic!("{:?}", explanation.faults) };
        assert!(
            fault.passes && fault.what.starts_with("client-") && fault.what.contains("loses power (power="),
            "{fault:?}"
        );
        let [safeguard] = &explanation.safeguards[..] else { panic!("{:?}", explanation.safeguards) };
        assert_eq!((safeguard.setting.as_str(), safeguard.default.as_str()), ("journal.durability", "disk"));
        assert!(safeguard.passes);
        let no_return = &explanation.no_return;
        assert!(no_return.tried.is_sorted_by_key(|moment| moment.at_ns));
        if let Some(at_ns) = no_return.at_ns {
            saved_some += 1;
            assert!(at_ns <= shrunk.plan.faults[0].start_ns, "what is gone is gone: {no_return:?}");
        }
        let again = explain(&shrunk.plan, &shrunk.broken, shrunk.verdict, &stack, &options, &go);
        assert_eq!(again.as_ref(), Some(&explanation), "the same question has the same answer");
    }
    assert!(saved_some > 0, "chance decides which unsynced sectors stay");
}
