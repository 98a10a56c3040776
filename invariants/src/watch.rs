//! All laws on one history: while it happens, or when it is read again.

use crate::bounds::Damage;
use crate::{Finding, Invariant, LAWS, Law, Outcome, Verdict};
use sim::history::{Event, Fact};
use sim::plan::Plan;

/// All laws, watching one run: the same code online and afterwards.
pub struct Watch {
    damage: Damage,
    laws: Vec<(&'static Law, Box<dyn Invariant>)>,
    ended: bool,
}

impl Watch {
    /// Begins to watch a run of `plan`.
    pub fn new(plan: &Plan) -> Self {
        let laws = LAWS.iter().map(|law| (law, (law.make)(plan))).collect();
        Self { damage: Damage::new(plan), laws, ended: false }
    }

    /// Reads one event; events come in the order of the history.
    pub fn observe(&mut self, event: &Event) {
        self.damage.observe(event);
        self.laws.iter_mut().for_each(|(_, invariant)| invariant.observe(event));
        self.ended |= matches!(event.fact, Fact::End { .. });
    }

    /// The laws that are broken so far, whatever may follow.
    pub fn broken(&self) -> impl Iterator<Item = &'static Law> {
        self.laws.iter().filter(|(_, invariant)| invariant.broken()).map(|(law, _)| *law)
    }

    /// What each law says, in the order of [`LAWS`]. Of a run that was cut off, which no [`Fact::End`] ends, none can say
    /// that it held.
    pub fn finish(self) -> Vec<(&'static Law, Finding)> {
        let Self { damage, laws, ended } = self;
        let finish = |(law, invariant): (&'static Law, Box<dyn Invariant>)| {
            let cut_off = !ended && !invariant.broken();
            let mut outcome = invariant.finish();
            if cut_off {
                outcome.violations.clear();
                outcome.unknown = Some("the run was cut off".to_owned());
            }
            (law, finding(law, outcome, &damage))
        };
        laws.into_iter().map(finish).collect()
    }
}

/// Holds a whole history, of a run of `plan`, to `law`.
pub fn check<'a>(law: &Law, plan: &Plan, events: impl IntoIterator<Item = &'a Event>) -> Finding {
    let (mut damage, mut invariant) = (Damage::new(plan), (law.make)(plan));
    for event in events {
        damage.observe(event);
        invariant.observe(event);
    }
    finding(law, invariant.finish(), &damage)
}

/// Grades what a law found by what really happened.
fn finding(law: &Law, outcome: Outcome, damage: &Damage) -> Finding {
    let Outcome { violations, exercised, unknown } = outcome;
    let beyond: Vec<_> = law.survives.iter().filter_map(|bound| damage.past(*bound)).collect();
    let (verdict, because) = match (violations.is_empty(), beyond.is_empty(), unknown) {
        (false, false, _) => (Verdict::BeyondDesign, Some(beyond.join("; "))),
        (false, true, _) => (Verdict::Violated, None),
        (true, _, Some(unknown)) => (Verdict::Undecided, Some(unknown)),
        (true, _, None) if exercised == 0 => (Verdict::NotExercised, Some(format!("it needs {}", law.needs))),
        (true, _, None) => (Verdict::Held, None),
    };
    Finding { verdict, violations, exercised, because }
}
