//! Laws watch a run while it is made, and read its history afterwards: the verdicts are the same.

use crate::kept;

use invariants::Verdict;
use scenarios::runner::{self, Options, RunReport, Until};
use sim::stack::Stack;
use std::sync::Arc;
use system::ImageStack;

#[test]
fn laws_say_the_same_of_a_stored_history_as_they_said_while_it_happened() {
    let store = tempfile::tempdir().unwrap();
    let run = kept::run(store.path(), &kept::plan());
    let laws = runner::check(&run.plan, run.events());
    assert_eq!(laws.len(), run.capsule.verdicts.len());
    for law in &laws {
        assert_eq!(Some(&law.finding.verdict), run.capsule.verdicts.get(law.law.name), "{}", law.law.name);
        assert_eq!(Some(&law.finding.exercised), run.capsule.exercised.get(law.law.name), "{}", law.law.name);
    }
    let afterwards =
        laws.iter().flat_map(|law| law.finding.violations.iter().map(|one| (one.at_ns, &one.evidence)));
    let online = run.capsule.violations.iter().map(|one| (one.at_ns, &one.evidence));
    assert_eq!(afterwards.collect::<Vec<_>>(), online.collect::<Vec<_>>());
    assert!(!run.capsule.violations.is_empty(), "acknowledged from memory, and the power was lost");
}

#[test]
fn a_run_ends_at_the_event_that_breaks_a_law_where_it_is_asked_to() {
    let stack: Arc<dyn Stack> = Arc::new(ImageStack);
    let mut plan = kept::plan();
    plan.expect.clear();
    let run = |until| runner::run(&plan, &stack, Options { until, ..Options::default() }).unwrap();
    let (whole, ended) = (run(Until::Ended), run(Until::AnyBroken));
    assert!(ended.cut_off.is_some() && ended.events < whole.events, "{} of {}", ended.events, whole.events);
    let first = |report: &RunReport| {
        let broken = report.broken();
        broken.into_iter().map(|broken| (broken.at_ns, broken.fingerprint)).min()
    };
    assert_eq!(first(&ended), first(&whole));
    let held = ended.laws.iter().filter(|law| law.finding.verdict == Verdict::Held);
    assert_eq!(held.count(), 0, "a run that was cut off says of no law that it held");
    // A violation that the plan expects ends nothing.
    let names = whole.laws.iter().map(|law| law.law.name.to_owned());
    plan.expect = names.map(|name| (name, "held | violated".to_owned())).collect();
    let expected =
        runner::run(&plan, &stack, Options { until: Until::AnyBroken, ..Options::default() }).unwrap();
    assert_eq!((expected.cut_off, expected.digest), (None, whole.digest));
}
