//! `delivery`: are all messages sent actually received?

use crate::ids::IdSet;
use crate::names::{Names, Said};
use crate::verdict::Violations;
use crate::{Bound, Invariant, Keepers, Law, Outcome};
use sim::duration_text;
use sim::history::{Event, Fact, Id, NodeIndex};
use sim::plan::Plan;
use std::collections::BTreeMap;

/// Every acknowledged request is done, once, and nothing is done that nobody asked for.
pub const LAW: Law = Law {
    name: "delivery",
    sentence: "every acknowledged request is done, its effect takes place once, and nothing is invented",
    needs: "a request that a client was told is accepted",
    survives: &[Bound::MinorityOfDisks(Keepers::Queue)],
    make: |plan| Box::new(Delivery::new(plan)),
};

/// What is known of one request that is not settled yet.
#[derive(Clone, Debug, Default)]
struct Item {
    acknowledged_ns: Option<u64>,
    /// Where it was enqueued.
    enqueued: Option<(u64, Said)>,
    /// The position of the command that finished it, and the event's fact.
    finished: Option<(u64, Event)>,
    /// What else became of it, by the position of the command that did it. Of few requests there is anything.
    turns: BTreeMap<u64, (Turn, Event)>,
    /// The client will not come back to it.
    settled: bool,
    last_seen: Option<(u64, NodeIndex, &'static str)>,
}

/// What may become of a request besides its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It was set aside as poison, which is an end, until it is put back.
    Aside,
    /// It was put back, to be done after all.
    Back,
}

impl Item {
    fn is_over(&self) -> bool {
        self.ended_by().is_some()
    }

    fn is_aside(&self) -> bool {
        self.set_aside_by().is_some()
    }

    /// What finished it, or set it aside.
    fn ended_by(&self) -> Option<&Event> {
        self.finished.as_ref().map(|(_, event)| event).or(self.set_aside_by())
    }

    fn set_aside_by(&self) -> Option<&Event> {
        self.turns.values().next_back().filter(|(turn, _)| *turn == Turn::Aside).map(|(_, event)| event)
    }

    fn turn_at(&self, position: u64) -> Option<Turn> {
        self.turns.get(&position).map(|(turn, _)| *turn)
    }
}

/// The law at work.
///
/// Memory: requests that are finished and settled are forgotten but for their membership in a set of runs. A replica that
/// lags repeats effects of the past; its positions are then not above the highest seen, which tells it from a second effect. Who
/// first says so has just done it, so that what is new of a request comes in the order of its positions.
struct Delivery {
    names: Names,
    items: BTreeMap<Id, Item>,
    /// Requests that are over.
    over: IdSet,
    highest_position: Option<u64>,
    violations: Violations,
    acknowledged: u64,
    drained: bool,
}

impl Delivery {
    fn new(plan: &Plan) -> Self {
        Self {
            names: Names::of(plan),
            items: BTreeMap::new(),
            over: IdSet::default(),
            highest_position: None,
            violations: Violations::default(),
            acknowledged: 0,
            drained: false,
        }
    }

    /// The request's item, for an event that only a submitted request can have; none where it is over. One that nobody
    /// submitted is a violation.
    fn asked(&mut self, event: &Event, id: Id) -> Option<&mut Item> {
        // An item is open or over, never both.
        if !self.items.contains_key(&id) {
            if self.over.contains(id) {
                return None;
            }
            let line = self.names.line(event);
            let word = event.fact.word();
            let message = format!("request {id} was never submitted by any client, and yet there is: {word}");
            self.violations.add(event.at_ns, &format!("invented {word}"), Some(id), message, line);
        }
        let item = self.items.entry(id).or_default();
        item.last_seen = Some((event.at_ns, event.node, event.fact.word()));
        Some(item)
    }

    fn enqueue(&mut self, event: &Event, id: Id, position: u64) {
        let Some(item) = self.asked(event, id) else { return };
        let (before, said) = *item.enqueued.get_or_insert((position, Said::of(event)));
        if before != position {
            let first = said.event(Fact::Enqueue { id, position: before });
            let lines = vec![self.names.line(&first), self.names.line(event)];
            let message = format!("request {id} was enqueued at position {before} and again at {position}");
            self.violations.add_all(event.at_ns, "enqueued twice", Some(id), message, lines);
        }
    }

    /// Whether a command at `position` is later than all that were heard of.
    fn reach(&mut self, position: u64) -> bool {
        let is_new = self.highest_position.is_none_or(|highest| position > highest);
        self.highest_position = self.highest_position.max(Some(position));
        is_new
    }

    /// A request ends: it is done, or set aside.
    fn end(&mut self, event: &Event, id: Id, position: u64, aside: bool) {
        let is_new = self.reach(position);
        let again = match self.asked(event, id) {
            Some(item) if aside && item.turn_at(position) == Some(Turn::Aside) => None,
            Some(item) if !aside && item.finished.as_ref().is_some_and(|(at, _)| *at == position) => None,
            Some(item) => {
                let first = item.ended_by().cloned();
                if aside {
                    item.turns.insert(position, (Turn::Aside, event.clone()));
                } else {
                    item.finished = Some((position, event.clone()));
                }
                first.map(Some)
            }
            // Over, and yet a command at a position that nobody has reached before ends it again.
            None => is_new.then_some(None),
        };
        if let Some(first) = again {
            let lines = first.iter().chain([event]).map(|event| self.names.line(event)).collect();
            let message =
                format!("the effect of request {id} took place twice, again at position {position}");
            self.violations.add_all(event.at_ns, "effect twice", Some(id), message, lines);
        }
        self.forget(id);
    }

    /// A request that was set aside is to be done after all.
    fn put_back(&mut self, event: &Event, id: Id, position: u64) {
        let is_new = self.reach(position);
        let in_vain = match self.asked(event, id) {
            Some(item) if item.turn_at(position) == Some(Turn::Back) => false,
            Some(item) => {
                let was_aside = item.is_aside() && item.finished.is_none();
                item.turns.insert(position, (Turn::Back, event.clone()));
                !was_aside
            }
            None => is_new,
        };
        if in_vain {
            let line = self.names.line(event);
            let message =
                format!("request {id} was put back at position {position}, and had not been set aside");
            self.violations.add(event.at_ns, "put back and not aside", Some(id), message, line);
        }
    }

    fn settle(&mut self, event: &Event, id: Id) {
        if let Some(item) = self.asked(event, id) {
            item.settled = true;
        }
        self.forget(id);
    }

    /// Forgets a request of which nothing more can be asked.
    fn forget(&mut self, id: Id) {
        // What was set aside may yet be put back.
        let done = |item: &Item| item.settled && item.finished.is_some();
        if self.items.get(&id).is_some_and(done) {
            self.items.remove(&id);
            self.over.insert(id);
        }
    }

    fn report_missing(&mut self, at_ns: u64) {
        let items = std::mem::take(&mut self.items);
        let missing = |(_, item): &(&Id, &Item)| item.acknowledged_ns.is_some() && !item.is_over();
        for (id, item) in items.iter().filter(missing) {
            let acknowledged = duration_text::readable(item.acknowledged_ns.unwrap_or_default());
            let (seen_ns, node, word) = item.last_seen.unwrap_or((0, NodeIndex(u32::MAX), "nothing"));
            let seen = format!("{word} on {} at {}", self.names.name(node), duration_text::readable(seen_ns));
            let place = item
                .enqueued
                .map_or("never enqueued".to_owned(), |(at, _)| format!("enqueued at position {at}"));
            let shape =
                if item.enqueued.is_some() { "missing after enqueue" } else { "missing without enqueue" };
            let message = format!("request {id} was acknowledged at {acknowledged} and is not done");
            let line = format!("{id}: acknowledged at {acknowledged}, {place}, last seen: {seen}");
            self.violations.add(at_ns, shape, Some(*id), message, line);
        }
        self.items = items;
    }
}

impl Invariant for Delivery {
    fn observe(&mut self, event: &Event) {
        match event.fact {
            Fact::Submit { id, .. } if !self.over.contains(id) => {
                let item = self.items.entry(id).or_default();
                item.last_seen = Some((event.at_ns, event.node, "submit"));
            }
            Fact::Acknowledge { id } => {
                if let Some(item) = self.asked(event, id)
                    && item.acknowledged_ns.replace(event.at_ns).is_none()
                {
                    self.acknowledged += 1;
                }
            }
            Fact::Enqueue { id, position } => self.enqueue(event, id, position),
            Fact::Deliver { id, .. } => {
                self.asked(event, id);
            }
            Fact::Finish { id, position, .. } => self.end(event, id, position, false),
            Fact::Quarantine { id, position, .. } => self.end(event, id, position, true),
            Fact::Redrive { id, position, .. } => self.put_back(event, id, position),
            Fact::Receive { id, .. } => {
                let item = self.items.get(&id);
                if !self.over.contains(id) && item.is_some_and(|item| item.finished.is_none()) {
                    let line = self.names.line(event);
                    let message = format!("the client of request {id} holds a result that was never made");
                    self.violations.add(event.at_ns, "result never made", Some(id), message, line);
                }
                self.settle(event, id);
            }
            Fact::Refuse { id, .. } | Fact::GiveUp { id } => self.settle(event, id),
            Fact::Drained {} => {
                self.drained = true;
                self.report_missing(event.at_ns);
            }
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        let open = |item: &&Item| item.acknowledged_ns.is_some() && !item.is_over();
        let open = self.items.values().filter(open).count();
        let unknown = (!self.drained && open > 0).then(|| {
            format!("the run ended before it had drained, and {open} acknowledged requests are not done")
        });
        Outcome { violations: self.violations.into_vec(), exercised: self.acknowledged, unknown }
    }
}
