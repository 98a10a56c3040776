//! `store`: what an eventually consistent store promises, and no more.

use crate::names::Names;
use crate::verdict::Violations;
use crate::{Bound, Invariant, Keepers, Law, Outcome};
use sim::history::{Digest, Event, Fact, Id, NodeIndex};
use sim::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};

/// Eventually consistent: in the end, and to whom it was promised.
pub const LAW: Law = Law {
    name: "store",
    sentence: "the store invents nothing; once healed its replicas hold the same, all that was kept and not replaced, and \
               nothing that was; a client's session sees what it wrote and nothing older than what it saw",
    needs: "a read that is answered, or replicas that say what they hold once all is healed",
    survives: &[Bound::Disks { of: Keepers::Store, most: 1 }],
    make: |plan| Box::new(Store::new(plan)),
};

/// The law at work. Sources: DeCandia et al. 2007 ("Dynamo", what versions replace), Terry et al. 1994 (session guarantees).
/// Concurrent writes may both be there, and a stale answer outside a session is no violation.
struct Store {
    names: Names,
    keys: BTreeMap<String, Key>,
    operations: BTreeMap<Id, Operation>,
    violations: Violations,
    seen: u64,
    healed: bool,
}

/// One operation under way.
enum Operation {
    Change { key: String, value: Option<Digest> },
    Read { key: String, session: Option<Vec<Digest>> },
}

#[derive(Default)]
struct Key {
    changes: Vec<Change>,
    /// What each client wrote and was told is kept, or saw.
    sessions: BTreeMap<u32, BTreeSet<Digest>>,
    /// What replicas say that they hold, once healed.
    holds: BTreeMap<NodeIndex, (BTreeSet<Digest>, Event)>,
}

/// A write, or a deletion, which has no value.
struct Change {
    id: Id,
    value: Option<Digest>,
    over: Vec<Digest>,
    kept: bool,
    event: Event,
}

impl Key {
    fn of(&self, value: Digest) -> Option<&Change> {
        self.changes.iter().find(|change| change.value == Some(value))
    }

    /// All that `changes` replace, and what that had replaced.
    fn replaced<'a>(&self, changes: impl Iterator<Item = &'a Change>) -> BTreeSet<Digest> {
        let mut replaced = BTreeSet::new();
        let mut open: Vec<Digest> = changes.flat_map(|change| change.over.iter().copied()).collect();
        while let Some(value) = open.pop() {
            if replaced.insert(value) {
                open.extend(self.of(value).iter().flat_map(|change| change.over.iter().copied()));
            }
        }
        replaced
    }
}

impl Store {
    fn new(plan: &Plan) -> Self {
        Self {
            names: Names::of(plan),
            keys: BTreeMap::new(),
            operations: BTreeMap::new(),
            violations: Violations::default(),
            seen: 0,
            healed: false,
        }
    }

    fn add(&mut self, at_ns: u64, shape: &str, id: Option<Id>, message: String, events: &[&Event]) {
        let lines = events.iter().map(|event| self.names.line(event)).collect();
        self.violations.add_all(at_ns, shape, id, message, lines);
    }

    fn change(&mut self, event: &Event, id: Id, key: &str, value: Option<Digest>, over: &[Digest]) {
        let changes = &mut self.keys.entry(key.to_owned()).or_default().changes;
        // Who tries again says the same again.
        if !changes.iter().any(|change| change.id == id && change.value == value) {
            changes.push(Change { id, value, over: over.to_vec(), kept: false, event: event.clone() });
        }
        self.operations.insert(id, Operation::Change { key: key.to_owned(), value });
    }

    fn written(&mut self, id: Id) {
        let Some(Operation::Change { key, value }) = self.operations.remove(&id) else { return };
        let Some(state) = self.keys.get_mut(&key) else { return };
        state.changes.iter_mut().filter(|change| change.id == id).for_each(|change| change.kept = true);
        state.sessions.entry(id.client()).or_default().extend(value);
    }

    fn found(&mut self, event: &Event, id: Id, values: &[Digest]) {
        let Some(Operation::Read { key, session }) = self.operations.remove(&id) else { return };
        self.seen += 1;
        let state = self.keys.remove(&key).unwrap_or_default();
        for value in values.iter().filter(|value| state.of(**value).is_none()) {
            let message = format!("read {id} of `{key}` found {value}, which nobody wrote");
            self.add(event.at_ns, "invented", Some(id), message, &[event]);
        }
        if let Some(known) = session {
            let changes =
                || state.changes.iter().filter(|change| change.value.is_some_and(|one| known.contains(&one)));
            let old = state.replaced(changes());
            for value in values.iter().filter(|value| old.contains(value)) {
                let message =
                    format!("read {id} of `{key}` found {value}, older than what its session knows");
                let events: Vec<_> = changes().map(|change| &change.event).chain([event]).collect();
                self.add(event.at_ns, "a session went back", Some(id), message, &events);
            }
            // What anybody may have replaced by now need not be there.
            let gone = state.replaced(state.changes.iter());
            let missing = changes().find(|change| {
                change.value.is_some_and(|one| !values.contains(&one) && !gone.contains(&one))
            });
            if let Some(change) = missing {
                let message = format!("read {id} of `{key}` does not find what its session knows");
                self.add(event.at_ns, "a session lost something", Some(id), message, &[&change.event, event]);
            }
        }
        let mut state = state;
        let known = values.iter().copied().filter(|value| state.of(*value).is_some()).collect::<Vec<_>>();
        state.sessions.entry(id.client()).or_default().extend(known);
        self.keys.insert(key, state);
    }

    fn hold(&mut self, event: &Event, key: &str, values: &[Digest]) {
        if self.healed {
            self.seen += 1;
            let state = self.keys.entry(key.to_owned()).or_default();
            state.holds.insert(event.node, (values.iter().copied().collect(), event.clone()));
        }
    }

    /// All is healed and quiet.
    fn settle(&mut self, event: &Event) {
        let at_ns = event.at_ns;
        let keys = std::mem::take(&mut self.keys);
        let anybody_says = keys.values().any(|state| !state.holds.is_empty());
        for (key, state) in keys.iter().filter(|(_, state)| anybody_says && state.holds.is_empty()) {
            let gone = state.replaced(state.changes.iter());
            for change in state.changes.iter().filter(|change| change.kept) {
                if let Some(value) = change.value.filter(|value| !gone.contains(value)) {
                    let message = format!("nobody speaks of `{key}`, under which {value} was kept");
                    self.add(at_ns, "forgotten", Some(change.id), message, &[&change.event, event]);
                }
            }
        }
        for (key, state) in keys.iter().filter(|(_, state)| !state.holds.is_empty()) {
            let (first, said) = state.holds.values().next().expect("it is not empty");
            if let Some((_, other)) = state.holds.values().find(|(values, _)| values != first) {
                let message = format!("replicas do not hold the same under `{key}` once all is healed");
                self.add(at_ns, "replicas differ", None, message, &[said, other]);
            }
            let held: BTreeSet<Digest> =
                state.holds.values().flat_map(|(values, _)| values).copied().collect();
            for value in held.iter().filter(|value| state.of(**value).is_none()) {
                let message = format!("`{key}` holds {value}, which nobody wrote");
                self.add(at_ns, "invented", None, message, &[said]);
            }
            let kept = || state.changes.iter().filter(|change| change.kept);
            for value in &held {
                let by = kept().find(|change| state.replaced(std::iter::once(*change)).contains(value));
                if let Some(by) = by {
                    let what = if by.value.is_some() { "replaced" } else { "deleted" };
                    let message = format!("`{key}` holds {value} again, which was {what}");
                    let holder = state.holds.values().find(|(values, _)| values.contains(value));
                    let holder = holder.map_or(said, |(_, said)| said);
                    self.add(at_ns, "risen from the dead", Some(by.id), message, &[&by.event, holder]);
                }
            }
            let gone = state.replaced(state.changes.iter());
            for change in kept() {
                let lost = change.value.filter(|value| !held.contains(value) && !gone.contains(value));
                if let Some(value) = lost {
                    let message = format!("`{key}` does not hold {value}, which was kept and never replaced");
                    self.add(at_ns, "lost", Some(change.id), message, &[&change.event, said]);
                }
            }
        }
        self.keys = keys;
    }
}

impl Invariant for Store {
    fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::Write { id, key, value, over } => self.change(event, *id, key, Some(*value), over),
            Fact::Delete { id, key, over } => self.change(event, *id, key, None, over),
            Fact::Written { id } => self.written(*id),
            Fact::Read { id, key, session } => {
                let known = self.keys.get(key).and_then(|state| state.sessions.get(&id.client()));
                let known = known.map(|known| known.iter().copied().collect()).unwrap_or_default();
                let read = Operation::Read { key: key.clone(), session: session.then_some(known) };
                self.operations.insert(*id, read);
            }
            Fact::Found { id, values } => self.found(event, *id, values),
            Fact::Hold { key, values } => self.hold(event, key, values),
            Fact::Healed {} => self.healed = true,
            Fact::Drained {} => self.settle(event),
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        Outcome { violations: self.violations.into_vec(), exercised: self.seen, unknown: None }
    }
}
