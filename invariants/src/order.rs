//! `order`: the queue is first in, first out.

use crate::names::{Names, Said};
use crate::verdict::Violations;
use crate::{Bound, Invariant, Keepers, Law, Outcome};
use sim::duration_text;
use sim::history::{Event, Fact, Id};
use sim::plan::Plan;
use std::collections::BTreeMap;

/// First in, first out.
pub const LAW: Law = Law {
    name: "order",
    sentence: "the queue's order respects what clients were told, items are handed out for the first time in that order, \
               and every hand-out is counted",
    needs: "an item that is handed out for the first time after another",
    survives: &[Bound::MinorityOfDisks(Keepers::Queue)],
    make: |plan| Box::new(Order::new(plan)),
};

/// Hand-outs that are kept to compare with, below the latest.
const RECENT: usize = 1 << 16;

/// The law at work: linearizability of a queue whose order is known.
///
/// An item's place is its linearization point, so that the order is right if it respects real time: who sends after
/// another was acknowledged comes behind it. Items come out right if the hand-outs' own order is that of the places. A
/// sorted sequence stays sorted if what is put in fits between its neighbours, which needs no search: see Bouajjani, Emmi,
/// Enea and Hamza 2015 for the patterns, of which these are the ones that a known order leaves over. Hand-outs whose
/// answer was lost are gaps. A redelivered item takes its old place, which says nothing of order.
struct Order {
    names: Names,
    items: BTreeMap<Id, Item>,
    /// First hand-outs by their token.
    handed: BTreeMap<u64, (u64, Event)>,
    /// All hand-outs by their token: which delivery of which item.
    tokens: BTreeMap<u64, (Id, u32, Event)>,
    /// The highest place among items that were acknowledged, with the acknowledgement.
    acknowledged: Option<(u64, Event)>,
    violations: Violations,
    compared: u64,
}

/// One item until its client is done with it and it was handed out.
#[derive(Default)]
struct Item {
    position: Option<u64>,
    /// What was acknowledged before the item was sent: it must come behind.
    behind: Option<(u64, Event)>,
    /// The latest hand-out: its token, and which delivery it was.
    latest: Option<(u64, u32, Said)>,
    settled: bool,
}

impl Order {
    fn new(plan: &Plan) -> Self {
        Self {
            names: Names::of(plan),
            items: BTreeMap::new(),
            handed: BTreeMap::new(),
            tokens: BTreeMap::new(),
            acknowledged: None,
            violations: Violations::default(),
            compared: 0,
        }
    }

    fn enqueue(&mut self, event: &Event, id: Id, position: u64) {
        let Some(item) = self.items.get_mut(&id).filter(|item| item.position.is_none()) else { return };
        item.position = Some(position);
        if let Some((before, acknowledged)) = item.behind.take().filter(|(before, _)| *before > position) {
            let told = duration_text::readable(acknowledged.at_ns);
            let message = format!(
                "request {id} was sent after another was acknowledged at {told}, and came before it: at position \
                 {position}, not behind {before}"
            );
            let lines = vec![self.names.line(&acknowledged), self.names.line(event)];
            self.violations.add_all(event.at_ns, "overtaken", Some(id), message, lines);
        }
    }

    fn acknowledge(&mut self, event: &Event, id: Id) {
        let Some(position) = self.items.get(&id).and_then(|item| item.position) else { return };
        if self.acknowledged.as_ref().is_none_or(|(highest, _)| *highest < position) {
            self.acknowledged = Some((position, event.clone()));
        }
    }

    fn deliver(&mut self, event: &Event, id: Id, delivery: u32, token: u64) {
        self.count(event, id, delivery, token);
        if delivery == 1 {
            self.deliver_first(event, id, token);
        }
        self.forget(id);
    }

    /// A token stands for one hand-out, and an item's hand-outs count up with their tokens.
    fn count(&mut self, event: &Event, id: Id, delivery: u32, token: u64) {
        let before = self.tokens.entry(token).or_insert_with(|| (id, delivery, event.clone()));
        if (before.0, before.1) != (id, delivery) {
            let message = format!("two hand-outs have the token {token}: no fence can tell them apart");
            let lines = vec![self.names.line(&before.2), self.names.line(event)];
            self.violations.add_all(event.at_ns, "one token twice", Some(id), message, lines);
        }
        if self.tokens.len() > RECENT {
            self.tokens.pop_first();
        }
        let Some(item) = self.items.get_mut(&id) else { return };
        let (latest, counted, said) = *item.latest.get_or_insert((token, delivery, Said::of(event)));
        if (latest, counted) < (token, delivery) {
            item.latest = Some((token, delivery, Said::of(event)));
        }
        if delivery == 0 || (latest < token) != (counted < delivery) {
            let message =
                format!("delivery {delivery} of request {id} is not counted on from delivery {counted}");
            let before = said.event(Fact::Deliver { id, delivery: counted, token: latest });
            let lines = vec![self.names.line(&before), self.names.line(event)];
            self.violations.add_all(event.at_ns, "hand-outs not counted", Some(id), message, lines);
        }
    }

    fn deliver_first(&mut self, event: &Event, id: Id, token: u64) {
        let Some(position) = self.items.get(&id).and_then(|item| item.position) else { return };
        let before = self.handed.range(..token).next_back().filter(|(_, (other, _))| *other > position);
        let after = self.handed.range(token + 1..).next().filter(|(_, (other, _))| *other < position);
        self.compared += u64::from(!self.handed.is_empty());
        if let Some((_, (place, other))) = before.or(after) {
            let ((first, one), (second, two)) = if *place > position {
                ((*place, other), (position, event))
            } else {
                ((position, event), (*place, other))
            };
            let message =
                format!("the item at position {first} was handed out before that at position {second}");
            let lines = vec![self.names.line(one), self.names.line(two)];
            self.violations.add_all(event.at_ns, "out of order", Some(id), message, lines);
        } else {
            self.handed.insert(token, (position, event.clone()));
            if self.handed.len() > RECENT {
                self.handed.pop_first();
            }
        }
    }

    /// Forgets an item of which nothing more can be asked.
    fn forget(&mut self, id: Id) {
        if self.items.get(&id).is_some_and(|item| item.latest.is_some() && item.settled) {
            self.items.remove(&id);
        }
    }
}

impl Invariant for Order {
    fn observe(&mut self, event: &Event) {
        match event.fact {
            Fact::Submit { id, attempt: 1 } => {
                let behind = self.acknowledged.clone();
                self.items.insert(id, Item { behind, ..Item::default() });
            }
            Fact::Enqueue { id, position } => self.enqueue(event, id, position),
            Fact::Acknowledge { id } => self.acknowledge(event, id),
            Fact::Deliver { id, delivery, token } => self.deliver(event, id, delivery, token),
            Fact::Receive { id, .. } | Fact::Refuse { id, .. } | Fact::GiveUp { id } => {
                if let Some(item) = self.items.get_mut(&id) {
                    item.settled = true;
                }
                self.forget(id);
            }
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        Outcome { violations: self.violations.into_vec(), exercised: self.compared, unknown: None }
    }
}
