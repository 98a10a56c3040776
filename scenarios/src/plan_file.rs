//! Plans as files: TOML that a person can read and edit, and that another machine runs to the same end.

mod read;

pub use read::read;

use serde::Serialize;
use sim::duration_text;
use sim::fault::Fault;
use sim::plan::Plan;
use std::fmt::Write as _;

const HEADER: &str =
    "# Every choice of one run. `hogwash replay` this file to run it again; edit it to run another.\n";

/// The text of a plan's file: what [`read()`] gives the same plan for.
pub fn write(plan: &Plan) -> String {
    // Taken apart, so that the compiler asks about a new field here.
    let Plan {
        version,
        stack,
        scenario,
        variant,
        seed,
        duration_ns,
        drain_ns,
        expect,
        objectives,
        settings,
        workload,
        network,
        disk,
        byte_scale,
        nodes,
        faults,
    } = plan;
    let mut text = HEADER.to_owned();
    line(&mut text, "version", version);
    line(&mut text, "stack", stack);
    line(&mut text, "scenario", scenario);
    if let Some(variant) = variant {
        line(&mut text, "variant", variant);
    }
    line(&mut text, "seed", seed);
    line(&mut text, "duration", &duration_text::format(*duration_ns));
    line(&mut text, "drain", &duration_text::format(*drain_ns));
    line(&mut text, "expect", expect);
    if !objectives.is_empty() {
        line(&mut text, "objectives", objectives);
    }
    if *byte_scale != 1 {
        line(&mut text, "byte-scale", byte_scale);
    }
    line(&mut text, "settings", settings);
    line(&mut text, "workload", workload);
    line(&mut text, "network", network);
    line(&mut text, "disk", disk);
    text.push_str("\nnode = [\n");
    for node in nodes {
        let _ = writeln!(text, "  {},", inline(node));
    }
    text.push_str("]\n");
    faults.iter().for_each(|fault| write_fault(&mut text, fault));
    text
}

fn write_fault(text: &mut String, fault: &Fault) {
    let Fault { name, start_ns, end_ns, after, shared, inject } = fault;
    text.push_str("\n[[fault]]\n");
    line(text, "name", name);
    line(text, "start", &duration_text::format(*start_ns));
    line(text, "end", &duration_text::format(*end_ns));
    if let Some(after) = after {
        line(text, "after", after);
    }
    if let Some(shared) = shared {
        line(text, "shared", shared);
    }
    let tagged = toml::Table::try_from(inject).expect("a fault is a table with one key");
    for (word, fields) in tagged {
        let _ = writeln!(text, "inject.{word} = {}", inline(&fields));
    }
}

fn line(text: &mut String, key: &str, value: &impl Serialize) {
    let _ = writeln!(text, "{key} = {}", inline(value));
}

/// `value` on one line.
fn inline(value: &impl Serialize) -> String {
    let mut text = String::new();
    value.serialize(toml::ser::ValueSerializer::new(&mut text)).expect("plans hold what TOML can say");
    text
}
