//! Every way to decide a small history gives the verdict of brute force, for each model.

use hogwash_invariants::linearizability::models::{
    Counter, Lock, Queue, Register, RegisterCall, Registers, Store, StoreCall, StoreReturn,
};
use hogwash_invariants::linearizability::{
    Checker, History, HistoryOf, Interval, Model, OperationId, Strategy as Searches, Stuck, Verdict,
    Violation, validate,
};
use proptest::prelude::*;

use crate::random::{self, Object, StoreOf, Texts};

/// Small enough for brute force.
const OPERATIONS_MAX: usize = 7;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn searches_agree_with_brute_force_on_registers(bytes in bytes()) {
        agree(&Register::<u8>::new(), &bytes)?;
        agree(&Register::holding(1_u8), &bytes)?;
    }

    #[test]
    fn searches_agree_with_brute_force_on_registers_with_unique_writes(bytes in bytes()) {
        agree(&Register::<u16>::new(), &bytes)?;
    }

    #[test]
    fn searches_agree_with_brute_force_on_stores(bytes in bytes()) {
        agree(&StoreOf(Texts::ToldApart), &bytes)?;
        agree(&StoreOf(Texts::Alike), &bytes)?;
    }

    #[test]
    fn searches_agree_with_brute_force_on_queues_of_unique_items(bytes in bytes()) {
        agree(&Queue::<u8>::new(), &bytes)?;
    }

    #[test]
    fn searches_agree_with_brute_force_on_queues_of_equal_items(bytes in bytes()) {
        agree(&Queue::<i8>::new(), &bytes)?;
    }

    #[test]
    fn searches_agree_with_brute_force_on_locks_counters_and_transactions(bytes in bytes()) {
        agree(&Lock::<u8>::new(), &bytes)?;
        agree(&Counter, &bytes)?;
        agree(&Registers::holding(Some(0_u8)), &bytes)?;
    }

    #[test]
    fn a_queue_pattern_is_wrong_without_the_rest_of_the_history(bytes in bytes()) {
        let queue = Queue::<u8>::new();
        let history = random::history(&queue, &bytes, 12);
        if let Verdict::Violated(violation @ Violation::Queue(_)) = Checker::new().check(&queue, &history) {
            let named = violation.operations();
            let alone = relaxed(&history, |id, _| if named.contains(&id) { Keep::AsItIs } else { Keep::Nothing });
            prop_assert_eq!(plain(&queue, &alone), Some(false), "{}", violation.describe(&history));
        }
    }

    #[test]
    fn a_chain_pattern_is_wrong_whenever_the_other_writes_happened(bytes in bytes()) {
        let register = Register::<u16>::new();
        let is_update = |call: &RegisterCall<u16>| !matches!(call, RegisterCall::Read);
        chain_pattern_is_wrong(&register, &random::history(&register, &bytes, 10), is_update)?;
        let store = StoreOf(Texts::ToldApart);
        let is_update = |call: &StoreCall| !matches!(call, StoreCall::Get { .. });
        chain_pattern_is_wrong(&store, &random::history(&store, &bytes, 10), is_update)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Larger histories, for which the plain search stands in for brute force.
    #[test]
    fn larger_histories_get_the_verdict_of_the_plain_search(bytes in prop::collection::vec(any::<u8>(), 150..400)) {
        agree_with_plain(&Register::<u8>::new(), &bytes)?;
        agree_with_plain(&Register::<u16>::new(), &bytes)?;
        agree_with_plain(&StoreOf(Texts::ToldApart), &bytes)?;
        agree_with_plain(&StoreOf(Texts::Alike), &bytes)?;
        agree_with_plain(&Queue::<u8>::new(), &bytes)?;
        agree_with_plain(&Lock::<u8>::new(), &bytes)?;
    }
}

/// Found by the property above: the append comes first, then the put, and then all is as the gets saw it.
#[test]
fn a_put_that_never_returned_can_wipe_out_an_append_though_it_leaves_the_text_as_it_was() {
    let key = || "x".to_owned();
    let append = |value: &str| StoreCall::Append { key: key(), value: value.to_owned() };
    let operation =
        |call, returned, called_at, returned_at| Interval { call, returned, called_at, returned_at };
    let get = |called_at| {
        let value = StoreReturn::Value("b".to_owned());
        operation(StoreCall::Get { key: key() }, Some(value), called_at, Some(called_at + 1))
    };
    let history = History::from_intervals(vec![
        operation(append("a"), Some(StoreReturn::Done), 1, Some(10)),
        operation(StoreCall::Put { key: key(), value: String::new() }, None, 2, None),
        operation(append("b"), Some(StoreReturn::Done), 3, Some(4)),
        get(5),
        get(11),
    ]);
    let history = history.expect("time goes on");
    for searches in [Searches::Portfolio, Searches::JustInTime, Searches::DepthFirst, Searches::Plain] {
        let verdict = Checker::new().strategy(searches).check(&Store, &history);
        assert_eq!(verdict.is_linearizable(), Some(true), "{searches:?} says {verdict:?}");
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 20..120)
}

fn agree<M: Object>(model: &M, bytes: &[u8]) -> Result<(), TestCaseError> {
    let history = random::history(model, bytes, OPERATIONS_MAX);
    let expected = brute_force(model, &history);
    let mut stuck_at = None;
    for searches in [Searches::Portfolio, Searches::JustInTime, Searches::DepthFirst, Searches::Plain] {
        let verdict = Checker::new().strategy(searches).check(model, &history);
        let context = format!("{searches:?} says {verdict:?} of {history:#?}");
        prop_assert_eq!(verdict.is_linearizable(), Some(expected), "{}", context);
        match verdict {
            Verdict::Linearizable { order } => {
                prop_assert_eq!(validate(model, &history, &order), Ok(()), "{}", context);
            }
            Verdict::Violated(Violation::Stuck(stuck)) => {
                prefix_is_explained(model, &history, &stuck)?;
                // A shortcut sees states differently, and parts may fail in another order.
                if searches != Searches::Portfolio {
                    let operation = *stuck_at.get_or_insert(stuck.operation);
                    prop_assert_eq!(stuck.operation, operation, "{}", context);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn agree_with_plain<M: Object>(model: &M, bytes: &[u8]) -> Result<(), TestCaseError> {
    let history = random::history(model, bytes, 40);
    let checker = Checker::new().budget_steps(4_000);
    let expected = checker.strategy(Searches::Plain).check(model, &history);
    for searches in [Searches::Portfolio, Searches::JustInTime, Searches::DepthFirst] {
        let verdict = checker.strategy(searches).check(model, &history);
        if let (Some(one), Some(other)) = (verdict.is_linearizable(), expected.is_linearizable()) {
            prop_assert_eq!(one, other, "{:?} says {:?} of {:#?}", searches, verdict, history);
        }
        if let Verdict::Linearizable { order } = &verdict {
            prop_assert_eq!(validate(model, &history, order), Ok(()), "{:?} of {:#?}", searches, history);
        }
    }
    Ok(())
}

/// All that returned before the operation that cannot be placed is in the prefix, which is itself in order.
fn prefix_is_explained<M: Model>(
    model: &M,
    history: &HistoryOf<M>,
    stuck: &Stuck,
) -> Result<(), TestCaseError> {
    let key = model.key(history.operations()[stuck.operation.index()].call());
    let end = history.operations()[stuck.operation.index()].returned_at();
    let before = relaxed(history, |_, operation| {
        if model.key(operation.call()) != key || Some(operation.called_at()) > end {
            Keep::Nothing
        } else if operation.returned_at().is_none_or(|returned_at| Some(returned_at) >= end) {
            Keep::Open
        } else {
            Keep::AsItIs
        }
    });
    prop_assert_eq!(validate(model, &before, &stuck.prefix), Ok(()), "{:?} of {:#?}", stuck, history);
    Ok(())
}

fn chain_pattern_is_wrong<M: Model>(
    model: &M,
    history: &HistoryOf<M>,
    is_update: impl Fn(&M::Call) -> bool,
) -> Result<(), TestCaseError> {
    if let Verdict::Violated(violation @ Violation::Chain(_)) = Checker::new().check(model, history) {
        let named = violation.operations();
        let rest = relaxed(history, |id, operation| match () {
            () if named.contains(&id) => Keep::AsItIs,
            () if is_update(operation.call()) => Keep::Open,
            () => Keep::Nothing,
        });
        prop_assert_eq!(plain(model, &rest), Some(false), "{}\n{:#?}", violation.describe(history), history);
    }
    Ok(())
}

enum Keep {
    AsItIs,
    Open,
    Nothing,
}

/// A history of which less is known. Identifiers stay the same.
fn relaxed<Call: Clone, Return: Clone>(
    history: &History<Call, Return>,
    keep: impl Fn(OperationId, &hogwash_invariants::linearizability::Operation<Call, Return>) -> Keep,
) -> History<Call, Return> {
    let mut dropped = Vec::new();
    let intervals = history.operations().iter().enumerate().map(|(index, operation)| {
        let id = OperationId::new(index);
        let keep = keep(id, operation);
        if matches!(keep, Keep::Nothing) {
            dropped.push(id);
        }
        let is_kept = matches!(keep, Keep::AsItIs);
        Interval {
            call: operation.call().clone(),
            returned: operation.returned().filter(|_| is_kept).cloned(),
            called_at: operation.called_at() as u64,
            returned_at: operation.returned_at().filter(|_| is_kept).map(|position| position as u64),
        }
    });
    let mut relaxed = History::from_intervals(intervals.collect::<Vec<_>>()).expect("time goes on");
    for id in dropped {
        relaxed.did_not_happen(id).expect("it never returned");
    }
    relaxed
}

fn plain<M: Model>(model: &M, history: &HistoryOf<M>) -> Option<bool> {
    Checker::new().strategy(Searches::Plain).check(model, history).is_linearizable()
}

/// Tries all orders.
fn brute_force<M: Model>(model: &M, history: &HistoryOf<M>) -> bool {
    let mut objects: Vec<(M::Key, Vec<usize>)> = Vec::new();
    for (index, operation) in history.operations().iter().enumerate().filter(|(_, it)| it.happened()) {
        let key = model.key(operation.call());
        match objects.iter_mut().find(|(other, _)| *other == key) {
            Some((_, members)) => members.push(index),
            None => objects.push((key, vec![index])),
        }
    }
    objects.iter().all(|(key, members)| extends(model, history, &model.initial(key), members))
}

/// Whether the operations `left` can follow one another, beginning in `state`.
fn extends<M: Model>(model: &M, history: &HistoryOf<M>, state: &M::State, left: &[usize]) -> bool {
    let operations = history.operations();
    let first_return = left.iter().filter_map(|index| operations[*index].returned_at()).min();
    if first_return.is_none() {
        return true;
    }
    left.iter().any(|next| {
        let operation = &operations[*next];
        let rest: Vec<usize> = left.iter().copied().filter(|index| index != next).collect();
        Some(operation.called_at()) < first_return
            && model
                .step(state, operation.call(), operation.returned())
                .into_iter()
                .any(|state| extends(model, history, &state, &rest))
    })
}
