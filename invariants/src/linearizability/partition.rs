//! The part of a history that concerns one object. Linearizability is local (Herlihy and Wing 1990): a history is
//! linearizable when the part of each object is, so each part is checked alone.

use std::collections::BTreeMap;

use super::history::{Event, History, HistoryOf, NEVER, Operation, OperationId};
use super::model::Model;

/// The operations on one object, numbered from zero in the order of their identifiers.
#[derive(Clone, Debug)]
pub struct Partition<'h, Call, Return> {
    history: &'h History<Call, Return>,
    members: Vec<OperationId>,
    events: Vec<Event>,
    called: Vec<u32>,
    returned: Vec<u32>,
}

impl<'h, Call, Return> Partition<'h, Call, Return> {
    /// The number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no operation at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The operation with number `index` in this part.
    #[must_use]
    pub fn operation(&self, index: usize) -> &'h Operation<Call, Return> {
        &self.history.operations()[self.members[index].index()]
    }

    /// The identifier, in the whole history, of the operation with number `index` in this part.
    #[must_use]
    pub fn id(&self, index: usize) -> OperationId {
        self.members[index]
    }

    /// Calls and returns in the order in which they happened, with the numbers of this part.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The position among [`events`](Self::events) of the call of operation `index`.
    #[must_use]
    pub fn called(&self, index: usize) -> usize {
        self.called[index] as usize
    }

    /// The position among [`events`](Self::events) of the return of operation `index`, if it returned.
    #[must_use]
    pub fn returned(&self, index: usize) -> Option<usize> {
        (self.returned[index] != NEVER).then_some(self.returned[index] as usize)
    }

    /// The same with `u32::MAX` for an operation that never returned: later than all others.
    pub(crate) fn deadline(&self, index: usize) -> u32 {
        self.returned[index]
    }

    pub(crate) fn call_position(&self, index: usize) -> u32 {
        self.called[index]
    }

    fn new(history: &'h History<Call, Return>) -> Self {
        Self { history, members: Vec::new(), events: Vec::new(), called: Vec::new(), returned: Vec::new() }
    }

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

    /// Takes all events of a history that concerns one object only, where all numbers stay as they are.
    fn take_all(&mut self, history: &History<Call, Return>) {
        self.events.extend_from_slice(history.events());
        for (index, operation) in history.operations().iter().enumerate() {
            self.called[index] = narrow(operation.called_at());
            self.returned[index] = operation.returned_at().map_or(NEVER, narrow);
        }
    }

    fn add_member(&mut self, operation: OperationId) -> u32 {
        let local = OperationId::new(self.members.len());
        self.members.push(operation);
        self.called.push(NEVER);
        self.returned.push(NEVER);
        narrow(local.index())
    }
}

/// Each object with its part of a history.
type Parts<'h, M> = Vec<(<M as Model>::Key, Partition<'h, <M as Model>::Call, <M as Model>::Return>)>;

/// Splits a history by the keys of its operations, leaving out those that did not happen.
pub(crate) fn partitions<'h, M: Model>(model: &M, history: &'h HistoryOf<M>) -> Parts<'h, M> {
    let mut part_of_key: BTreeMap<M::Key, usize> = BTreeMap::new();
    let mut parts: Parts<'h, M> = Vec::new();
    let mut place: Vec<(u32, u32)> = Vec::with_capacity(history.len());
    let mut last = 0;
    for (index, operation) in history.operations().iter().enumerate() {
        if !operation.happened() {
            place.push((NEVER, NEVER));
            continue;
        }
        let key = model.key(operation.call());
        // Neighbours often share a key, and models of one object always do.
        let known = parts.get(last).is_some_and(|(other, _)| *other == key);
        if !known {
            last = *part_of_key.entry(key.clone()).or_insert_with(|| {
                parts.push((key, Partition::new(history)));
                parts.len() - 1
            });
        }
        let local = parts[last].1.add_member(OperationId::new(index));
        place.push((narrow(last), local));
    }
    if let [(_, only)] = parts.as_mut_slice()
        && only.len() == history.len()
    {
        only.take_all(history);
        return parts;
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
