//! What a version says.

use super::defect::Defect;
use serde::{Deserialize, Serialize};
use sim::stack::Deployment;

/// The version that every node starts with.
pub(super) const FIRST: u64 = 1;

/// One version of what nodes run: settings, and perhaps a defect that nobody knows of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// Its number; later ones are greater.
    pub(crate) version: u64,
    /// How many requests a node takes on at once.
    pub(crate) in_flight_max: u64,
    /// What is wrong with it.
    pub(crate) defect: Option<Defect>,
}

impl Document {
    /// What every node starts with.
    pub(super) fn first() -> Self {
        Self { version: FIRST, in_flight_max: u64::from(u32::MAX), defect: None }
    }

    /// What operators push, as the deployment's settings say.
    pub(super) fn pushed(deployment: &Deployment) -> Self {
        let defective = deployment.setting("push.content") == "defective";
        Self {
            version: FIRST + 1,
            in_flight_max: if deployment.setting("push.content") == "invalid" { 0 } else { 1_000_000 },
            defect: defective.then(|| Defect::of(deployment)),
        }
    }

    /// Whether what operators push is invalid, by what went into its making: what [`Document::validate`] must find.
    pub(super) fn pushed_is_invalid(deployment: &Deployment) -> bool {
        let is = |name, value| deployment.setting(name) == value;
        let always_wrong = is("push.effect", "wrong") && is("push.trigger", "always");
        is("push.content", "invalid") || is("push.content", "defective") && always_wrong
    }

    /// What makes it one that no node can run, in words.
    pub(super) fn validate(&self) -> Result<(), &'static str> {
        if self.in_flight_max == 0 {
            return Err("a node that takes no request is of no use");
        }
        if self.defect.is_some_and(Defect::shows_on_a_known_input) {
            return Err("the answer to a known input is wrong");
        }
        Ok(())
    }
}
