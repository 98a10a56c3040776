//! What clients did and were told, in the order in which it happened.

use super::model::Model;

/// The history of the operations of a model.
pub type HistoryOf<M> = History<<M as Model>::Call, <M as Model>::Return>;

/// Where an operation never returned.
pub(crate) const NEVER: u32 = u32::MAX;

/// One operation of a [`History`]: the number of its call, counted from zero in the order of recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(u32);

impl OperationId {
    /// The operation with this number.
    #[must_use]
    pub fn new(index: usize) -> Self {
        Self(u32::try_from(index).expect("a history holds fewer than 2^31 operations"))
    }

    /// Its number.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl std::fmt::Display for OperationId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "#{}", self.0)
    }
}

/// A call or a return, with the operation that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event(u32);

impl Event {
    pub(crate) fn call(operation: u32) -> Self {
        Self(operation << 1)
    }

    pub(crate) fn return_of(operation: u32) -> Self {
        Self(operation << 1 | 1)
    }

    /// Whether this is the return of the operation; its call otherwise.
    #[must_use]
    pub fn is_return(self) -> bool {
        self.0 & 1 == 1
    }

    /// The operation's number.
    #[must_use]
    pub fn operation(self) -> usize {
        (self.0 >> 1) as usize
    }
}

/// What a client asked for and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<Call, Return> {
    call: Call,
    returned: Option<Return>,
    called_at: u32,
    returned_at: u32,
    happened: bool,
}

impl<Call, Return> Operation<Call, Return> {
    /// What was asked for.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// What was answered, if that is known.
    pub fn returned(&self) -> Option<&Return> {
        self.returned.as_ref()
    }

    /// The position of the call among all events of the history.
    pub fn called_at(&self) -> usize {
        self.called_at as usize
    }

    /// The position of the return among all events of the history; `None` if it never returned, and so may have
    /// happened at any time after its call, or not at all.
    pub fn returned_at(&self) -> Option<usize> {
        (self.returned_at != NEVER).then_some(self.returned_at as usize)
    }

    /// The position of the return, `NEVER` if there was none.
    pub(crate) fn deadline(&self) -> u32 {
        self.returned_at
    }

    pub(crate) fn call_position(&self) -> u32 {
        self.called_at
    }

    /// False once it is known that the operation had no effect.
    pub fn happened(&self) -> bool {
        self.happened
    }
}

/// An operation with the times of its call and its return, for [`History::from_intervals`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval<Call, Return> {
    /// What was asked for.
    pub call: Call,
    /// What was answered; `None` if that is not known.
    pub returned: Option<Return>,
    /// When it was asked, in any unit.
    pub called_at: u64,
    /// When the answer came; `None` if none ever did.
    pub returned_at: Option<u64>,
}

/// A history that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// An operation ended twice.
    #[error(
        "operation {0} ended before: an operation returns, or turns out not to have happened, at most once"
    )]
    EndedBefore(OperationId),
    /// An identifier of some other history.
    #[error("operation {0} was never called: use the identifier that `call` gave for this history")]
    NeverCalled(OperationId),
    /// An interval that runs backwards.
    #[error("operation {0} returned before it was called: check the units and the clock of its two times")]
    Backwards(OperationId),
}

/// Operations of concurrent clients with the order of their calls and returns.
///
/// An operation that was called and never ended has an unknown outcome: it may take effect at any time after its
/// call, or never. It needs no further mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<Call, Return> {
    operations: Vec<Operation<Call, Return>>,
    events: Vec<Event>,
}

impl<Call, Return> Default for History<Call, Return> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Call, Return> History<Call, Return> {
    /// A history in which nothing happened yet.
    #[must_use]
    pub fn new() -> Self {
        Self { operations: Vec::new(), events: Vec::new() }
    }

    /// Orders operations by their times. Where a call and a return have the same time, the call counts as the
    /// earlier: operations that touch are concurrent, which can never raise a false alarm.
    ///
    /// # Errors
    /// When an operation returns before it is called.
    pub fn from_intervals(
        intervals: impl IntoIterator<Item = Interval<Call, Return>>,
    ) -> Result<Self, HistoryError> {
        let mut history = Self::new();
        let mut moments = Vec::new();
        for (index, interval) in intervals.into_iter().enumerate() {
            let operation = OperationId::new(index).0;
            moments.push((interval.called_at, false, Event::call(operation)));
            if let Some(returned_at) = interval.returned_at {
                if returned_at < interval.called_at {
                    return Err(HistoryError::Backwards(OperationId(operation)));
                }
                moments.push((returned_at, true, Event::return_of(operation)));
            }
            history.operations.push(Operation {
                call: interval.call,
                returned: interval.returned,
                called_at: NEVER,
                returned_at: NEVER,
                happened: true,
            });
        }
        moments.sort_unstable_by_key(|(time, is_return, event)| (*time, *is_return, event.0));
        for (position, (_, is_return, event)) in moments.into_iter().enumerate() {
            let operation = &mut history.operations[event.operation()];
            let position = OperationId::new(position).0;
            if is_return {
                operation.returned_at = position;
            } else {
                operation.called_at = position;
            }
            history.events.push(event);
        }
        Ok(history)
    }

    /// Records that a client asks for something now.
    pub fn call(&mut self, call: Call) -> OperationId {
        let operation = OperationId::new(self.operations.len());
        self.operations.push(Operation {
            call,
            returned: None,
            called_at: OperationId::new(self.events.len()).0,
            returned_at: NEVER,
            happened: true,
        });
        self.events.push(Event::call(operation.0));
        operation
    }

    /// Records that a client is told the outcome now.
    ///
    /// # Errors
    /// When the operation was never called, or ended before.
    pub fn returned(&mut self, operation: OperationId, returned: Return) -> Result<(), HistoryError> {
        self.end(operation, Some(returned))
    }

    /// Records that a client learns now that the operation has happened, but not with which outcome.
    ///
    /// # Errors
    /// When the operation was never called, or ended before.
    pub fn returned_something(&mut self, operation: OperationId) -> Result<(), HistoryError> {
        self.end(operation, None)
    }

    /// Records that the operation certainly had no effect and never will have: a refusal.
    ///
    /// # Errors
    /// When the operation was never called, or ended before.
    pub fn did_not_happen(&mut self, operation: OperationId) -> Result<(), HistoryError> {
        self.open(operation)?.happened = false;
        Ok(())
    }

    /// All operations, in the order of their identifiers.
    #[must_use]
    pub fn operations(&self) -> &[Operation<Call, Return>] {
        &self.operations
    }

    /// One operation.
    #[must_use]
    pub fn get(&self, operation: OperationId) -> Option<&Operation<Call, Return>> {
        self.operations.get(operation.index())
    }

    /// All calls and returns, in the order in which they happened.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there is no operation at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    fn end(&mut self, operation: OperationId, returned: Option<Return>) -> Result<(), HistoryError> {
        let position = OperationId::new(self.events.len()).0;
        let ended = self.open(operation)?;
        ended.returned = returned;
        ended.returned_at = position;
        self.events.push(Event::return_of(operation.0));
        Ok(())
    }

    fn open(&mut self, id: OperationId) -> Result<&mut Operation<Call, Return>, HistoryError> {
        match self.operations.get_mut(id.index()) {
            None => Err(HistoryError::NeverCalled(id)),
            Some(operation) if operation.returned_at != NEVER || !operation.happened => {
                Err(HistoryError::EndedBefore(id))
            }
            Some(operation) => Ok(operation),
        }
    }
}
