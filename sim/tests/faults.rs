//! Each kind of fault does what it says, and its end undoes it: on two servers of one small world.
#![cfg(not(live))]
#![expect(clippy::unwrap_used, reason = "a test fails by its panic")]
#![expect(dead_code, reason = "the harness serves more tests than these")]

#[path = "disk/harness.rs"]
mod harness;

#[path = "faults/causes.rs"]
mod causes;
#[path = "faults/disks.rs"]
mod disks;
#[path = "faults/hosts.rs"]
mod hosts;
#[path = "faults/links.rs"]
mod links;

use sim::fault::{Fault, On};
use sim::history::{Event, Fact};
use sim::plan::{DiskPlan, Plan};

extern crate hogwash_sim as sim;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;

/// `server-1` and `server-2`, with these faults.
fn two_servers(faults: Vec<Fault>) -> Plan {
    let mut plan = harness::plan(DiskPlan::default(), faults);
    plan.duration_ns = 40 * SECOND;
    let mut second = plan.nodes[0].clone();
    second.name = "server-2".to_owned();
    plan.nodes.insert(1, second);
    plan
}

fn on(nodes: &[&str]) -> On {
    On { nodes: names(nodes) }
}

fn names(nodes: &[&str]) -> Vec<String> {
    nodes.iter().map(|name| (*name).to_owned()).collect()
}

/// The notes of `node` (its place in the plan): when, in milliseconds of true time, and what.
fn notes_of(events: &[Event], node: u32) -> Vec<(u64, String)> {
    let note = |event: &Event| match &event.fact {
        Fact::Note { text } if event.node.0 == node => Some((event.at_ns / MILLISECOND, text.clone())),
        _ => None,
    };
    events.iter().filter_map(note).collect()
}

/// When, in milliseconds of true time, the process of `node` started.
fn boots_of(events: &[Event], node: u32) -> Vec<u64> {
    let boot = |event: &Event| match &event.fact {
        Fact::Boot { .. } if event.node.0 == node => Some(event.at_ns / MILLISECOND),
        _ => None,
    };
    events.iter().filter_map(boot).collect()
}

/// How many events of `node` have this word.
fn count_of(events: &[Event], node: u32, word: &str) -> usize {
    events.iter().filter(|event| event.node.0 == node && event.fact.word() == word).count()
}
