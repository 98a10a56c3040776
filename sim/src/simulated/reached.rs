//! Counts which marks the world of this thread has reached.

use super::kernel;
use crate::coverage::{Coverage, Situation};
use crate::history::WORLD;
use std::cell::RefCell;
use std::collections::BTreeSet;

#[derive(Default)]
struct State {
    coverage: Coverage,
    /// Place in the plan and kind of each fault under way.
    faults: Vec<(u32, &'static str)>,
}

thread_local! {
    /// None outside a world: code of a stack is also called by its own tests.
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// Counts from now on.
pub(crate) fn begin() {
    STATE.set(Some(State::default()));
}

/// A fault of this kind, with this place in the plan, is under way from now on, and hits nodes of these roles.
pub(crate) fn fault_began(index: u32, kind: &'static str, roles: BTreeSet<String>) {
    STATE.with_borrow_mut(|state| {
        let Some(state) = state else { return };
        state.faults.push((index, kind));
        for role in roles {
            *state.coverage.faults.entry((kind, role)).or_default() += 1;
        }
    });
}

/// That fault is over.
pub(crate) fn fault_ended(index: u32) {
    STATE.with_borrow_mut(|state| {
        if let Some(state) = state {
            state.faults.retain(|(of, _)| *of != index);
        }
    });
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
            (role, kernel.agenda.now_ns())
        });
        let Some((role, now_ns)) = here else { return };
        let mut kinds: Vec<_> = state.faults.iter().map(|(_, kind)| Some(*kind)).collect();
        if kinds.is_empty() {
            kinds.push(None);
        }
        let situation = |fault| Situation { mark, fault, role: role.clone() };
        for kind in kinds {
            state.coverage.situations.entry(situation(kind)).or_insert(now_ns);
        }
    });
}
