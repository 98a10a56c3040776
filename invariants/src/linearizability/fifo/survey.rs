//! Who added and who took each item, and the search for the patterns.

use std::fmt::Debug;
use std::hash::Hash;

use super::Part;
use super::patterns::{Found, FoundCover};
use crate::linearizability::history::{Event, NEVER};
use crate::linearizability::intern::Interner;
use crate::linearizability::models::{QueueCall, QueueReturn};

/// No item, or no operation.
pub(super) const NONE: u32 = u32::MAX;

/// When one item was added and taken, and by which operations. What did not happen has position `NEVER`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) enqueue: u32,
    pub(super) enqueue_called: u32,
    pub(super) enqueue_returned: u32,
    pub(super) dequeue: u32,
    pub(super) dequeue_called: u32,
    pub(super) dequeue_returned: u32,
}

impl Item {
    const UNKNOWN: Self = Self {
        enqueue: NONE,
        enqueue_called: NEVER,
        enqueue_returned: NEVER,
        dequeue: NONE,
        dequeue_called: NEVER,
        dequeue_returned: NEVER,
    };

    fn is_taken(&self) -> bool {
        self.dequeue != NONE
    }
}

/// The history of a queue, item by item.
#[derive(Debug)]
pub(super) struct Survey<'p> {
    pub(super) events: &'p [Event],
    pub(super) items: Vec<Item>,
    /// The item that an operation added or took; `NONE` if it does not matter or took nothing.
    pub(super) item_of: Vec<u32>,
    /// Dequeues that answered "empty": operation, call and return, in the order of their returns.
    empties: Vec<Span>,
    /// Dequeues that never returned: operation and call, in the order of their calls.
    open_dequeues: Vec<(u32, u32)>,
    /// Items added for certain and not known to be taken, in the order of the returns of their enqueues.
    left: Vec<u32>,
}

/// An operation with the positions of its call and its return.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) operation: u32,
    called: u32,
    returned: u32,
}

/// A dequeue that answered "empty", and an event just after which the queue can have been so.
#[derive(Clone, Copy, Debug)]
pub(super) struct EmptyMoment {
    pub(super) dequeue: u32,
    pub(super) after: u32,
}

impl<'p> Survey<'p> {
    /// `None` when the history is not one that this check can decide.
    pub(super) fn new<T: Clone + Debug + Eq + Hash>(part: &'p Part<'_, T>) -> Option<Result<Self, Found>> {
        // The order doubles positions to make room between events.
        if part.events().len() > (u32::MAX / 2) as usize {
            return None;
        }
        let mut names = Interner::with_capacity(part.len() / 2);
        let mut survey = Self {
            events: part.events(),
            items: Vec::with_capacity(part.len() / 2),
            item_of: Vec::with_capacity(part.len()),
            empties: Vec::new(),
            open_dequeues: Vec::new(),
            left: Vec::new(),
        };
        let mut taken_twice = None;
        for index in 0..part.len() {
            let operation = part.operation(index);
            let number = u32::try_from(index).expect("an operation's number fits");
            let (called, returned) = (part.call_position(index), part.deadline(index));
            let name = match (operation.call(), operation.returned()) {
                (QueueCall::Enqueue(item), None | Some(QueueReturn::Enqueued)) => item,
                (QueueCall::Dequeue, Some(QueueReturn::Dequeued(Some(item)))) => item,
                (QueueCall::Dequeue, Some(QueueReturn::Dequeued(None))) => {
                    survey.empties.push(Span { operation: number, called, returned });
                    survey.item_of.push(NONE);
                    continue;
                }
                (QueueCall::Dequeue, None) if returned == NEVER => {
                    survey.open_dequeues.push((number, called));
                    survey.item_of.push(NONE);
                    continue;
                }
                _ => return None,
            };
            let item = names.number(name);
            if item as usize == survey.items.len() {
                survey.items.push(Item::UNKNOWN);
            }
            survey.item_of.push(item);
            let item = &mut survey.items[item as usize];
            if matches!(operation.call(), QueueCall::Enqueue(_)) {
                if item.enqueue != NONE {
                    return None;
                }
                (item.enqueue, item.enqueue_called, item.enqueue_returned) = (number, called, returned);
            } else if item.dequeue != NONE {
                taken_twice.get_or_insert(Found::TakenTwice { dequeues: [item.dequeue, number] });
            } else {
                (item.dequeue, item.dequeue_called, item.dequeue_returned) = (number, called, returned);
            }
        }
        Some(match taken_twice.or_else(|| survey.not_added()) {
            Some(found) => Err(found),
            None => Ok(survey.sorted()),
        })
    }

    fn not_added(&self) -> Option<Found> {
        self.items.iter().find_map(|item| {
            let (enqueue, dequeue) = (item.enqueue, item.dequeue);
            if enqueue == NONE {
                return Some(Found::NeverAdded { dequeue });
            }
            (item.dequeue_returned < item.enqueue_called)
                .then_some(Found::TakenBeforeAdded { enqueue, dequeue })
        })
    }

    fn sorted(mut self) -> Self {
        self.empties.sort_unstable_by_key(|empty| empty.returned);
        self.open_dequeues.sort_unstable_by_key(|(_, called)| *called);
        for (number, item) in (0..).zip(&self.items) {
            if item.is_taken() {
                continue;
            }
            if item.enqueue_returned == NEVER {
                self.item_of[item.enqueue as usize] = NONE;
            } else {
                self.left.push(number);
            }
        }
        self.left.sort_unstable_by_key(|item| self.items[*item as usize].enqueue_returned);
        self
    }

    /// The second pattern: among the items that had been added before this one was, the one taken last.
    pub(super) fn find_out_of_order(&self) -> Result<(), Found> {
        let mut last: Option<&Item> = None;
        for event in self.events {
            let item = self.item_of[event.operation()];
            if item == NONE {
                continue;
            }
            let item = &self.items[item as usize];
            if !item.is_taken() || item.enqueue as usize != event.operation() {
                continue;
            }
            let last_called = last.map_or(0, |last| last.dequeue_called);
            if event.is_return() {
                if item.dequeue_called > last_called {
                    last = Some(item);
                }
            } else if let Some(last) = last.filter(|_| item.dequeue_returned < last_called) {
                let enqueues = [last.enqueue, item.enqueue];
                return Err(Found::OutOfOrder { enqueues, dequeues: [item.dequeue, last.dequeue] });
            }
        }
        Ok(())
    }

    /// The third pattern. Returns how many of the left items must have been taken by open dequeues.
    pub(super) fn find_lost(&self) -> Result<usize, Found> {
        let mut unseen = self.left.len();
        // Backwards, so that the earliest return among the dequeues of later items is at hand.
        let mut next_taken: Option<&Item> = None;
        let mut deadlines = vec![None; self.left.len()];
        for event in self.events.iter().rev() {
            if unseen == 0 {
                break;
            }
            let item = self.item_of[event.operation()];
            if item == NONE {
                continue;
            }
            let number = item;
            let item = &self.items[number as usize];
            if item.enqueue as usize != event.operation() {
                continue;
            }
            if event.is_return() && !item.is_taken() {
                unseen -= 1;
                debug_assert_eq!(
                    self.left[unseen], number,
                    "left items are sorted by the returns of their enqueues"
                );
                deadlines[unseen] = next_taken;
            } else if !event.is_return()
                && item.is_taken()
                && next_taken.is_none_or(|next| item.dequeue_returned < next.dequeue_returned)
            {
                next_taken = Some(item);
            }
        }
        let due: Vec<&Item> = deadlines.into_iter().map_while(|deadline| deadline).collect();
        for (place, later) in due.iter().enumerate() {
            let open = self.open_dequeues.get(place);
            if open.is_none_or(|(_, called)| *called > later.dequeue_returned) {
                return Err(Found::Lost {
                    enqueues: self.enqueues_left(place + 1),
                    later: [later.enqueue, later.dequeue],
                    open_dequeues: self.open_dequeues[..place]
                        .iter()
                        .map(|(operation, _)| *operation)
                        .collect(),
                });
            }
        }
        Ok(due.len())
    }

    /// The fourth pattern. Returns a moment for each answer "empty".
    pub(super) fn find_not_empty(&self) -> Result<Vec<EmptyMoment>, Found> {
        let mut moments = Vec::with_capacity(self.empties.len());
        if self.empties.is_empty() {
            return Ok(moments);
        }
        let (mut inside, mut left, mut open) = (0_usize, 0_usize, 0_usize);
        let mut last_empty = None;
        let mut empties = self.empties.iter();
        for (position, event) in (0..).zip(self.events) {
            if self.empties.get(moments.len()).is_some_and(|empty| empty.returned == position) {
                let empty = empties.next().expect("there is one moment for each that came before");
                let Some(after) = last_empty.filter(|after| *after >= empty.called) else {
                    return Err(self.not_empty(*empty));
                };
                moments.push(EmptyMoment { dequeue: empty.operation, after });
            }
            let item = self.item_of[event.operation()];
            if item != NONE {
                let item = &self.items[item as usize];
                let is_added = event.is_return() && item.enqueue_returned == position;
                if item.enqueue_returned < item.dequeue_called {
                    left += usize::from(is_added && !item.is_taken());
                    inside += usize::from(is_added && item.is_taken());
                    inside -= usize::from(item.dequeue_called == position);
                }
            } else if self.open_dequeues.get(open).is_some_and(|(_, called)| *called == position) {
                open += 1;
            }
            if inside == 0 && left <= open {
                last_empty = Some(position);
            }
        }
        Ok(moments)
    }

    /// Gives left items to open dequeues: those that are due, and those that some answer "empty" wants away.
    pub(super) fn hand_out(&mut self, due: usize, moments: &[EmptyMoment]) {
        let last = moments.iter().map(|moment| moment.after).max();
        let is_away =
            |item: &u32| last.is_some_and(|after| self.items[*item as usize].enqueue_returned <= after);
        let away = self.left.partition_point(is_away);
        for (item, (dequeue, called)) in self.left.iter().zip(&self.open_dequeues).take(due.max(away)) {
            self.item_of[*dequeue as usize] = *item;
            let item = &mut self.items[*item as usize];
            (item.dequeue, item.dequeue_called) = (*dequeue, *called);
        }
    }

    fn enqueues_left(&self, count: usize) -> Vec<u32> {
        self.left[..count].iter().map(|item| self.items[*item as usize].enqueue).collect()
    }

    /// What kept the queue from being empty, moment by moment.
    fn not_empty(&self, empty: Span) -> Found {
        let mut covers = Vec::new();
        let mut after = empty.called;
        while after < empty.returned {
            let is_inside = |item: &&Item| {
                item.is_taken() && item.enqueue_returned <= after && after < item.dequeue_called
            };
            if let Some(item) = self.items.iter().filter(is_inside).max_by_key(|item| item.dequeue_called) {
                covers.push(FoundCover::Item { enqueue: item.enqueue, dequeue: item.dequeue });
                after = item.dequeue_called;
                continue;
            }
            let left = self.left.partition_point(|item| self.items[*item as usize].enqueue_returned <= after);
            let open = self.open_dequeues.partition_point(|(_, called)| *called <= after);
            // One more than could have been taken is enough to make the point.
            let enqueues = self.enqueues_left(left.min(open + 1));
            let open_dequeues = self.open_dequeues[..open].iter().map(|(operation, _)| *operation).collect();
            covers.push(FoundCover::Left { enqueues, open_dequeues });
            // It stays so until another open dequeue is called.
            after = self.open_dequeues.get(open).map_or(NEVER, |(_, called)| *called);
        }
        Found::NotEmpty { dequeue: empty.operation, covers }
    }
}
