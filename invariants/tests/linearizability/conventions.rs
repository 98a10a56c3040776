//! What the checker promises beyond the verdict: conventions that have turned verdicts round elsewhere, limits, and
//! explanations that a person can read.

use hogwash_invariants::linearizability::models::{
    Counter, CounterCall, CounterReturn, Lock, LockCall, LockReturn, Queue, QueueCall, QueueReturn, Register,
    RegisterCall, RegisterReturn, Store, StoreCall, StoreReturn,
};
use hogwash_invariants::linearizability::{
    Checker, Effect, History, HistoryError, HistoryOf, Interval, Model, OperationId, Strategy, Verdict,
    Violation, check, validate,
};

const STRATEGIES: [Strategy; 4] =
    [Strategy::Portfolio, Strategy::JustInTime, Strategy::DepthFirst, Strategy::Plain];

/// All strategies agree on the verdict, and an order is accepted.
fn verdict<M: Model>(model: &M, history: &HistoryOf<M>) -> bool {
    let verdicts = STRATEGIES.map(|strategy| verdict_by(strategy, model, history));
    assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]), "{verdicts:?}");
    verdicts[0].expect("small histories are decided")
}

fn verdict_by<M: Model>(strategy: Strategy, model: &M, history: &HistoryOf<M>) -> Option<bool> {
    let verdict = Checker::new().strategy(strategy).check(model, history);
    if let Verdict::Linearizable { order } = &verdict {
        validate(model, history, order).unwrap_or_else(|error| panic!("{strategy:?}: {error}"));
    }
    verdict.is_linearizable()
}

fn written<T>(
    call: RegisterCall<T>,
    called_at: u64,
    returned_at: u64,
) -> Interval<RegisterCall<T>, RegisterReturn<T>> {
    Interval { call, returned: Some(RegisterReturn::Written), called_at, returned_at: Some(returned_at) }
}

fn read<T>(
    value: Option<T>,
    called_at: u64,
    returned_at: u64,
) -> Interval<RegisterCall<T>, RegisterReturn<T>> {
    let returned = Some(RegisterReturn::Value(value));
    Interval { call: RegisterCall::Read, returned, called_at, returned_at: Some(returned_at) }
}

#[test]
fn operations_that_touch_are_concurrent() {
    let touching = [written(RegisterCall::Write(1), 1, 2), read(None, 2, 3)];
    assert!(verdict(&Register::new(), &History::from_intervals(touching).unwrap()));
    let apart = [written(RegisterCall::Write(1), 1, 2), read(None, 3, 4)];
    assert!(!verdict(&Register::new(), &History::from_intervals(apart).unwrap()));
}

#[test]
fn the_initial_value_is_the_models_and_not_nil_by_itself() {
    let history = History::from_intervals([read(Some(0), 1, 2)]).unwrap();
    assert!(verdict(&Register::holding(0), &history));
    assert!(!verdict(&Register::new(), &history));
}

#[test]
fn a_read_of_nil_is_not_a_read_of_something_unknown() {
    let mut history = History::new();
    let write = history.call(RegisterCall::Write(1));
    history.returned(write, RegisterReturn::Written).unwrap();
    let read = history.call(RegisterCall::Read);
    let mut unknown = history.clone();
    history.returned(read, RegisterReturn::Value(None)).unwrap();
    assert!(!verdict(&Register::new(), &history));
    unknown.returned_something(read).unwrap();
    assert!(verdict(&Register::new(), &unknown));
}

#[test]
fn what_did_not_happen_cannot_explain_a_read_and_what_is_unknown_can() {
    let mut unknown = History::new();
    let write = unknown.call(RegisterCall::Write(1));
    let read = unknown.call(RegisterCall::Read);
    unknown.returned(read, RegisterReturn::Value(Some(1))).unwrap();
    assert!(verdict(&Register::new(), &unknown));
    let mut refused = unknown.clone();
    refused.did_not_happen(write).unwrap();
    assert!(!verdict(&Register::new(), &refused));
}

#[test]
fn taking_nothing_says_that_the_queue_was_empty() {
    let mut history = History::new();
    let enqueue = history.call(QueueCall::Enqueue('a'));
    history.returned(enqueue, QueueReturn::Enqueued).unwrap();
    let dequeue = history.call(QueueCall::Dequeue);
    history.returned(dequeue, QueueReturn::Dequeued(None)).unwrap();
    assert!(!verdict(&Queue::new(), &history));
}

#[test]
fn an_open_dequeue_excuses_one_lost_item_and_no_more() {
    for (lost, is_linearizable) in [(1, true), (2, false)] {
        let mut history = History::new();
        for item in 0..=lost {
            let enqueue = history.call(QueueCall::Enqueue(item));
            history.returned(enqueue, QueueReturn::Enqueued).unwrap();
        }
        history.call(QueueCall::Dequeue);
        let dequeue = history.call(QueueCall::Dequeue);
        history.returned(dequeue, QueueReturn::Dequeued(Some(lost))).unwrap();
        assert_eq!(verdict(&Queue::new(), &history), is_linearizable);
    }
}

/// The append that is called first returns first, but it may have been wiped out by the put. Only the second one can
/// be what both gets saw.
#[test]
fn an_append_that_a_put_wiped_out_leaves_room_for_an_equal_one() {
    let key = || "k".to_owned();
    let append = || StoreCall::Append { key: key(), value: "a".to_owned() };
    let mut history = History::new();
    let wiped = history.call(append());
    let put = history.call(StoreCall::Put { key: key(), value: "p".to_owned() });
    history.returned(put, StoreReturn::Done).unwrap();
    let seen = history.call(append());
    let first_get = history.call(StoreCall::Get { key: key() });
    history.returned(first_get, StoreReturn::Value("pa".to_owned())).unwrap();
    history.returned(wiped, StoreReturn::Done).unwrap();
    history.returned(seen, StoreReturn::Done).unwrap();
    let second_get = history.call(StoreCall::Get { key: key() });
    history.returned(second_get, StoreReturn::Value("pa".to_owned())).unwrap();
    assert!(verdict(&Store, &history));
}

#[test]
fn only_the_owner_releases_a_lock() {
    let mut history = History::new();
    let acquire = history.call(LockCall::Acquire("a"));
    history.returned(acquire, LockReturn::Done).unwrap();
    let release = history.call(LockCall::Release("b"));
    let mut refused = history.clone();
    history.returned(release, LockReturn::Done).unwrap();
    assert!(!verdict(&Lock::new(), &history));
    refused.returned(release, LockReturn::Refused).unwrap();
    assert!(verdict(&Lock::new(), &refused));
}

/// More operations under way than one or two machine words have bits.
#[test]
fn many_operations_under_way_are_no_obstacle() {
    for count in [60, 100, 200] {
        let mut history = History::new();
        let writes: Vec<_> = (0..count).map(|value| history.call(RegisterCall::Write(value % 10))).collect();
        let read = history.call(RegisterCall::Read);
        history.returned(read, RegisterReturn::Value(Some(7))).unwrap();
        for write in writes {
            history.returned(write, RegisterReturn::Written).unwrap();
        }
        let late = history.call(RegisterCall::Read);
        let mut wrong = history.clone();
        history.returned(late, RegisterReturn::Value(Some(8))).unwrap();
        let verdict = verdict_by(Strategy::Portfolio, &Register::new(), &history);
        assert_eq!(verdict, Some(true), "{count} writes");
        wrong.returned(late, RegisterReturn::Value(Some(10))).unwrap();
        let verdict = verdict_by(Strategy::Portfolio, &Register::new(), &wrong);
        assert_eq!(verdict, Some(false), "nobody wrote 10 among {count} writes");
    }
}

/// Each open write asks for something else, so each needs a counter of its own.
#[test]
fn many_kinds_of_operations_that_never_returned_are_no_obstacle() {
    for count in [20, 60, 200] {
        let mut history = History::new();
        for value in 0..count {
            history.call(RegisterCall::Write(value));
            history.call(RegisterCall::Write(value));
        }
        for value in (0..count).rev() {
            for _ in 0..2 {
                let read = history.call(RegisterCall::Read);
                history.returned(read, RegisterReturn::Value(Some(value))).unwrap();
            }
        }
        let verdict = verdict_by(Strategy::JustInTime, &Register::new(), &history);
        assert_eq!(verdict, Some(true), "{count} kinds");
        let read = history.call(RegisterCall::Read);
        history.returned(read, RegisterReturn::Value(Some(count))).unwrap();
        let verdict = verdict_by(Strategy::JustInTime, &Register::new(), &history);
        assert_eq!(verdict, Some(false), "{count} kinds");
    }
}

#[test]
fn a_budget_that_is_too_small_leaves_a_history_undecided() {
    let mut history = History::new();
    let adds: Vec<_> = (0..30).map(|amount| history.call(CounterCall::Add(1 << amount))).collect();
    let read = history.call(CounterCall::Read);
    history.returned(read, CounterReturn::Sum((1 << 30) - 2)).unwrap();
    for add in adds {
        history.returned(add, CounterReturn::Added).unwrap();
    }
    let late = history.call(CounterCall::Read);
    history.returned(late, CounterReturn::Sum(-1)).unwrap();
    let verdict = Checker::new().budget_steps(10_000).check(&Counter, &history);
    let Verdict::Undecided { steps } = verdict else { panic!("{verdict:?}") };
    assert!((10_000..20_000).contains(&steps), "{steps} steps of 10000");
}

#[test]
fn the_same_history_takes_the_same_steps() {
    let mut history = History::new();
    let adds: Vec<_> = (0..20).map(|amount| history.call(CounterCall::Add(amount))).collect();
    let read = history.call(CounterCall::Read);
    history.returned(read, CounterReturn::Sum(1_000)).unwrap();
    for add in adds {
        history.returned(add, CounterReturn::Added).unwrap();
    }
    let run = || Checker::new().budget_steps(50_000).check(&Counter, &history);
    assert_eq!(run(), run());
}

#[test]
fn a_stuck_search_names_the_prefix_and_the_states() {
    let mut history = History::new();
    let write = history.call(RegisterCall::Write(1));
    let lost = history.call(RegisterCall::Write(1));
    history.returned(write, RegisterReturn::Written).unwrap();
    let read = history.call(RegisterCall::Read);
    history.returned(read, RegisterReturn::Value(Some(2))).unwrap();
    let Verdict::Violated(violation) = check(&Register::new(), &history) else { panic!("nobody wrote 2") };
    assert_eq!(violation.operations(), [read]);
    assert_eq!(
        violation.describe(&history).to_string(),
        "operation #2 fits in no order (all that returned before it does, in an order of 1); just before, the state \
         could be Some(1)\n  #2 Read -> Value(Some(2)), called at event 3, returned at event 4"
    );
    assert_eq!(history.get(lost).unwrap().returned_at(), None);
}

#[test]
fn a_queue_pattern_reads_as_a_sentence() {
    let mut history = History::new();
    for item in ['a', 'b'] {
        let enqueue = history.call(QueueCall::Enqueue(item));
        history.returned(enqueue, QueueReturn::Enqueued).unwrap();
    }
    for item in ['b', 'a'] {
        let dequeue = history.call(QueueCall::Dequeue);
        history.returned(dequeue, QueueReturn::Dequeued(Some(item))).unwrap();
    }
    let Verdict::Violated(violation) = check(&Queue::new(), &history) else { panic!("it is out of order") };
    assert_eq!(
        violation.describe(&history).to_string(),
        "#0 had added its item before #1 was called to add another, but #2 had taken the second before #3 was called \
         to take the first
  #0 Enqueue('a') -> Enqueued, called at event 0, returned at event 1
  #1 Enqueue('b') -> Enqueued, called at event 2, returned at event 3
  #2 Dequeue -> Dequeued(Some('b')), called at event 4, returned at event 5
  #3 Dequeue -> Dequeued(Some('a')), called at event 6, returned at event 7"
    );
}

#[test]
fn the_longest_prefix_can_be_asked_for_where_a_pattern_was_found() {
    let mut history = History::new();
    let mut dequeues = Vec::new();
    for item in ['a', 'b'] {
        let enqueue = history.call(QueueCall::Enqueue(item));
        history.returned(enqueue, QueueReturn::Enqueued).unwrap();
    }
    assert_eq!(Checker::new().longest_prefix(&Queue::new(), &history), None);
    for item in ['a', 'a'] {
        let dequeue = history.call(QueueCall::Dequeue);
        history.returned(dequeue, QueueReturn::Dequeued(Some(item))).unwrap();
        dequeues.push(dequeue);
    }
    let Verdict::Violated(Violation::Queue(_)) = check(&Queue::new(), &history) else {
        panic!("taken twice")
    };
    let stuck = Checker::new().longest_prefix(&Queue::new(), &history).unwrap();
    assert_eq!((stuck.operation, stuck.prefix.len()), (dequeues[1], 3));
    assert_eq!(stuck.states, ["['b']"]);
}

#[test]
fn a_history_refuses_what_contradicts_it() {
    let mut history = History::<RegisterCall<u8>, RegisterReturn<u8>>::new();
    let stranger = OperationId::new(7);
    assert_eq!(history.returned_something(stranger), Err(HistoryError::NeverCalled(stranger)));
    let read = history.call(RegisterCall::Read);
    history.returned_something(read).unwrap();
    assert_eq!(history.returned_something(read), Err(HistoryError::EndedBefore(read)));
    assert_eq!(history.did_not_happen(read), Err(HistoryError::EndedBefore(read)));
    let backwards = [Interval {
        call: RegisterCall::<u8>::Read,
        returned: None::<RegisterReturn<u8>>,
        called_at: 2,
        returned_at: Some(1),
    }];
    assert_eq!(History::from_intervals(backwards), Err(HistoryError::Backwards(OperationId::new(0))));
}

#[test]
#[should_panic(expected = "says that")]
fn a_model_that_breaks_its_promise_is_told_so() {
    /// A toggle that passes for a read.
    struct Liar;
    impl Model for Liar {
        type Call = ();
        type Return = ();
        type State = bool;
        type Key = ();
        type Next = Option<bool>;

        fn initial(&self, (): &()) -> bool {
            false
        }

        fn key(&self, (): &()) {}

        fn step(&self, state: &bool, (): &(), _: Option<&()>) -> Option<bool> {
            Some(!state)
        }

        fn effect(&self, (): &(), _: Option<&()>) -> Effect {
            Effect::Observes
        }
    }
    let mut history = History::new();
    let toggle = history.call(());
    history.returned(toggle, ()).unwrap();
    check(&Liar, &history);
}

/// A dice that shows what it likes: models may have several next states.
#[test]
fn a_model_may_have_a_choice() {
    struct Dice;
    impl Model for Dice {
        type Call = Option<u8>;
        type Return = u8;
        type State = u8;
        type Key = ();
        type Next = Vec<u8>;

        fn initial(&self, (): &()) -> u8 {
            1
        }

        fn key(&self, _: &Option<u8>) {}

        /// Rolls to any value but the one given, or looks.
        fn step(&self, state: &u8, but: &Option<u8>, returned: Option<&u8>) -> Vec<u8> {
            match but {
                Some(but) => (1..=6).filter(|value| value != but).collect(),
                None => returned.is_none_or(|seen| seen == state).then_some(*state).into_iter().collect(),
            }
        }
    }
    for (seen, is_linearizable) in [(5, true), (6, false)] {
        let mut history = History::new();
        let roll = history.call(Some(6));
        history.returned_something(roll).unwrap();
        for _ in 0..2 {
            let look = history.call(None);
            history.returned(look, seen).unwrap();
        }
        assert_eq!(verdict(&Dice, &history), is_linearizable);
    }
}
