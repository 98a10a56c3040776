//! `rollout`: a bad version hits no more than the stage that it was in.

use crate::names::Names;
use crate::verdict::Violations;
use crate::{Invariant, Law, Outcome};
use sim::history::{Event, Fact, NodeIndex};
use sim::plan::Plan;
use std::collections::BTreeMap;

/// What fails later has not been everywhere.
pub const LAW: Law = Law {
    name: "rollout",
    sentence: "no more nodes of a role ever run a version than its stage allows, none that is condemned goes further, and in \
               the end nobody runs one",
    needs: "a node that takes up a version which is rolled out in stages",
    survives: &[],
    make: |plan| Box::new(Rollout::new(plan)),
};

struct Rollout {
    names: Names,
    roles: Vec<String>,
    versions: BTreeMap<u64, Version>,
    /// What each node runs, and since which event.
    runs: BTreeMap<NodeIndex, (u64, Event)>,
    violations: Violations,
    adopted: u64,
}

#[derive(Default)]
struct Version {
    /// By role, the widest stage so far, in percent.
    stages: BTreeMap<String, (u32, Event)>,
    /// When each node first ran it.
    adopters: BTreeMap<NodeIndex, Event>,
    condemned: Option<Event>,
}

impl Rollout {
    fn new(plan: &Plan) -> Self {
        Self {
            names: Names::of(plan),
            roles: plan.nodes.iter().map(|node| node.role.clone()).collect(),
            versions: BTreeMap::new(),
            runs: BTreeMap::new(),
            violations: Violations::default(),
            adopted: 0,
        }
    }

    fn role(&self, node: NodeIndex) -> Option<&String> {
        self.roles.get(node.0 as usize)
    }

    fn stage(&mut self, event: &Event, number: u64, role: &str, percent: u32) {
        let version = self.versions.entry(number).or_default();
        if let Some(condemned) = &version.condemned {
            let message = format!("version {number} went on to {percent} % of {role} after it was condemned");
            let lines = vec![self.names.line(condemned), self.names.line(event)];
            self.violations.add_all(event.at_ns, "a condemned version goes on", None, message, lines);
        }
        let stage = version.stages.entry(role.to_owned()).or_insert_with(|| (percent, event.clone()));
        if percent > stage.0 {
            *stage = (percent, event.clone());
        }
    }

    fn adopt(&mut self, event: &Event, number: u64) {
        self.runs.insert(event.node, (number, event.clone()));
        let Some(role) = self.role(event.node).cloned() else { return };
        let nodes = self.roles.iter().filter(|other| **other == role).count();
        let roles = &self.roles;
        let version = self.versions.entry(number).or_default();
        version.adopters.entry(event.node).or_insert_with(|| event.clone());
        // What was there before stages were spoken of is nobody's rollout.
        if version.stages.is_empty() && version.condemned.is_none() {
            return;
        }
        self.adopted += 1;
        let percent = version.stages.get(&role).map_or(0, |(percent, _)| *percent);
        let allowed = (nodes * percent as usize).div_ceil(100);
        let of_role = |node: &&NodeIndex| roles.get(node.0 as usize) == Some(&role);
        let adopters = version.adopters.keys().filter(of_role).count();
        if adopters > allowed {
            let message = format!(
                "{adopters} of {nodes} nodes of {role} have run version {number}, and its stage of {percent} % allows {allowed}"
            );
            let stage = version.stages.get(&role).map(|(_, stage)| self.names.line(stage));
            let of_role = version.adopters.iter().filter(|(node, _)| of_role(node));
            let adopts = of_role.map(|(_, adopt)| self.names.line(adopt));
            let lines = stage.into_iter().chain(adopts).collect();
            self.violations.add_all(event.at_ns, "more than the stage allows", None, message, lines);
        }
    }

    fn settle(&mut self, event: &Event) {
        for (node, (number, since)) in &self.runs {
            if let Some(condemned) = self.versions.get(number).and_then(|version| version.condemned.as_ref())
            {
                let message =
                    format!("{} still runs version {number}, which was condemned", self.names.name(*node));
                let lines = vec![self.names.line(since), self.names.line(condemned)];
                self.violations.add_all(event.at_ns, "a condemned version stays", None, message, lines);
            }
        }
    }
}

impl Invariant for Rollout {
    fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::Stage { version, role, percent } => self.stage(event, *version, role, *percent),
            Fact::Adopt { version } => self.adopt(event, *version),
            Fact::Condemn { version } => {
                self.versions.entry(*version).or_default().condemned = Some(event.clone());
            }
            Fact::Exit { .. } => drop(self.runs.remove(&event.node)),
            Fact::Drained {} => self.settle(event),
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        Outcome { violations: self.violations.into_vec(), exercised: self.adopted, unknown: None }
    }
}
