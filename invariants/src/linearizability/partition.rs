//! The part of a history that concerns one object. Linearizability is local (Herlihy and Wing 1990): a history is
//! linearizable when the part of each object is, so each part is checked alone.

use std::collections::BTreeMap;

use super::history::{Event, History, HistoryOf, NEVER, Operation, OperationId};
use super::model::Model;

/// The operations on one object, numbered from zero in the order of their identifiers.
#[derive(Clone, Debug)]
pub struct Partition<'h, Call, Return> {
    history: &'h History<Call, Return>,
    /// `None` when all operations of the history are on this object, so that all numbers are those of the history.
    selection: Option<Selection>,
}

/// Some of the operations of a history.
#[derive(Clone, Debug, Default)]
struct Selection {
    members: Vec<OperationId>,
    events: Vec<Event>,
    called: Vec<u32>,
    returned: Vec<u32>,
}

impl<'h, Call, Return> Partition<'h, Call, Return> {
    /// The number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.selection.as_ref().map_or(self.history.len(), |selection| selection.members.len())
    }

    /// Whether there is no operation at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The operation with number `index` in this part.
    #[must_use]
    pub fn operation(&self, index: usize) -> &'h Operation<Call, Return> {
        &self.history.operations()[self.id(index).index()]
    }

    /// The identifier, in the whole history, of the operation with number `index` in this part.
    #[must_use]
    pub fn id(&self, index: usize) -> OperationId {
        self.selection.as_ref().map_or_else(|| OperationId::new(index), |selection| selection.members[index])
    }

    /// Calls and returns in the order in which they happened, with the numbers of this part.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        self.selection.as_ref().map_or_else(|| self.history.events(), |selection| &selection.events)
    }

    /// The position among [`events`](Self::events) of the call of operation `index`.
    #[must_use]
    pub fn called(&self, index: usize) -> usize {
        self.call_position(index) as usize
    }

    /// The position among [`events`](Self::events) of the return of operation `index`, if it returned.
    #[must_use]
    pub fn returned(&self, index: usize) -> Option<usize> {
        let deadline = self.deadline(index);
        (deadline != NEVER).then_some(deadline as usize)
    }

    /// The same with `u32::MAX` for an operation that never returned: later than all others.
    pub(crate) fn deadline(&self, index: usize) -> u32 {
        match &self.selection {
            Some(selection) => selection.returned[index],
            None => self.history.operations()[index].deadline(),
        }
    }

    pub(crate) fn call_position(&self, index: usize) -> u32 {
        match &self.selection {
            Some(selection) => selection.called[index],
            None => self.history.operations()[index].call_position(),
        }
    }
}

impl Selection {
    fn push(&mut self, event: Event, local: u32) {
        let position = narrow(self.events.len());
        if event.is_return() {
            self.returned[local as usize] = position;
            self.events.push(Event::return_of(local));
        } else {
            self.called[local as usize] = position;
            self.events.push(Event::call(local));
        }
    }

    fn add_member(&mut self, operation: OperationId) -> u32 {
        let local = narrow(self.members.len());
        self.members.push(operation);
        self.called.push(NEVER);
        self.returned.push(NEVER);
        local
    }
}

/// Each object with its part of a history.
type Parts<'h, M> = Vec<(<M as Model>::Key, Partition<'h, <M as Model>::Call, <M as Model>::Return>)>;

/// Splits a history by the keys of its operations, leaving out those that did not happen.
pub(crate) fn partitions<'h, M: Model>(model: &M, history: &'h HistoryOf<M>) -> Parts<'h, M> {
    if let Some(first) = history.operations().first() {
        let key = model.key(first.call());
        if history.operations().iter().all(|it| it.happened() && model.key(it.call()) == key) {
            return vec![(key, Partition { history, selection: None })];
        }
    }
    let parts = selections(model, history).into_iter();
    parts.map(|(key, selection)| (key, Partition { history, selection: Some(selection) })).collect()
}

fn selections<M: Model>(model: &M, history: &HistoryOf<M>) -> Vec<(M::Key, Selection)> {
    let mut part_of_key: BTreeMap<M::Key, usize> = BTreeMap::new();
    let mut parts: Vec<(M::Key, Selection)> = Vec::new();
    let mut place: Vec<(u32, u32)> = Vec::with_capacity(history.len());
    for (index, operation) in history.operations().iter().enumerate() {
        if !operation.happened() {
            place.push((NEVER, NEVER));
            continue;
        }
        let key = model.key(operation.call());
        let part = *part_of_key.entry(key).or_insert_with_key(|key| {
            parts.push((key.clone(), Selection::default()));
            parts.len() - 1
        });
        place.push((narrow(part), parts[part].1.add_member(OperationId::new(index))));
    }
    for (_, part) in &mut parts {
        part.events.reserve_exact(2 * part.members.len());
    }
    for event in history.events() {
        let (part, local) = place[event.operation()];
        if part != NEVER {
            parts[part as usize].1.push(*event, local);
        }
    }
    parts
}

fn narrow(index: usize) -> u32 {
    u32::try_from(index).expect("a history holds fewer than 2^31 operations")
}
