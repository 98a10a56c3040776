//! The way of a request through the nodes, and what led to each of its steps.
//!
//! A history holds no packets. What led to a step follows from the order of a request's own events: a submission leads
//! to the enqueueing, that to the other replicas', to the acknowledgement and to the delivery, and so on.

use sim::history::{Event, Fact, Id, NodeIndex};
use std::collections::{BTreeMap, BTreeSet};

/// When and where something happened.
pub(crate) type Place = (u64, NodeIndex);

/// Follows requests and says of each event which earlier one led to it.
#[derive(Default)]
pub(crate) struct Follower(BTreeMap<Id, Trail>);

impl Follower {
    /// What led to `event`, a fact about request `id`, on another node; none where that is not known.
    pub(crate) fn cause(&mut self, id: Id, event: &Event) -> Option<Place> {
        let trail = self.0.entry(id).or_default();
        trail.cause(event).filter(|(_, node)| *node != event.node)
    }
}

#[derive(Default)]
struct Trail {
    submitted: Option<Place>,
    enqueued: Applied,
    delivered: Option<Place>,
    finished: Applied,
}

impl Trail {
    fn cause(&mut self, event: &Event) -> Option<Place> {
        let place = (event.at_ns, event.node);
        match event.fact {
            Fact::Submit { .. } => {
                self.submitted = Some(place);
                None
            }
            Fact::Enqueue { position, .. } => self.enqueued.cause(position, place, self.submitted),
            Fact::Deliver { .. } => {
                self.delivered = Some(place);
                self.enqueued.latest
            }
            Fact::Finish { position, .. } | Fact::Quarantine { position, .. } => {
                self.finished.cause(position, place, self.delivered)
            }
            Fact::Acknowledge { .. } => self.enqueued.latest.max(self.finished.latest),
            Fact::Receive { .. } => self.finished.latest,
            Fact::Refuse { .. } => self.submitted,
            _ => None,
        }
    }
}

/// What several replicas do at one position: the first leads the others to it.
#[derive(Default)]
struct Applied {
    first: BTreeMap<u64, Place>,
    seen: BTreeSet<(u64, NodeIndex)>,
    latest: Option<Place>,
}

impl Applied {
    fn cause(&mut self, position: u64, place: Place, before: Option<Place>) -> Option<Place> {
        // A replica that reads its log after a restart is led to it by nobody; what follows is led to by it.
        if !self.seen.insert((position, place.1)) {
            self.latest = Some(place);
            return None;
        }
        if let Some(first) = self.first.get(&position) {
            return Some(*first);
        }
        self.first.insert(position, place);
        self.latest = Some(place);
        before
    }
}

/// The request that a fact is about.
pub(crate) fn id_of(fact: &Fact) -> Option<Id> {
    match *fact {
        Fact::Submit { id, .. }
        | Fact::Expect { id, .. }
        | Fact::Acknowledge { id }
        | Fact::Refuse { id, .. }
        | Fact::Receive { id, .. }
        | Fact::GiveUp { id }
        | Fact::Join { id, .. }
        | Fact::Enqueue { id, .. }
        | Fact::Deliver { id, .. }
        | Fact::Finish { id, .. }
        | Fact::Quarantine { id, .. }
        | Fact::Redrive { id, .. }
        | Fact::Look { id, .. }
        | Fact::See { id, .. } => Some(id),
        _ => None,
    }
}

/// Whether a reader looks for this on a lane whatever the violation.
pub(crate) fn is_a_turn(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Boot { .. }
            | Fact::Exit { .. }
            | Fact::Panic { .. }
            | Fact::DiskLoss { .. }
            | Fact::Lead { .. }
            | Fact::Note { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_led_to_by_the_one_that_sent_it_there() {
        let nodes = ["client", "q1", "q2", "worker"];
        let text = "1s client submit id=0.1 attempt=1\n2s q1 enqueue id=0.1 position=7\n3s q2 enqueue id=0.1 position=7\n\
                    4s client acknowledge id=0.1\n5s worker deliver id=0.1 delivery=1 token=1\n\
                    6s q1 finish id=0.1 position=9 output=aa\n7s client receive id=0.1 output=aa\n\
                    8s q2 finish id=0.1 position=9 output=aa\n9s q2 enqueue id=0.1 position=7\n10s client give-up id=0.1";
        let mut follower = Follower::default();
        let causes = sim::history::from_text(text, &nodes).unwrap().into_iter().map(|event| {
            let id = id_of(&event.fact).unwrap();
            follower.cause(id, &event).map(|(at_ns, _)| at_ns / 1_000_000_000)
        });
        let expected = [None, Some(1), Some(2), Some(2), Some(2), Some(5), Some(6), Some(6), None, None];
        assert_eq!(causes.collect::<Vec<_>>(), expected);
    }
}
