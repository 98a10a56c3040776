//! What was sent, acknowledged, done and received, and what is missing.

use crate::ways::id_of;
use serde::Serialize;
use sim::history::{Event, Fact, Id, NodeIndex};
use std::collections::BTreeMap;

/// The way of one request.
#[derive(Clone, Debug, Default)]
struct Way {
    acknowledged_ns: Option<u64>,
    done: bool,
    received: bool,
    refused: bool,
    given_up: bool,
    submitted: bool,
    last: Option<(u64, NodeIndex, &'static str)>,
}

/// Counts of a run's requests, and those that were promised and are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ledger {
    /// Sent by clients.
    pub submitted: usize,
    /// Promised to clients.
    pub acknowledged: usize,
    /// Done, or set aside as poison.
    pub done: usize,
    /// Held by their clients.
    pub received: usize,
    /// Refused for good.
    pub refused: usize,
    /// Given up by their clients.
    pub given_up: usize,
    /// Promised and not done, in the order of their identities.
    pub missing: Vec<Missing>,
}

/// A request that was promised and is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Missing {
    /// The request.
    pub id: String,
    /// When it was acknowledged, in nanoseconds.
    pub acknowledged_ns: u64,
    /// When the stack was last seen with it.
    pub last_seen_ns: u64,
    /// On which node.
    pub last_seen_node: String,
    /// What happened then: the event's word.
    pub last_seen: &'static str,
}

impl Ledger {
    /// The ledger of `events`; `names` are those of the nodes.
    pub fn of(events: impl Iterator<Item = Event>, names: &[&str]) -> Self {
        let mut ways: BTreeMap<Id, Way> = BTreeMap::new();
        events.for_each(|event| note(&mut ways, &event));
        let count = |is: fn(&Way) -> bool| ways.values().filter(|way| is(way)).count();
        let missing = ways.iter().filter_map(|(id, way)| missing(*id, way, names)).collect();
        Self {
            submitted: count(|way| way.submitted),
            acknowledged: count(|way| way.acknowledged_ns.is_some()),
            done: count(|way| way.done),
            received: count(|way| way.received),
            refused: count(|way| way.refused),
            given_up: count(|way| way.given_up),
            missing,
        }
    }
}

fn note(ways: &mut BTreeMap<Id, Way>, event: &Event) {
    let Some(id) = id_of(&event.fact) else { return };
    let way = ways.entry(id).or_default();
    match event.fact {
        Fact::Expect { .. } => return,
        Fact::Submit { .. } => way.submitted = true,
        Fact::Acknowledge { .. } => way.acknowledged_ns = way.acknowledged_ns.or(Some(event.at_ns)),
        Fact::Finish { .. } | Fact::Quarantine { .. } => way.done = true,
        Fact::Receive { .. } => way.received = true,
        Fact::Refuse { .. } => way.refused = true,
        Fact::GiveUp { .. } => way.given_up = true,
        _ => {}
    }
    // What clients go on doing says nothing of where the stack has it.
    if !matches!(event.fact, Fact::GiveUp { .. } | Fact::Submit { attempt: 2.., .. }) {
        way.last = Some((event.at_ns, event.node, event.fact.word()));
    }
}

fn missing(id: Id, way: &Way, names: &[&str]) -> Option<Missing> {
    let acknowledged_ns = way.acknowledged_ns.filter(|_| !way.done)?;
    let (last_seen_ns, node, last_seen) = way.last?;
    let last_seen_node = (*names.get(node.0 as usize).unwrap_or(&"world")).to_owned();
    Some(Missing { id: id.to_string(), acknowledged_ns, last_seen_ns, last_seen_node, last_seen })
}
