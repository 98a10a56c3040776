//! Faults of the plan, begun and healed at their times.

use super::agenda::Step;
use super::kernel::{self, Kernel};
use super::net::Harm;
use super::time;
use crate::fault::{Fault, Inject};
use crate::history::{Fact, NodeIndex, WORLD};
use std::collections::BTreeSet;

/// Plans the beginning and the end of every fault.
pub(crate) fn schedule(kernel: &mut Kernel, faults: &[Fault]) {
    for (index, fault) in (0_u32..).zip(faults) {
        let (start_ns, end_ns, fault) = (fault.start_ns, fault.end_ns.max(fault.start_ns), fault.clone());
        kernel.agenda.push(start_ns, Step::Control(Box::new(move || begin(index, &fault, end_ns))));
    }
}

fn begin(index: u32, fault: &Fault, end_ns: u64) {
    let nodes = kernel::with(|kernel| {
        let nodes = resolve(kernel, &fault.inject.targets());
        kernel.record(WORLD, Fact::FaultStart { fault: index, nodes: nodes.clone() });
        nodes
    });
    let heal = inject(index, &fault.inject, nodes);
    kernel::with(|kernel| {
        let end = Step::Control(Box::new(move || {
            heal();
            kernel::with(|kernel| kernel.record(WORLD, Fact::FaultEnd { fault: index }));
        }));
        kernel.agenda.push(end_ns, end);
    });
}

type Heal = Box<dyn FnOnce() + Send>;

/// Does the harm; what comes back undoes it.
fn inject(index: u32, inject: &Inject, nodes: Vec<NodeIndex>) -> Heal {
    match inject {
        Inject::PowerLoss(_) => {
            nodes.iter().for_each(|node| kernel::power_off(*node, index));
            Box::new(move || nodes.into_iter().for_each(|node| kernel::power_on(node, index)))
        }
        Inject::Crash(_) => {
            nodes.iter().for_each(|node| kernel::crash(*node, index));
            Box::new(move || nodes.into_iter().for_each(|node| kernel::uncrash(node, index)))
        }
        Inject::Pause(_) => {
            nodes.iter().for_each(|node| kernel::pause(*node, index));
            Box::new(move || nodes.into_iter().for_each(|node| kernel::resume(node, index)))
        }
        Inject::SlowDisk(slow) => {
            let factor = slow.factor;
            kernel::with(|kernel| {
                nodes.iter().for_each(|node| kernel.node(*node).disk.slow_by(index, factor))
            });
            Box::new(move || {
                kernel::with(|kernel| nodes.iter().for_each(|node| kernel.node(*node).disk.heal(index)));
            })
        }
        Inject::ClockStep(step) => {
            let by_ns = step.by_ns;
            kernel::with(|kernel| nodes.iter().for_each(|node| kernel.node(*node).clock.step(by_ns)));
            Box::new(move || {
                kernel::with(|kernel| nodes.iter().for_each(|node| kernel.node(*node).clock.step(-by_ns)));
            })
        }
        Inject::ClockDrift(drift) => {
            let rate = drift.parts_per_million;
            kernel::with(|kernel| nodes.iter().for_each(|node| change_drift(kernel, *node, rate)));
            Box::new(move || {
                kernel::with(|kernel| nodes.iter().for_each(|node| change_drift(kernel, *node, -rate)));
            })
        }
        Inject::Cut(cut) => harm(index, &cut.from, &cut.to, cut.both_ways, &Harm::Cut),
        Inject::Delay(delay) => {
            let slow = Harm::Delay { by_ns: delay.by_ns, jitter_ns: delay.jitter_ns };
            harm(index, &delay.from, &delay.to, delay.both_ways, &slow)
        }
        Inject::Loss(loss) => {
            let lossy = Harm::Loss { probability: loss.probability };
            harm(index, &loss.from, &loss.to, loss.both_ways, &lossy)
        }
    }
}

/// Harms every link from a node of `from` to a node of `to` that is not on both sides.
fn harm(index: u32, from: &[String], to: &[String], both_ways: bool, harm: &Harm) -> Heal {
    kernel::with(|kernel| {
        let from = resolve(kernel, &from.iter().map(String::as_str).collect::<Vec<_>>());
        let to = resolve(kernel, &to.iter().map(String::as_str).collect::<Vec<_>>());
        for one in &from {
            for other in to.iter().filter(|other| !(from.contains(other) && to.contains(one))) {
                kernel.net.harm(index, *one, *other, harm);
                if both_ways {
                    kernel.net.harm(index, *other, *one, harm);
                }
            }
        }
    });
    Box::new(move || kernel::with(|kernel| kernel.net.heal(index)))
}

fn change_drift(kernel: &mut Kernel, node: NodeIndex, by_parts_per_million: f64) {
    let now_ns = kernel.agenda.now_ns();
    kernel.node(node).clock.drift(now_ns, by_parts_per_million);
    time::clock_changed(kernel, node);
}

/// The nodes that `names` stand for. `leader of ROLE` is the node of that role that led last, or its first node before
/// any led. Names were checked when the plan was read.
fn resolve(kernel: &Kernel, names: &[&str]) -> Vec<NodeIndex> {
    let mut nodes = BTreeSet::new();
    for name in names {
        let node = match name.strip_prefix("leader of ") {
            None => kernel.index_of(name),
            Some(role) => {
                let leads = kernel.leaders.iter().find(|(of, _)| of == role).map(|(_, node)| *node);
                leads.or_else(|| kernel.index_of(&format!("{role}-1")))
            }
        };
        if let Some(node) = node {
            nodes.insert(node);
        }
    }
    nodes.into_iter().collect()
}
