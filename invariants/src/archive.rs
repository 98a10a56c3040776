//! `archive`: what was put away is there, whole and unchanged, whenever somebody asks, for as long as it has to be kept.

use crate::names::Names;
use crate::verdict::Violations;
use crate::{Bound, Invariant, Keepers, Law, Outcome};
use sim::duration_text;
use sim::fault::Inject;
use sim::history::{Digest, Event, Fact, NodeIndex};
use sim::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};

/// Written once, kept by several, read back as it was.
pub const LAW: Law = Law {
    name: "archive",
    sentence: "what is archived is kept by a majority of the archive's nodes before anybody is told so, has one content \
               for good, is neither discarded nor said to be absent before its retention is over, does not come back \
               after that, and in the end is whole on every node that has not discarded it",
    needs: "an object that is archived",
    survives: &[Bound::Disks { of: Keepers::Archive, most: 1 }],
    make: |plan| Box::new(Archive::new(plan)),
};

/// A node may count from a little before it says that it has a copy: this share of a retention is for the time between, which matters to runs
/// of minutes, and no more than this, which is nothing of seven years.
const BEFORE: f64 = 0.1;
const BEFORE_MAX_NS: u64 = 60_000_000_000;

/// The law at work.
struct Archive {
    names: Names,
    roles: Vec<String>,
    objects: BTreeMap<String, Object>,
    violations: Violations,
    archived: u64,
    healed: bool,
    /// How many seconds at the most pass on a node's clock in one of true time.
    fastest: f64,
}

#[derive(Default)]
struct Object {
    /// By content: the nodes that ever kept a copy, each with the event.
    copies: BTreeMap<Digest, BTreeMap<NodeIndex, Event>>,
    /// The nodes that have a receipt instead, as far as is known, each with the event.
    receipts: BTreeMap<NodeIndex, Event>,
    /// Whether any ever had.
    discarded: bool,
    /// The content that somebody was told is archived.
    archived: Option<(Digest, Event)>,
    /// Questions under way, and whether the object was archived when they were asked.
    asked: BTreeMap<(NodeIndex, u64), bool>,
    /// What nodes last said that they have, or that they discarded, once all was healed.
    inventory: BTreeMap<NodeIndex, (Option<Digest>, Event)>,
}

impl Archive {
    fn new(plan: &Plan) -> Self {
        Self {
            names: Names::of(plan),
            roles: plan.nodes.iter().map(|node| node.role.clone()).collect(),
            objects: BTreeMap::new(),
            violations: Violations::default(),
            archived: 0,
            healed: false,
            fastest: fastest(plan),
        }
    }

    fn add(&mut self, shape: &str, message: String, events: &[&Event]) {
        let at_ns = events.last().map_or(0, |event| event.at_ns);
        let lines = events.iter().map(|event| self.names.line(event)).collect();
        self.violations.add_all(at_ns, shape, None, message, lines);
    }

    fn object(&mut self, name: &str) -> &mut Object {
        self.objects.entry(name.to_owned()).or_default()
    }

    /// A node has a copy of an object, or a receipt of it.
    fn keep(&mut self, event: &Event, name: &str, content: Digest) {
        let object = self.object(name);
        object.copies.entry(content).or_default().entry(event.node).or_insert_with(|| event.clone());
        let archived = object.archived.clone();
        if let Some((_, told)) = archived.filter(|(right, _)| *right != content) {
            let node = self.names.name(event.node);
            let message =
                format!("{node} keeps {content} as `{name}`, which is archived with another content");
            self.add("a copy of something else", message, &[&told, event]);
        }
    }

    fn copy(&mut self, event: &Event, name: &str, content: Digest) {
        let object = self.object(name);
        // Where any node still has a copy, one whose receipt was damaged may have fetched it.
        let mut copies = object.copies.get(&content).into_iter().flatten();
        let all_gone = copies.all(|(node, _)| object.receipts.contains_key(node));
        let receipt = object.receipts.remove(&event.node);
        if let Some(receipt) = receipt.filter(|_| all_gone) {
            let node = self.names.name(event.node);
            let message = format!("{node} keeps `{name}` again, which all nodes had discarded");
            self.add("brought back", message, &[&receipt, event]);
        }
        self.keep(event, name, content);
    }

    fn discard(&mut self, event: &Event, name: &str, content: Digest, after_ns: u64) {
        let before_ns = share(after_ns, BEFORE).min(BEFORE_MAX_NS);
        let (least_ns, is_healed) = (share(after_ns - before_ns, 1.0 / self.fastest), self.healed);
        let object = self.object(name);
        let copies = object.copies.get(&content).into_iter().flat_map(BTreeMap::values);
        let first = copies.min_by_key(|copy| copy.at_ns).cloned();
        object.receipts.insert(event.node, event.clone());
        if is_healed {
            object.inventory.insert(event.node, (Some(content), event.clone()));
        }
        object.discarded = true;
        let (node, retention) = (self.names.name(event.node), duration_text::readable(after_ns));
        match first {
            None => {
                let message = format!("{node} discards `{name}`, of which nobody kept a copy");
                self.add("a receipt for nothing", message, &[event]);
            }
            Some(first) if event.at_ns - first.at_ns < least_ns => {
                let age = duration_text::readable(event.at_ns - first.at_ns);
                let message =
                    format!("{node} discards `{name}` after {age}, which has to be kept for {retention}");
                self.add("discarded too soon", message, &[&first, event]);
            }
            Some(_) => {}
        }
        self.keep(event, name, content);
    }

    /// A node that lost something may have lost any of its receipts.
    fn lose(&mut self, node: NodeIndex) {
        self.objects.values_mut().for_each(|object| object.receipts.retain(|other, _| *other != node));
    }

    fn archive(&mut self, event: &Event, name: &str, content: Digest) {
        self.archived += 1;
        let object = self.object(name);
        if let Some((before, told)) = object.archived.clone() {
            if before != content {
                let message = format!("`{name}` is archived twice: as {before}, and as {content}");
                self.add("two contents", message, &[&told, event]);
            }
            return;
        }
        object.archived = Some((content, event.clone()));
        let copies = object.copies.get(&content).cloned().unwrap_or_default();
        let role = |node: &NodeIndex| self.roles.get(node.0 as usize);
        let of = copies.keys().next().and_then(role);
        let nodes = of.map_or(0, |of| self.roles.iter().filter(|role| *role == of).count());
        if 2 * copies.len() <= nodes || copies.is_empty() {
            let message = match copies.len() {
                0 => format!("`{name}` is called archived, and nobody keeps it"),
                count => format!("`{name}` is called archived, and {count} of {nodes} nodes keep it"),
            };
            let events: Vec<&Event> = copies.values().chain([event]).collect();
            self.add("too few copies", message, &events);
        }
    }

    fn restore(&mut self, event: &Event, name: &str, question: u64, content: Option<Digest>) {
        let object = self.object(name);
        let Some(was_archived) = object.asked.remove(&(event.node, question)) else { return };
        let (archived, discarded) = (object.archived.clone(), object.discarded);
        match (archived, content) {
            (Some((right, told)), Some(content)) if right != content => {
                let message = format!("`{name}` is read back as {content}, and was archived as {right}");
                self.add("another content", message, &[&told, event]);
            }
            (Some((_, told)), None) if was_archived && !discarded => {
                let message = format!("`{name}` is said to be absent, and was archived before");
                self.add("absent", message, &[&told, event]);
            }
            (None, Some(content)) if !object.copies.contains_key(&content) => {
                let message = format!("`{name}` is read back as {content}, which nobody put there");
                self.add("invented", message, &[event]);
            }
            _ => {}
        }
    }

    /// All is healed and quiet: whoever keeps the archive has all of it, or a receipt.
    fn settle(&mut self, event: &Event) {
        let objects = std::mem::take(&mut self.objects);
        let nodes: BTreeSet<NodeIndex> =
            objects.values().flat_map(|object| object.inventory.keys()).copied().collect();
        let archived = |(name, object)| Some((name, object, Object::archived(object)?));
        for (name, object, (right, told)) in objects.iter().filter_map(archived) {
            for node in &nodes {
                let said = object.inventory.get(node);
                if said.is_some_and(|(content, _)| content.as_ref() == Some(right)) {
                    continue;
                }
                let node = self.names.name(*node);
                let message = format!("in the end {node} does not have `{name}` as it was archived");
                let said = said.map_or(event, |(_, said)| said);
                self.add("a copy is missing", message, &[told, said, event]);
            }
        }
        self.objects = objects;
    }
}

/// How fast clocks may run in a run of `plan`: an object's age is counted on several, and faults may add up.
fn fastest(plan: &Plan) -> f64 {
    let nodes = plan.nodes.iter().map(|node| node.clock_drift_parts_per_million);
    let faults = plan.faults.iter().map(|fault| match &fault.inject {
        Inject::ClockDrift(drift) => drift.parts_per_million.max(0.0),
        _ => 0.0,
    });
    1.0 + (nodes.fold(0.0, f64::max) + faults.sum::<f64>()) / 1e6
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a time, which saturates"
)]
fn share(of_ns: u64, share: f64) -> u64 {
    (of_ns as f64 * share) as u64
}

impl Object {
    fn archived(&self) -> Option<&(Digest, Event)> {
        self.archived.as_ref()
    }
}

impl Invariant for Archive {
    fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::Archive { object, content } => self.copy(event, object, *content),
            Fact::Discard { object, content, after_ns } => self.discard(event, object, *content, *after_ns),
            Fact::DiskLoss { synced: true, .. } => self.lose(event.node),
            Fact::Archived { object, content } => self.archive(event, object, *content),
            Fact::Recall { object, question } => {
                let (node, object) = (event.node, self.object(object));
                let is_archived = object.archived.is_some();
                object.asked.insert((node, *question), is_archived);
            }
            Fact::Restore { object, question, content } => {
                self.restore(event, object, *question, content.first().copied())
            }
            Fact::Inventory { object, content } if self.healed => {
                self.object(object).inventory.insert(event.node, (content.first().copied(), event.clone()));
            }
            Fact::Healed {} => self.healed = true,
            Fact::Drained {} => self.settle(event),
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        Outcome { violations: self.violations.into_vec(), exercised: self.archived, unknown: None }
    }
}
