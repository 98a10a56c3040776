//! A world without faults, as other files than scenarios ask for one: a review brings events of its own.

use super::{DRAIN_NS, Injection, Scenario, Variant, World, faults, nodes, overlay, settings, workload};
use crate::diagnostics::{Diagnostic, one_of};
use crate::error::ScenarioError;
use crate::section::Section;
use crate::value;
use sim::plan::NodePlan;
use sim::stack::Stack;
use std::collections::BTreeMap;

/// Reads a topology: another scenario's (`scenario`, `variant`), which `find` finds by its name, with whatever `nodes`,
/// `workload`, `network`, `disk` and `settings` say in its place; or all of it from these. Faults of that scenario are left out.
pub fn topology(
    section: &Section<'_>,
    stack: &dyn Stack,
    find: &dyn Fn(&str) -> Result<Scenario, ScenarioError>,
) -> Option<Scenario> {
    let base = base(section, stack, find)?;
    let changes = nodes::changes(section, stack);
    let change = Variant {
        name: String::new(),
        why: String::new(),
        settings: settings(section, "settings", stack),
        nodes: changes,
        expect: BTreeMap::new(),
    };
    let mut scenario = base.scenario.with(&change);
    if !base.found || section.raw("workload").is_some() {
        scenario.workload = workload(section, None)?;
    }
    if let Some(network) = section.section("network", "the network") {
        scenario.network = overlay(&network, false)?;
    }
    if let Some(disk) = section.section("disk", "the disk") {
        scenario.disk = overlay(&disk, false)?;
    }
    section.finish();
    Some(scenario)
}

struct Base {
    scenario: Scenario,
    /// Whether it is another file's, which has a workload.
    found: bool,
}

fn base(
    section: &Section<'_>,
    stack: &dyn Stack,
    find: &dyn Fn(&str) -> Result<Scenario, ScenarioError>,
) -> Option<Base> {
    let name = section.get("scenario", value::text);
    let variant = section.get("variant", value::text);
    let Some(name) = name else {
        if let Some(variant) = variant {
            let problem =
                Diagnostic::new(variant.span(), "`variant` goes with `scenario`", "of which scenario?");
            section.log.push(problem);
        }
        return Some(Base { scenario: bare(stack), found: false });
    };
    let mut scenario = match find(name.get_ref()) {
        Ok(scenario) => scenario,
        Err(ScenarioError::Invalid(_)) => {
            let label = format!("it has problems of its own: `hogwash check {}` shows them", name.get_ref());
            section.log.push(Diagnostic::new(name.span(), "the scenario cannot be used", label));
            return None;
        }
        Err(error) => {
            section.log.push(Diagnostic::new(name.span(), "the scenario cannot be used", error.to_string()));
            return None;
        }
    };
    if let Some(variant) = variant {
        let Some(found) = scenario.variant(variant.get_ref()).cloned() else {
            let title = format!("`{}` has no variant `{}`", scenario.name, variant.get_ref());
            let names = one_of(scenario.variants.iter().map(|variant| variant.name.as_str()));
            section.log.push(Diagnostic::new(variant.span(), title, format!("it has {names}")));
            return None;
        };
        scenario = scenario.with(&found);
    }
    scenario.faults.clear();
    scenario.expect.clear();
    scenario.objectives = sim::plan::Objectives::default();
    scenario.variants.clear();
    Some(Base { scenario, found: true })
}

/// The stack's own nodes with nobody who asks anything of them.
fn bare(stack: &dyn Stack) -> Scenario {
    Scenario {
        name: "topology".to_owned(),
        why: String::new(),
        duration_ns: DRAIN_NS,
        drain_ns: DRAIN_NS,
        nodes: nodes::of_stack(stack, &BTreeMap::new()),
        workload: sim::plan::Workload::default(),
        network: sim::plan::NetworkPlan::default(),
        disk: sim::plan::DiskPlan::default(),
        byte_scale: 1,
        settings: BTreeMap::new(),
        faults: Vec::new(),
        expect: BTreeMap::new(),
        objectives: sim::plan::Objectives::default(),
        variants: Vec::new(),
    }
}

/// What the event in `section` injects; its target must be possible among the nodes of each of `worlds`, of which all but the
/// first have the names of what changed them.
pub fn events_injection(
    section: &Section<'_>,
    worlds: &[(Option<String>, Vec<NodePlan>)],
) -> Option<Injection> {
    let worlds: Vec<World> = worlds
        .iter()
        .map(|(variant, nodes)| World { nodes: nodes.clone(), variant: variant.clone() })
        .collect();
    faults::inject(section, &worlds)
}

impl Scenario {
    /// The scenario with what `change` changes.
    #[must_use]
    pub fn with(&self, change: &Variant) -> Self {
        let mut changed = self.clone();
        changed.nodes = self.nodes_of(Some(change));
        changed.settings.extend(change.settings.clone());
        changed
    }

    /// The nodes that it stands for in the universe of seed 0, whose names and domains are those of every universe.
    pub fn plan_nodes(&self) -> Vec<NodePlan> {
        nodes::expand(&self.nodes, 0)
    }
}
