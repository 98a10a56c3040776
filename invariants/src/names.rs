//! The names of a run's nodes, and events as lines.

use sim::history::{Event, NodeIndex, to_text};
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
