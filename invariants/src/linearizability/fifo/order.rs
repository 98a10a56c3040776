//! An order for a history that shows none of the patterns.
//!
//! Give each item x two intervals: A(x), in which it is added, from the call of `enq(x)` to its return, or to that
//! of `deq(x)` if that is earlier; and T(x), in which it is taken, from the call of `deq(x)` to its return. An item
//! that stays has T(x) after all else. An answer "empty" counts as an item whose two intervals are the one moment that
//! was found for it. Item x must come before item y when A(x) ends before A(y) begins, or T(x) ends before T(y)
//! begins.
//!
//! *Two items never must precede each other*: for two real ones that is the second or the third pattern (or the
//! first, when the end of an A is that of a T); for a real one and an "empty", the item would cover that moment, or
//! be taken before it was added. *Then longer cycles do not exist either*: steps of one kind in a row can be joined,
//! so a shortest cycle alternates, as in "x before y by A, y before z by T, z before w by A, w before x by T". Of two
//! pairs of intervals that are each apart, the first of one pair is apart from the second of the other (A(x) ends
//! before A(w) begins, or A(z) before A(y)), and that makes a shorter cycle.
//!
//! So the items have an order, and any such order works: add each at the latest begin of an A so far, take it at
//! the latest begin of an A or T so far. Both moments lie before the end of its own A and T, or the item that began
//! later would have had to come later. At the moment of an "empty", all before it are taken and none behind it is
//! added.

use super::survey::{EmptyMoment, Item, NONE, Survey};
use crate::linearizability::history::NEVER;

const CAN_ADD: u8 = 1;
const CAN_TAKE: u8 = 2;
const DONE: u8 = 4;

/// The operations in an order that explains the history.
pub(super) fn build(survey: &Survey<'_>, moments: &[EmptyMoment]) -> Vec<u32> {
    let bounds = Bounds::new(survey, moments);
    let sequence = bounds.sequence(survey.items.len() + moments.len());
    interleaved(survey, moments, &sequence)
}

/// The ends of the intervals A and T in the order of time, with the items they belong to. Numbers past the real
/// items stand for the moments.
#[derive(Debug, Default)]
struct Bounds {
    add_begins: Vec<(u32, u32)>,
    add_ends: Vec<(u32, u32)>,
    take_begins: Vec<(u32, u32)>,
    take_ends: Vec<(u32, u32)>,
}

impl Bounds {
    fn new(survey: &Survey<'_>, moments: &[EmptyMoment]) -> Self {
        let count = survey.items.len() + moments.len();
        let mut bounds = Self {
            add_begins: Vec::with_capacity(count),
            add_ends: Vec::with_capacity(count),
            take_begins: Vec::with_capacity(count),
            take_ends: Vec::with_capacity(count),
        };
        let mut moment = 0;
        for (position, event) in (0..).zip(survey.events) {
            let number = survey.item_of[event.operation()];
            if number != NONE {
                let item = &survey.items[number as usize];
                bounds.add_event(position, number, item);
            }
            while moments.get(moment).is_some_and(|moment| moment.after == position) {
                let bound = (between(position), narrow(survey.items.len() + moment));
                bounds.add_begins.push(bound);
                bounds.add_ends.push(bound);
                bounds.take_begins.push(bound);
                bounds.take_ends.push(bound);
                moment += 1;
            }
        }
        for (number, item) in (0..).zip(&survey.items) {
            if item.dequeue == NONE && item.enqueue_returned != NEVER {
                bounds.take_begins.push((NEVER, number));
            }
        }
        bounds
    }

    fn add_event(&mut self, position: u32, number: u32, item: &Item) {
        let bound = (at(position), number);
        if position == item.enqueue_called {
            self.add_begins.push(bound);
        }
        if position == item.enqueue_returned.min(item.dequeue_returned) {
            self.add_ends.push(bound);
        }
        if position == item.dequeue_called {
            self.take_begins.push(bound);
        }
        if position == item.dequeue_returned {
            self.take_ends.push(bound);
        }
    }

    /// Items one by one, each when no remaining one must come before it.
    fn sequence(&self, numbers: usize) -> Vec<u32> {
        let mut conditions = vec![0_u8; numbers];
        let mut sequence = Vec::with_capacity(self.add_begins.len());
        let (mut adds, mut add_end, mut takes, mut take_end) = (0, 0, 0, 0);
        let mut done = 0;
        loop {
            let add_limit = first_end(&self.add_ends, &mut add_end, &conditions);
            allow(&self.add_begins, &mut adds, add_limit, (CAN_ADD, &mut conditions, &mut sequence));
            let take_limit = first_end(&self.take_ends, &mut take_end, &conditions);
            allow(&self.take_begins, &mut takes, take_limit, (CAN_TAKE, &mut conditions, &mut sequence));
            let Some(item) = sequence.get(done) else { break };
            conditions[*item as usize] |= DONE;
            done += 1;
        }
        assert_eq!(sequence.len(), self.add_begins.len(), "items without a bad pattern have an order");
        sequence
    }
}

/// The end of the first interval that is not done with.
fn first_end(ends: &[(u32, u32)], place: &mut usize, conditions: &[u8]) -> u32 {
    while let Some((end, item)) = ends.get(*place) {
        if conditions[*item as usize] & DONE == 0 {
            return *end;
        }
        *place += 1;
    }
    NEVER
}

/// Marks the items whose interval begins by `limit`, and appends those for which that was the last condition.
fn allow(begins: &[(u32, u32)], place: &mut usize, limit: u32, target: (u8, &mut [u8], &mut Vec<u32>)) {
    let (condition, conditions, sequence) = target;
    while let Some((begin, item)) = begins.get(*place).filter(|(begin, _)| *begin <= limit) {
        debug_assert!(*begin <= limit, "later begins wait");
        let item_conditions = &mut conditions[*item as usize];
        *item_conditions |= condition;
        if *item_conditions == CAN_ADD | CAN_TAKE {
            sequence.push(*item);
        }
        *place += 1;
    }
}

/// The operations on a sequence of items, by the moments at which they take effect.
fn interleaved(survey: &Survey<'_>, moments: &[EmptyMoment], sequence: &[u32]) -> Vec<u32> {
    let mut order = Vec::with_capacity(survey.item_of.len());
    let mut added_at = Vec::with_capacity(sequence.len());
    let (mut added, mut taken) = (0, 0);
    let mut next_taken = 0;
    let take_before =
        |limit: u32, added_at: &[u32], next_taken: &mut usize, taken: &mut u32, order: &mut Vec<u32>| {
            while let Some(moment) = added_at.get(*next_taken) {
                let item = survey.items.get(sequence[*next_taken] as usize);
                let Some(item) = item.filter(|item| item.dequeue != NONE) else { break };
                let begin = (*moment).max(at(item.dequeue_called)).max(*taken);
                if begin > limit {
                    break;
                }
                *taken = begin;
                order.push(item.dequeue);
                *next_taken += 1;
            }
        };
    for number in sequence {
        let Some(item) = survey.items.get(*number as usize) else {
            let moment = moments[*number as usize - survey.items.len()];
            take_before(NEVER, &added_at, &mut next_taken, &mut taken, &mut order);
            order.push(moment.dequeue);
            next_taken += 1;
            added = added.max(between(moment.after));
            added_at.push(added);
            continue;
        };
        added = added.max(at(item.enqueue_called));
        take_before(added, &added_at, &mut next_taken, &mut taken, &mut order);
        order.push(item.enqueue);
        added_at.push(added);
    }
    take_before(NEVER, &added_at, &mut next_taken, &mut taken, &mut order);
    order
}

/// Positions are doubled, which leaves room for moments between them.
fn at(position: u32) -> u32 {
    if position == NEVER { NEVER } else { position * 2 }
}

fn between(position: u32) -> u32 {
    position * 2 + 1
}

fn narrow(index: usize) -> u32 {
    u32::try_from(index).expect("there are fewer than 2^32 items")
}
