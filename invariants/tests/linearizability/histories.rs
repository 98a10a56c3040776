//! Every public history gets the verdict that its author published.

use hogwash_invariants::linearizability::{Checker, Strategy, Verdict};

use crate::nh;

/// Giving up is no answer where Porcupine needs less than this.
const GIVING_UP_ALLOWED_FROM_NS: u64 = 10_000_000_000;

#[test]
fn every_public_history_gets_its_known_verdict() {
    let Some(folder) = nh::folder() else { return };
    let manifest = nh::manifest(&folder);
    let mut wrong = Vec::new();
    let mut undecided = Vec::new();
    for known in &manifest {
        let recorded = nh::read(&folder.join(&known.file));
        match recorded.check(Checker::new()) {
            Err(error) => wrong.push(format!("{}: the order is not accepted: {error}", known.file)),
            Ok(Verdict::Undecided { steps }) => {
                undecided.push(format!("{} after {steps} steps", known.file));
                if known.porcupine_ns.is_some_and(|time_ns| time_ns < GIVING_UP_ALLOWED_FROM_NS) {
                    wrong.push(format!("{}: gave up", known.file));
                }
            }
            Ok(verdict) if verdict.is_linearizable() != Some(known.is_linearizable) => {
                wrong.push(format!("{}: {verdict:?}", known.file));
            }
            Ok(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), manifest.len(), wrong.join("\n"));
    assert!(!manifest.is_empty(), "the manifest in `{}` is empty", folder.display());
    println!("{} histories agree; undecided: {undecided:?}", manifest.len());
}

/// The shortcuts hide the searches from most histories, so each search has to show that it agrees wherever it
/// decides within a small budget.
#[test]
fn each_search_alone_never_contradicts_a_known_verdict() {
    let Some(folder) = nh::folder() else { return };
    for strategy in [Strategy::JustInTime, Strategy::DepthFirst, Strategy::Plain] {
        let checker = Checker::new().strategy(strategy).budget_steps(20_000);
        let mut decided = 0;
        let manifest = nh::manifest(&folder);
        for known in &manifest {
            let verdict = nh::read(&folder.join(&known.file)).check(checker);
            let verdict = verdict.unwrap_or_else(|error| panic!("{strategy:?}, {}: {error}", known.file));
            if let Some(is_linearizable) = verdict.is_linearizable() {
                assert_eq!(is_linearizable, known.is_linearizable, "{strategy:?}, {}", known.file);
                decided += 1;
            }
        }
        println!("{strategy:?} decides {decided} of {}", manifest.len());
        assert!(decided * 2 > manifest.len(), "{strategy:?} decides only {decided} of {}", manifest.len());
    }
}
