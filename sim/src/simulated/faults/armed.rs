//! Faults that wait for what sets them off.

use super::set_off;
use crate::fault::{Cause, Fault, Load};
use crate::history::{Event, Fact, NodeIndex, WORLD};
use crate::simulated::agenda::Step;
use crate::simulated::kernel::{self, Kernel, Node};

/// How often a node's load is looked at.
const LOAD_PERIOD_NS: u64 = 100_000_000;

/// The faults that wait.
#[derive(Default)]
pub(crate) struct Armed {
    waiting: Vec<(u32, Fault)>,
    /// The names of the plan's faults, by their place.
    names: Vec<String>,
}

/// A fault that something has set off.
pub(crate) struct SetOff {
    pub(super) index: u32,
    pub(super) fault: Fault,
    /// The cause, in words.
    pub(super) cause: String,
    pub(super) place: Option<NodeIndex>,
}

impl Armed {
    /// Knows the plan's faults by name.
    pub(crate) fn know(&mut self, faults: &[Fault]) {
        self.names = faults.iter().map(|fault| fault.name.clone()).collect();
    }

    /// What `event`, which is about to be recorded, sets off. Nothing does so twice.
    pub(crate) fn hear(&mut self, event: &Event, nodes: &[Node]) -> Vec<SetOff> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let names = &self.names;
        let is = |fault: &Fault| {
            fault.end_ns > event.at_ns
                && fault.after.as_ref().is_some_and(|after| is_cause(&after.event, event, nodes, names))
        };
        let heard: Vec<_> = self.waiting.extract_if(.., |(_, fault)| is(fault)).collect();
        let place = (event.node != WORLD).then_some(event.node);
        heard
            .into_iter()
            .map(|(index, fault)| SetOff { index, fault, cause: words(event, nodes, names), place })
            .collect()
    }
}

/// Has `fault` wait for its cause from now on.
pub(super) fn arm(kernel: &mut Kernel, index: u32, fault: Fault) {
    if let Some(Cause::Load(load)) = fault.after.as_ref().map(|after| after.event.clone()) {
        let count = kernel.nodes.len();
        plan_look(kernel, Watch { index, fault, load, busy_since_ns: vec![None; count] });
    } else {
        kernel.armed.waiting.push((index, fault));
    }
}

fn is_cause(cause: &Cause, event: &Event, nodes: &[Node], names: &[String]) -> bool {
    let of_role = |role: &str| {
        event.node != WORLD && nodes.get(event.node.0 as usize).is_some_and(|node| node.plan.role == role)
    };
    let called = |index: u32, name: &str| {
        names.get(index as usize).is_some_and(|own| {
            let rest = own.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('.').is_some_and(is_number))
        })
    };
    match (cause, &event.fact) {
        (Cause::FaultStart(name), Fact::FaultStart { fault, .. })
        | (Cause::FaultEnd(name), Fact::FaultEnd { fault }) => called(*fault, name),
        (Cause::Lead(role), Fact::Lead { .. }) | (Cause::Exit(role), Fact::Exit { .. }) => of_role(role),
        (Cause::Boot(role), Fact::Boot { incarnation }) => *incarnation > 1 && of_role(role),
        _ => false,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn words(event: &Event, nodes: &[Node], names: &[String]) -> String {
    let node = nodes.get(event.node.0 as usize).map_or("the world", |node| node.plan.name.as_str());
    let fault = |index: &u32| names.get(*index as usize).map_or("a fault", String::as_str);
    match &event.fact {
        Fact::FaultStart { fault: index, .. } => format!("{} began", fault(index)),
        Fact::FaultEnd { fault: index } => format!("{} ended", fault(index)),
        Fact::Lead { .. } => format!("{node} began to lead"),
        Fact::Exit { .. } => format!("the process of {node} ended"),
        _ => format!("the process of {node} started again"),
    }
}

/// A fault that waits for load.
struct Watch {
    index: u32,
    fault: Fault,
    load: Load,
    /// Since when each node has been as busy as asked.
    busy_since_ns: Vec<Option<u64>>,
}

fn plan_look(kernel: &mut Kernel, watch: Watch) {
    let next_ns = kernel.agenda.now_ns() + LOAD_PERIOD_NS;
    if next_ns < watch.fault.end_ns {
        kernel
            .agenda
            .push(next_ns, Step::Control(Box::new(move || kernel::with(|kernel| look(kernel, watch)))));
    }
}

fn look(kernel: &mut Kernel, mut watch: Watch) {
    let now_ns = kernel.agenda.now_ns();
    let mut found = None;
    for (number, node) in (0_u32..).zip(&kernel.nodes) {
        let since_ns = &mut watch.busy_since_ns[number as usize];
        let busy =
            node.running && node.plan.role == watch.load.role && node.cpu.busy(now_ns) >= watch.load.share;
        *since_ns = if busy { since_ns.or(Some(now_ns)) } else { None };
        if found.is_none() && since_ns.is_some_and(|since_ns| now_ns - since_ns >= watch.load.lasts_ns) {
            found = Some((NodeIndex(number), node.plan.name.clone()));
        }
    }
    let Some((place, name)) = found else { return plan_look(kernel, watch) };
    let percent = watch.load.share * 100.0;
    let cause = format!("the cores of {name} were {percent:.0} % busy");
    let Watch { index, fault, .. } = watch;
    set_off(kernel, vec![SetOff { index, fault, cause, place: Some(place) }]);
}
