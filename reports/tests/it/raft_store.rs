//! The example on `openraft`: one seed, one history, though what it is built of draws by generators that no seed governs.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

#[expect(dead_code, reason = "its main is the example's")]
#[path = "../../examples/raft_store/main.rs"]
mod example;

use example::RaftStore;
use scenarios::runner::Options;
use scenarios::{library, planner, runner};
use sim::stack::Stack;
use std::sync::Arc;

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/raft-store.toml");

/// The digest of the scenario's run with `seed`.
fn digest(seed: u64) -> String {
    let stack: Arc<dyn Stack> = Arc::new(RaftStore);
    let scenario = library::find(SCENARIO, stack.as_ref()).unwrap();
    let plan = planner::plan(&scenario, stack.as_ref(), None, seed, &[]).unwrap();
    runner::run(&plan, &stack, Options::default()).unwrap().digest
}

#[test]
fn a_seed_has_one_history_alone_after_others_and_beside_others() {
    let alone: Vec<_> = [3, 4].map(digest).to_vec();
    (0..3).map(digest).for_each(drop);
    assert_eq!([3, 4].map(digest).to_vec(), alone);
    let beside: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|index| scope.spawn(move || digest(3 + index % 2))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(beside, [&alone[..], &alone[..]].concat());
}

#[test]
fn the_raft_store_holds() {
    hogwash::test::holds(RaftStore, SCENARIO, 10);
}

/// Why the example never answers openraft with `Unreachable`, nor calls its `wait`: there it takes whichever branch tokio draws.
/// Were this test to fail, tokio's draws would be governed by the seed at last, and both could be used.
#[test]
fn which_branch_of_an_unbiased_select_is_tried_first_is_not_the_seeds_to_say() {
    let draws = || {
        sim::world::alone(7, async {
            let mut drawn = 0_u64;
            for place in 0..64 {
                let one = std::future::ready(1);
                let other = std::future::ready(0);
                // In parentheses, since in braces the house rules refuse it.
                drawn |= tokio::select!(bit = one => bit, bit = other => bit) << place;
            }
            drawn
        })
    };
    assert_ne!(draws(), draws(), "equal by chance once in 2^64 times");
}

#[test]
fn a_stale_answer_is_found_where_anyone_may_answer() {
    let stack: Arc<dyn Stack> = Arc::new(RaftStore);
    let scenario = library::find(SCENARIO, stack.as_ref()).unwrap();
    let plan = planner::plan(&scenario, stack.as_ref(), Some("reads-from-anyone"), 1, &[]).unwrap();
    let report = runner::run(&plan, &stack, Options::default()).unwrap();
    let reads = report.laws.iter().find(|law| law.law.name == "reads").unwrap();
    assert!(!reads.finding.violations.is_empty(), "{}", reads.finding.verdict);
}
