//! A first-in-first-out queue.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;

use crate::linearizability::fifo;
use crate::linearizability::model::{Effect, Model};
use crate::linearizability::partition::Partition;
use crate::linearizability::verdict::Decision;

/// A FIFO queue without bounds, empty at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue<Item> {
    item: PhantomData<Item>,
}

/// What a client asks of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueueCall<Item> {
    /// Add an item at the end.
    Enqueue(Item),
    /// Take the item at the front.
    Dequeue,
}

/// What a queue answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueueReturn<Item> {
    /// To an enqueue.
    Enqueued,
    /// To a dequeue: the item that was at the front, or nothing, which says that the queue was empty.
    Dequeued(Option<Item>),
}

impl<Item> Queue<Item> {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self { item: PhantomData }
    }
}

impl<Item> Default for Queue<Item> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Item: Clone + Debug + Eq + Hash> Model for Queue<Item> {
    type Call = QueueCall<Item>;
    type Return = QueueReturn<Item>;
    type State = VecDeque<Item>;
    type Key = ();
    type Next = Option<Self::State>;

    fn initial(&self, (): &()) -> Self::State {
        VecDeque::new()
    }

    fn key(&self, _: &Self::Call) {}

    fn step(&self, state: &Self::State, call: &Self::Call, returned: Option<&Self::Return>) -> Self::Next {
        let mut state = state.clone();
        match (call, returned) {
            (QueueCall::Enqueue(item), None | Some(QueueReturn::Enqueued)) => {
                state.push_back(item.clone());
                Some(state)
            }
            (QueueCall::Dequeue, None) => {
                state.pop_front();
                Some(state)
            }
            (QueueCall::Dequeue, Some(QueueReturn::Dequeued(item))) => {
                (state.pop_front() == *item).then_some(state)
            }
            _ => None,
        }
    }

    fn effect(&self, call: &Self::Call, returned: Option<&Self::Return>) -> Effect {
        match (call, returned) {
            (QueueCall::Dequeue, Some(QueueReturn::Dequeued(None))) => Effect::Observes,
            _ => Effect::Depends,
        }
    }

    fn shortcut(&self, partition: &Partition<'_, Self::Call, Self::Return>, _: u64) -> Option<Decision> {
        fifo::decide(partition)
    }
}
