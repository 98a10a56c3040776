//! Registers and stores whose reads tell which writes they saw: an exact check in time near linear in the history.
//!
//! When all written values differ, a read names the write that it saw; when appended texts differ and none begins
//! another, a read spells out all appends since the last put. So each operation belongs to a *chain*: a write that
//! does not look at what was there, followed by those that build upon it, and the reads of each link. (A first
//! chain begins with the initial value.) In every order that explains the history
//! - a chain is in the order that its reads spell out, and
//! - chains do not interleave, since the next one wipes out the one before.
//!
//! Let f(C) be the first return in chain C and s(C) the last call. C must come before D when f(C) < s(D). If two
//! chains must come before each other, there is no order. Otherwise there is one: in a longer cycle take the chain
//! C with the latest s, and D and E that follow it; then f(D) < s(E) <= s(C), so D must come before C as well as
//! after it. (For single writes these are the zones of Gibbons and Korach, 1997.)
//!
//! A write that no read saw is a chain of its own, also an append: it belongs to whichever chain is before it. If it
//! never returned it is left out, since nothing needs it.

mod arrange;
mod patterns;
mod register;
mod store;

pub use patterns::Pattern;
pub use register::decide_register;
pub use store::decide_store;

use super::partition::Partition;
use super::verdict::{Decision, Violation};
use patterns::Found;

/// Where an operation belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// In a chain, at a link: the write of that link, or a read that saw it.
    Link { chain: u32, link: u32, is_read: bool },
    /// Anywhere between its call and its return: it tells nothing.
    Anywhere,
    /// Nowhere: it never returned, and nothing needs it.
    LeftOut,
}

/// The chain of the initial value.
const INITIAL: u32 = 0;

fn decision<Call, Return>(part: &Partition<'_, Call, Return>, roles: Result<Vec<Role>, Found>) -> Decision {
    let order = roles.and_then(|roles| arrange::arrange(part, &roles));
    match order {
        Ok(order) => {
            Decision::Linearizable(order.into_iter().map(|operation| part.id(operation as usize)).collect())
        }
        Err(found) => {
            Decision::Violated(Violation::Chain(found.pattern(|operation| part.id(operation as usize))))
        }
    }
}
