use super::*;
use crate::history::WORLD;
use crate::rng::Stream;

/// A trace of draws and notes: `a` draws from the stream `a`, `!text` notes.
fn trace(words: &[&str]) -> Vec<u8> {
    begin();
    let task = task(NodeIndex(3), || "here".to_owned());
    let before = enter(task);
    let mut at_ns = 0;
    for word in words {
        match word.strip_prefix('!') {
            Some(text) => {
                at_ns += 1;
                event(&Event { at_ns, node: NodeIndex(3), fact: Fact::Note { text: text.to_owned() } });
            }
            None => drop(Stream::named(1, word).next_u64()),
        }
    }
    enter(before);
    end().expect("it was begun")
}

fn parts(one: &[&str], other: &[&str]) -> Option<Parting> {
    parting(&trace(one), &trace(other)).expect("both are traces")
}

#[test]
fn equal_runs_do_not_part() {
    assert_eq!(parts(&["a", "!one", "b"], &["a", "!one", "b"]), None);
    assert_eq!(parts(&[], &[]), None);
}

#[test]
fn an_event_that_differs_is_told_with_its_task_and_the_draws_before_it() {
    let parting = parts(&["a", "!one", "b", "c", "!two"], &["a", "!one", "b", "c", "!three"]).unwrap();
    assert!(parting.is_of_histories() && parting.chance.is_none());
    assert_eq!((parting.equal, parting.before.unwrap().at_ns), (1, 1));
    for (side, text) in parting.sides.iter().zip(["two", "three"]) {
        let event = side.event.as_ref().unwrap();
        assert_eq!(event.fact, Fact::Note { text: text.to_owned() });
        let task = side.task.as_ref().unwrap();
        assert_eq!((task.node, task.number, task.origin.as_str()), (NodeIndex(3), 1, "here"));
        assert_eq!(side.draws.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a #1", "b #1", "c #1"]);
    }
}

#[test]
fn chance_that_parts_before_the_histories_is_told_first() {
    let parting = parts(&["a", "!one", "b", "!two"], &["a", "!one", "c", "d", "!three"]).unwrap();
    let chance = parting.chance.clone().unwrap();
    assert_eq!(chance.after_events, 1);
    assert_eq!(chance.draws.map(|draw| draw.unwrap().to_string()), ["b #1", "c #1"]);
    assert!(parting.is_of_histories());
    assert_eq!(parting.sides[1].draws.last().unwrap().to_string(), "d #1");
}

#[test]
fn a_draw_too_many_is_told_where_the_other_run_went_on_to_an_event() {
    let parting = parts(&["!one", "!two"], &["a", "!one", "!three"]).unwrap();
    let chance = parting.chance.clone().unwrap();
    assert_eq!(chance.draws.map(|draw| draw.map(|draw| draw.to_string())), [None, Some("a #1".to_owned())]);
    assert_eq!(parting.equal, 1, "the event that was waited for is compared");
}

#[test]
fn chance_that_parts_without_a_trace_in_the_history_is_told_too() {
    let parting = parts(&["a", "!one"], &["b", "!one"]).unwrap();
    assert!(!parting.is_of_histories());
    assert_eq!(parting.equal, 1);
}

#[test]
fn a_history_that_ends_early_parts_at_its_end() {
    let parting = parts(&["!one"], &["!one", "!two"]).unwrap();
    assert_eq!((parting.equal, &parting.sides[0].event), (1, &None));
    assert!(parting.sides[1].event.is_some());
}

#[test]
fn bytes_that_are_no_trace_are_refused() {
    assert!(parting(&[9], &[]).is_err());
    assert!(parting(&[tag::DRAW, 1, 1, 1], &[]).is_err());
    let whole = trace(&["a", "!one"]);
    assert!(parting(&whole[..whole.len() - 1], &[]).is_err() || whole.is_empty());
}

#[test]
fn where_nothing_is_traced_nothing_is_kept() {
    assert_eq!(stream("a"), 0);
    assert_eq!(task(WORLD, || unreachable!("nobody asks")), 0);
    assert_eq!(end(), None);
}
