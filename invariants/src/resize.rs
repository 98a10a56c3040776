//! `resize`: what a client gets is the pure function of what it sent.

use crate::names::{Names, Said};
use crate::verdict::Violations;
use crate::{Invariant, Law, Outcome};
use sim::history::{Digest, Event, Fact, Id};
use sim::plan::Plan;
use std::collections::BTreeMap;

/// Outputs are the pure function of their inputs.
pub const LAW: Law = Law {
    name: "resize",
    sentence: "every result is the pure function of its request's input, and only inputs that have none are refused",
    needs: "an answer to a request whose right answer is known",
    survives: &[],
    make: |plan| Box::new(Resize::new(plan)),
};

/// The law at work. It knows nothing of pictures: clients say what is right ([`Fact::Expect`], computed outside the
/// stack) before they ask.
struct Resize {
    names: Names,
    /// Right answers of requests that are not settled.
    expected: BTreeMap<Id, (Option<Digest>, Said)>,
    violations: Violations,
    compared: u64,
}

impl Resize {
    fn new(plan: &Plan) -> Self {
        Self {
            names: Names::of(plan),
            expected: BTreeMap::new(),
            violations: Violations::default(),
            compared: 0,
        }
    }

    fn compare(&mut self, event: &Event, id: Id, output: Option<Digest>) {
        let Some((expected, said)) = self.expected.get(&id).copied() else { return };
        self.compared += 1;
        if expected == output {
            return;
        }
        let show =
            |answer: Option<Digest>| answer.map_or("a refusal".to_owned(), |digest| digest.to_string());
        let message = format!("request {id} must give {} and gave {}", show(expected), show(output));
        let word = event.fact.word();
        let right = said.event(Fact::Expect { id, output: expected });
        let lines = vec![self.names.line(&right), self.names.line(event)];
        let shape = match (expected, output) {
            (Some(_), None) => format!("{word}: good input refused"),
            (None, Some(_)) => format!("{word}: a result where there is none"),
            _ => format!("{word}: wrong result"),
        };
        self.violations.add_all(event.at_ns, &shape, Some(id), message, lines);
    }
}

/// Refusals that say something of the input; others (429, 503, 504 …) say something of the service.
fn is_of_the_input(status: u32) -> bool {
    matches!(status, 400 | 413 | 415 | 422)
}

impl Invariant for Resize {
    fn observe(&mut self, event: &Event) {
        match event.fact {
            Fact::Expect { id, output } => {
                self.expected.insert(id, (output, Said::of(event)));
            }
            Fact::Finish { id, output, .. } => self.compare(event, id, output),
            Fact::Receive { id, output } => {
                self.compare(event, id, Some(output));
                self.expected.remove(&id);
            }
            Fact::Refuse { id, status } => {
                if is_of_the_input(status) {
                    self.compare(event, id, None);
                }
                self.expected.remove(&id);
            }
            Fact::GiveUp { id } => {
                self.expected.remove(&id);
            }
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        Outcome { violations: self.violations.into_vec(), exercised: self.compared, unknown: None }
    }
}
