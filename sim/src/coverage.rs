//! Marks: rare moments in the code of a stack or a law that a batch of runs should reach now and then.
//!
//! A test that never reaches the moment for which it was written proves nothing, and nobody notices. [`sometimes!`] names
//! such a moment where it happens; a batch counts in how many runs it did, and [`Stack::marks`] says which there are, so
//! that those which no run reaches can be listed. Marks are no events: a history is the same with and without them.
//!
//! [`sometimes!`]: crate::sometimes
//! [`Stack::marks`]: crate::stack::Stack::marks

#[cfg(not(live))]
use crate::simulated::reached;
use std::collections::BTreeMap;

/// Says that this moment was reached, by a name in plain words; with a condition before the name, where that is true.
///
/// ```
/// # extern crate hogwash_sim as sim;
/// # let (attempts, torn) = (3, false);
/// sim::sometimes!(attempts > 1, "a request is sent again");
/// if torn {
///     sim::sometimes!("a log ends within a record");
/// }
/// ```
#[macro_export]
macro_rules! sometimes {
    ($mark:literal $(,)?) => {
        $crate::coverage::reach($mark)
    };
    ($condition:expr, $mark:literal $(,)?) => {
        if $condition {
            $crate::coverage::reach($mark);
        }
    };
}

/// Which marks a run reached, and which faults it had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// How often each mark was reached; those that were not are absent.
    pub marks: BTreeMap<&'static str, u64>,
    /// In which situations, and when first: simulated nanoseconds since the start.
    pub situations: BTreeMap<Situation, u64>,
    /// How often a fault of each kind began that hit a node of each role.
    pub faults: BTreeMap<(&'static str, String), u64>,
}

/// A mark, the kind of fault that was under way, if any, and the role of the node that reached it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Situation {
    /// The mark.
    pub mark: &'static str,
    /// The kind's word, such as `power-loss`.
    pub fault: Option<&'static str>,
    /// The node's role.
    pub role: String,
}

/// What [`sometimes!`](crate::sometimes) calls.
pub fn reach(mark: &'static str) {
    #[cfg(not(live))]
    reached::note(mark);
    #[cfg(live)]
    tracing::trace!(mark, "reached");
}
