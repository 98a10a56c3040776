//! Counts which marks the world of this thread has reached.

use super::kernel;
use crate::coverage::{Coverage, Situation};
use crate::fault::Fault;
use crate::history::WORLD;
use std::cell::RefCell;

#[derive(Default)]
struct State {
    coverage: Coverage,
    /// Start, end and kind of each fault.
    faults: Vec<(u64, u64, &'static str)>,
}

thread_local! {
    /// None outside a world: code of a stack is also called by its own tests.
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// Counts from now on, in a world with these faults.
pub(crate) fn begin(faults: &[Fault]) {
    let faults = faults.iter().map(|fault| (fault.start_ns, fault.end_ns, fault.inject.word())).collect();
    STATE.set(Some(State { faults, ..State::default() }));
}

/// What was reached since.
pub(crate) fn end() -> Coverage {
    STATE.take().map(|state| state.coverage).unwrap_or_default()
}

/// This world has reached `mark`.
pub(crate) fn note(mark: &'static str) {
    STATE.with_borrow_mut(|state| {
        let Some(state) = state else { return };
        *state.coverage.marks.entry(mark).or_default() += 1;
        let node = kernel::current();
        // The kernel is lent already where a law reads an event; a law is on no node.
        let here = kernel::try_with(|kernel| {
            let role = if node == WORLD { String::new() } else { kernel.node(node).plan.role.clone() };
            (kernel.agenda.now_ns(), role)
        });
        let Some((now_ns, role)) = here else { return };
        let under_way = state.faults.iter().filter(|(start, end, _)| (*start..=*end).contains(&now_ns));
        let mut kinds: Vec<_> = under_way.map(|(_, _, kind)| Some(*kind)).collect();
        if kinds.is_empty() {
            kinds.push(None);
        }
        let situation = |fault| Situation { mark, fault, role: role.clone() };
        state.coverage.situations.extend(kinds.into_iter().map(situation));
    });
}
