//! `order`: the queue is first in, first out.

mod groups;
mod stairs;

use crate::names::{Names, Said};
use crate::verdict::Violations;
use crate::{Bound, Invariant, Keepers, Law, Outcome};
use groups::Groups;
use sim::duration_text;
use sim::history::{Event, Fact, Id};
use sim::plan::Plan;
use stairs::{HandOut, Stairs};
use std::collections::BTreeMap;

/// First in, first out.
pub const LAW: Law = Law {
    name: "order",
    sentence: "the queue's order respects what clients were told, items are handed out for the first time in that order, \
               those of one group one after another, and every hand-out is counted",
    needs: "an item that is handed out for the first time after another",
    survives: &[Bound::MinorityOfDisks(Keepers::Queue)],
    make: |plan| Box::new(Order::new(plan)),
};

/// Hand-outs whose tokens are kept to compare with, below the latest.
const RECENT: usize = 1 << 16;

/// The law at work: linearizability of a queue whose order is known.
///
/// An item's place is its linearization point, so that the order is right if it respects real time: who sends after
/// another was acknowledged comes behind it. Items come out right if the hand-outs' own order is that of the places. A
/// sorted sequence stays sorted if what is put in fits between its neighbours, which needs no search: see Bouajjani, Emmi,
/// Enea and Hamza 2015 for the patterns, of which these are the ones that a known order leaves over. Hand-outs whose
/// answer was lost are gaps. A redelivered item takes its old place, which says nothing of order.
///
/// An item of a group may be overtaken for as long as an earlier one of the group is not over, and it must be: who first
/// says that an item is over has just made it so, and nobody can have been handed the next one before.
struct Order {
    names: Names,
    items: BTreeMap<Id, Item>,
    handed: Stairs,
    groups: Groups,
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
    group: Option<u32>,
    /// From where on in the queue's order it waits for nothing but its turn.
    ready: u64,
    is_over: bool,
    /// Whether it was set aside, and may yet be put back.
    is_aside: bool,
    /// Its hand-outs up to this token were for a place that it had before.
    since: u64,
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
            handed: Stairs::default(),
            groups: Groups::default(),
            tokens: BTreeMap::new(),
            acknowledged: None,
            violations: Violations::default(),
            compared: 0,
        }
    }

    fn enqueue(&mut self, event: &Event, id: Id, position: u64) {
        let Some(item) = self.items.get_mut(&id).filter(|item| item.position.is_none()) else { return };
        (item.position, item.ready) = (Some(position), position);
        if let Some(group) = item.group {
            self.groups.join(group, position, id, event);
        }
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
        self.distinguish(event, id, delivery, token);
        if self.items.get(&id).is_some_and(|item| token <= item.since) {
            return;
        }
        self.count(event, id, delivery, token);
        if self.deliver_in_turn(event, id, token) && delivery == 1 {
            self.deliver_first(event, id, token);
        }
        self.forget(id);
    }

    /// A token stands for one hand-out.
    fn distinguish(&mut self, event: &Event, id: Id, delivery: u32, token: u64) {
        let before = self.tokens.entry(token).or_insert_with(|| (id, delivery, event.clone()));
        if (before.0, before.1) != (id, delivery) {
            let message = format!("two hand-outs have the token {token}: no fence can tell them apart");
            let lines = vec![self.names.line(&before.2), self.names.line(event)];
            self.violations.add_all(event.at_ns, "one token twice", Some(id), message, lines);
        }
        if self.tokens.len() > RECENT {
            self.tokens.pop_first();
        }
    }

    /// An item's hand-outs count up with their tokens.
    fn count(&mut self, event: &Event, id: Id, delivery: u32, token: u64) {
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

    /// Whether an item that is handed out has to wait for no other of its group.
    fn deliver_in_turn(&mut self, event: &Event, id: Id, token: u64) -> bool {
        let Some(Item { position: Some(position), group: Some(group), .. }) = self.items.get(&id) else {
            return true;
        };
        let (position, group) = (*position, *group);
        let (message, other) = if let Some((earlier, enqueued)) = self.groups.earlier(group, position) {
            let message = format!(
                "request {id} was handed out before {earlier}, an earlier one of its group, was over"
            );
            (message, enqueued.clone())
        } else if let Some(other) = self.groups.hand_out(group, position, token, event) {
            (format!("the hand-outs of group {group} are not in order, as their tokens say"), other)
        } else {
            self.compared += 1;
            return true;
        };
        let lines = vec![self.names.line(&other), self.names.line(event)];
        self.violations.add_all(event.at_ns, "out of turn", Some(id), message, lines);
        false
    }

    fn deliver_first(&mut self, event: &Event, id: Id, token: u64) {
        let Some(Item { position: Some(position), ready, .. }) = self.items.get(&id) else { return };
        let new = HandOut { position: *position, ready: *ready, event: event.clone() };
        self.compared += u64::from(!self.handed.is_empty());
        if let Some([one, two]) = self.handed.add(token, new) {
            let (first, second) = (one.position, two.position);
            let message =
                format!("the item at position {first} was handed out before that at position {second}");
            let lines = vec![self.names.line(&one.event), self.names.line(&two.event)];
            self.violations.add_all(event.at_ns, "out of order", Some(id), message, lines);
        }
    }

    /// An item is over, by the command at position `ended`.
    fn end(&mut self, event: &Event, id: Id, ended: u64) {
        let Some(item) = self.items.get_mut(&id) else { return };
        let Some(position) = item.position.filter(|position| *position < ended && !item.is_over) else {
            return;
        };
        item.is_over = true;
        item.is_aside = matches!(event.fact, Fact::Quarantine { .. });
        if let Some(group) = item.group {
            if let Some((earlier, enqueued)) = self.groups.earlier(group, position) {
                let message = format!("request {id} was over before {earlier}, an earlier one of its group");
                let lines = vec![self.names.line(enqueued), self.names.line(event)];
                self.violations.add_all(event.at_ns, "over out of turn", Some(id), message, lines);
            }
            let next = self.groups.leave(group, position);
            if let Some(next) = next.and_then(|next| self.items.get_mut(&next)) {
                next.ready = next.ready.max(ended);
            }
        }
        self.forget(id);
    }

    /// An item that was set aside is put back, at `position`: an item of its own from there on.
    fn put_back(&mut self, event: &Event, id: Id, position: u64, token: u64) {
        let Some(item) = self.items.get_mut(&id) else { return };
        if item.position.is_none_or(|before| before >= position) {
            return;
        }
        (item.position, item.ready) = (Some(position), position);
        (item.is_over, item.is_aside, item.since, item.latest) = (false, false, token, None);
        if let Some(group) = item.group {
            self.groups.join(group, position, id, event);
        }
    }

    /// Forgets an item of which nothing more can be asked.
    fn forget(&mut self, id: Id) {
        let waited_for = |item: &Item| item.group.is_some() && !item.is_over;
        let done = |item: &Item| item.latest.is_some() && item.settled && !waited_for(item) && !item.is_aside;
        if self.items.get(&id).is_some_and(done) {
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
            Fact::Join { id, group } => {
                if let Some(item) = self.items.get_mut(&id).filter(|item| item.position.is_none()) {
                    item.group = Some(group);
                }
            }
            Fact::Enqueue { id, position } => self.enqueue(event, id, position),
            Fact::Finish { id, position, .. } | Fact::Quarantine { id, position, .. } => {
                self.end(event, id, position);
            }
            Fact::Acknowledge { id } => self.acknowledge(event, id),
            Fact::Deliver { id, delivery, token } => self.deliver(event, id, delivery, token),
            Fact::Redrive { id, position, token } => self.put_back(event, id, position, token),
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
