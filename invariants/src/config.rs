//! `config`: what validation must find is found before anybody is served by it.

use crate::names::Names;
use crate::verdict::Violations;
use crate::{Invariant, Law, Outcome};
use sim::history::{Event, Fact};
use std::collections::BTreeMap;

/// No node runs what no validator may let pass.
pub const LAW: Law = Law {
    name: "config",
    sentence: "no node ever runs a version that is invalid",
    needs: "an invalid version that somebody pushes",
    survives: &[],
    make: |plan| {
        Box::new(Config {
            names: Names::of(plan),
            invalid: BTreeMap::new(),
            violations: Violations::default(),
        })
    },
};

/// The law at work.
struct Config {
    names: Names,
    /// Versions that are invalid, with the event that says so: before anybody can have them.
    invalid: BTreeMap<u64, Event>,
    violations: Violations,
}

impl Invariant for Config {
    fn observe(&mut self, event: &Event) {
        match event.fact {
            Fact::Invalid { version } => {
                self.invalid.entry(version).or_insert_with(|| event.clone());
            }
            Fact::Adopt { version } => {
                let Some(invalid) = self.invalid.get(&version) else { return };
                let node = self.names.name(event.node);
                let message = format!("{node} runs version {version}, which is invalid");
                let lines = vec![self.names.line(invalid), self.names.line(event)];
                self.violations.add_all(event.at_ns, "an invalid version runs", None, message, lines);
            }
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        let exercised = self.invalid.len() as u64;
        Outcome { violations: self.violations.into_vec(), exercised, unknown: None }
    }
}
