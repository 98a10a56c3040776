//! Faults of the plan: begun at their times or by what sets them off, and healed.

mod armed;
mod inject;

pub(crate) use armed::Armed;

use super::agenda::Step;
use super::kernel::{self, Kernel};
use super::reached;
use crate::fault::{Fault, LEADER_OF, WHERE_IT_HAPPENED};
use crate::history::{Fact, NodeIndex, WORLD};
use armed::SetOff;
use std::collections::BTreeSet;

/// Plans the beginning and the end of every fault.
pub(crate) fn schedule(kernel: &mut Kernel, faults: &[Fault]) {
    for (index, fault) in (0_u32..).zip(faults) {
        let start_ns = fault.start_ns;
        match &fault.after {
            None => {
                let end_ns = fault.end_ns.max(start_ns);
                plan_beginning(
                    kernel,
                    Beginning { index, fault: fault.clone(), start_ns, end_ns, place: None },
                );
            }
            Some(_) => {
                let fault = fault.clone();
                let arm = move || kernel::with(|kernel| armed::arm(kernel, index, fault));
                kernel.agenda.push(start_ns, Step::Control(Box::new(arm)));
            }
        }
    }
}

/// Has what an event set off begin in its time.
pub(crate) fn set_off(kernel: &mut Kernel, set_off: Vec<SetOff>) {
    let event = kernel.recorder.events().saturating_sub(1);
    for SetOff { index, fault, cause, place } in set_off {
        let Some(after) = &fault.after else { continue };
        let start_ns = kernel.agenda.now_ns().saturating_add(after.delay_ns);
        let end_ns = start_ns.saturating_add(after.length_ns).min(fault.end_ns);
        // The run's end heals everything: what would begin later does not.
        if start_ns >= end_ns {
            continue;
        }
        kernel.record(WORLD, Fact::SetOff { fault: index, event, cause });
        plan_beginning(kernel, Beginning { index, fault, start_ns, end_ns, place });
    }
}

/// A fault that is to begin.
struct Beginning {
    index: u32,
    fault: Fault,
    start_ns: u64,
    end_ns: u64,
    /// The node on which happened what set it off.
    place: Option<NodeIndex>,
}

fn plan_beginning(kernel: &mut Kernel, beginning: Beginning) {
    kernel.agenda.push(beginning.start_ns, Step::Control(Box::new(move || begin(beginning))));
}

fn begin(beginning: Beginning) {
    let Beginning { index, fault, end_ns, place, .. } = beginning;
    let (nodes, roles) = kernel::with(|kernel| {
        let nodes = resolve(kernel, &fault.inject.targets(), place);
        kernel.record(WORLD, Fact::FaultStart { fault: index, nodes: nodes.clone() });
        let roles = nodes.iter().map(|node| kernel.node(*node).plan.role.clone()).collect();
        (nodes, roles)
    });
    reached::fault_began(index, fault.inject.word(), roles);
    let heal = inject::inject(index, &fault, end_ns, nodes, place);
    kernel::with(|kernel| {
        let end = Step::Control(Box::new(move || {
            heal();
            reached::fault_ended(index);
            kernel::with(|kernel| kernel.record(WORLD, Fact::FaultEnd { fault: index }));
        }));
        kernel.agenda.push(end_ns, end);
    });
}

/// The nodes that `names` stand for. `leader of ROLE` is the node of that role that led last, or its first node before
/// any led. Names were checked when the plan was read.
fn resolve(kernel: &Kernel, names: &[&str], place: Option<NodeIndex>) -> Vec<NodeIndex> {
    let mut nodes = BTreeSet::new();
    for name in names {
        let node = if *name == WHERE_IT_HAPPENED {
            place
        } else if let Some(role) = name.strip_prefix(LEADER_OF) {
            let leads = kernel.leaders.iter().find(|(of, _)| of == role).map(|(_, node)| *node);
            leads.or_else(|| kernel.index_of(&format!("{role}-1")))
        } else {
            kernel.index_of(name)
        };
        nodes.extend(node);
    }
    nodes.into_iter().collect()
}
