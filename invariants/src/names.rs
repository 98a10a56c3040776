//! The names of a run's nodes, and events as lines.

use sim::history::{Event, Fact, NodeIndex, to_text};
use sim::plan::Plan;

/// Names nodes in messages and evidence.
pub(crate) struct Names(Vec<String>);

impl Names {
    pub(crate) fn of(plan: &Plan) -> Self {
        Self(plan.nodes.iter().map(|node| node.name.clone()).collect())
    }

    /// The name of a node; `world` for none.
    pub(crate) fn name(&self, node: NodeIndex) -> &str {
        self.0.get(node.0 as usize).map_or("world", String::as_str)
    }

    /// An event as a line of evidence: when, where, what.
    pub(crate) fn line(&self, event: &Event) -> String {
        to_text(event, |node| self.name(node).to_owned())
    }
}

/// When and where something was said: all of an event that has to be kept where the law knows the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    pub(crate) at_ns: u64,
    pub(crate) node: NodeIndex,
}

impl Said {
    pub(crate) fn of(event: &Event) -> Self {
        Self { at_ns: event.at_ns, node: event.node }
    }

    /// The event, which said `fact`.
    pub(crate) fn event(self, fact: Fact) -> Event {
        Event { at_ns: self.at_ns, node: self.node, fact }
    }
}
