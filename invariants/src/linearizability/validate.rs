//! An independent judge of orders. It shares no code with the searches: whoever doubts an `ok` needs to read only
//! this file and the model.

use std::collections::BTreeMap;

use super::history::{HistoryOf, OperationId};
use super::model::Model;

/// Why an order does not explain a history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// The order names an operation that is not in the history.
    #[error("operation {0} is in the order but not in the history")]
    Unknown(OperationId),
    /// The order names an operation twice.
    #[error("operation {0} is in the order twice")]
    Twice(OperationId),
    /// The order names an operation that is known to have had no effect.
    #[error("operation {0} is in the order although it did not happen")]
    DidNotHappen(OperationId),
    /// The order leaves out an operation that returned.
    #[error("operation {0} returned but is not in the order")]
    Missing(OperationId),
    /// The order puts an operation behind one that was called after it had returned.
    #[error("operation {late} is ordered behind {early}, which was called only after {late} had returned")]
    AgainstTime {
        /// The operation that comes too late in the order.
        late: OperationId,
        /// The one before it in the order.
        early: OperationId,
    },
    /// The model does not allow the step.
    #[error("operation {operation} is no step from any of {states:?}")]
    NoStep {
        /// The operation.
        operation: OperationId,
        /// The states, for people, in which its object could be.
        states: Vec<String>,
    },
}

/// Accepts an order if it explains the history: it holds each operation that returned once, and no other more than
/// once; it never contradicts real time; and each operation is a step of the model. Takes time in proportion to
/// the number of operations, and to the number of states that a model with choices may be in at a time.
///
/// # Errors
/// The first reason why the order does not explain the history.
pub fn validate<M: Model>(
    model: &M,
    history: &HistoryOf<M>,
    order: &[OperationId],
) -> Result<(), OrderError> {
    holds_each_once(history, order)?;
    respects_time(history, order)?;
    takes_steps(model, history, order)
}

fn holds_each_once<Call, Return>(
    history: &super::history::History<Call, Return>,
    order: &[OperationId],
) -> Result<(), OrderError> {
    let mut is_seen = vec![false; history.len()];
    for id in order {
        let operation = history.get(*id).ok_or(OrderError::Unknown(*id))?;
        if !operation.happened() {
            return Err(OrderError::DidNotHappen(*id));
        }
        if std::mem::replace(&mut is_seen[id.index()], true) {
            return Err(OrderError::Twice(*id));
        }
    }
    for (index, operation) in history.operations().iter().enumerate() {
        if operation.returned_at().is_some() && !is_seen[index] {
            return Err(OrderError::Missing(OperationId::new(index)));
        }
    }
    Ok(())
}

fn respects_time<Call, Return>(
    history: &super::history::History<Call, Return>,
    order: &[OperationId],
) -> Result<(), OrderError> {
    let mut latest: Option<(usize, OperationId)> = None;
    for id in order {
        let operation = &history.operations()[id.index()];
        if let (Some((called_at, early)), Some(returned_at)) = (latest, operation.returned_at())
            && returned_at < called_at
        {
            return Err(OrderError::AgainstTime { late: *id, early });
        }
        if latest.is_none_or(|(called_at, _)| operation.called_at() > called_at) {
            latest = Some((operation.called_at(), *id));
        }
    }
    Ok(())
}

fn takes_steps<M: Model>(model: &M, history: &HistoryOf<M>, order: &[OperationId]) -> Result<(), OrderError> {
    let mut objects: BTreeMap<M::Key, Vec<M::State>> = BTreeMap::new();
    for id in order {
        let operation = &history.operations()[id.index()];
        let key = model.key(operation.call());
        let states = objects.entry(key.clone()).or_insert_with(|| vec![model.initial(&key)]);
        let mut next: Vec<M::State> = Vec::new();
        for state in states.iter() {
            for reached in model.step(state, operation.call(), operation.returned()) {
                if !next.contains(&reached) {
                    next.push(reached);
                }
            }
        }
        if next.is_empty() {
            let states = states.iter().map(|state| format!("{state:?}")).collect();
            return Err(OrderError::NoStep { operation: *id, states });
        }
        *states = next;
    }
    Ok(())
}
