//! Faults by whom they take: what an independent twin does to one node is what the shared event does to all.

use serde::Deserialize;
use sim::fault::Inject;

/// How a plan names whoever leads a role when a fault begins.
pub const LEADER_OF: &str = "leader of ";
/// Kinds of fault that slow or confuse a node and leave it up: no claim counts them as its failures.
const DEGRADING: [&str; 5] = ["delay", "loss", "slow-disk", "clock-step", "clock-drift"];
/// The fields that name whom a fault hits: its nodes, or those on the first side of its links.
const HIT: [&str; 2] = ["nodes", "from"];

/// Whether a fault of this kind leaves the nodes that it hits up.
pub fn degrades(kind: &str) -> bool {
    DEGRADING.contains(&kind)
}

/// The names of the nodes that a fault hits; on a link, those of its first side.
pub fn hit(inject: &Inject) -> Vec<String> {
    let names = fields(inject).1.into_iter().find(|(key, _)| HIT.contains(&key.as_str()));
    let Some((_, toml::Value::Array(names))) = names else { return Vec::new() };
    names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// The names of the nodes that are not up while the fault lasts.
pub fn takes(inject: &Inject) -> Vec<String> {
    if degrades(inject.word()) { Vec::new() } else { hit(inject) }
}

/// The same harm, to `nodes` alone.
pub fn only(inject: &Inject, nodes: &[String]) -> Inject {
    let (word, mut table) = fields(inject);
    for (key, value) in &mut table {
        if HIT.contains(&key.as_str()) {
            *value = toml::Value::Array(nodes.iter().cloned().map(toml::Value::String).collect());
        }
    }
    let tagged = [(word, toml::Value::Table(table))].into_iter().collect();
    Inject::deserialize(toml::Value::Table(tagged)).expect("only names of nodes were exchanged")
}

/// A fault's kind and fields. Through its written form, so that a new kind is known here without a line of its own.
fn fields(inject: &Inject) -> (String, toml::Table) {
    let written = toml::Value::try_from(inject).expect("faults are written to plans as TOML");
    let toml::Value::Table(tagged) = written else { unreachable!("faults are externally tagged") };
    let (word, value) = tagged.into_iter().next().expect("a fault has a kind");
    let toml::Value::Table(table) = value else { unreachable!("every fault has fields") };
    (word, table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim::fault::{Cut, On};

    #[test]
    fn a_fault_of_many_becomes_one_of_a_single_node_and_keeps_the_rest() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let loss = Inject::PowerLoss(On { nodes: names(&["a", "b"]) });
        assert_eq!(hit(&loss), ["a", "b"]);
        assert_eq!(only(&loss, &names(&["b"])), Inject::PowerLoss(On { nodes: names(&["b"]) }));
        let cut = Inject::Cut(Cut { from: names(&["a", "b"]), to: names(&["c"]), both_ways: false });
        assert_eq!(takes(&cut), ["a", "b"]);
        let alone = Inject::Cut(Cut { from: names(&["a"]), to: names(&["c"]), both_ways: false });
        assert_eq!(only(&cut, &names(&["a"])), alone);
    }
}
