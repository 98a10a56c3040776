//! `revocation` and `enrolment`: who is let in, in the verifier's clock and in the true one.

use crate::names::Names;
use crate::verdict::Violations;
use crate::{Bound, Invariant, Law, Outcome};
use sim::duration_text;
use sim::history::{Event, Fact};
use sim::plan::Plan;
use std::collections::BTreeMap;

/// Clocks of edges may drift by so much before a bound on them says nothing of true time.
const DRIFT_PARTS_PER_MILLION: u32 = 1_000;
/// What a new account may wait longer than its bound for, where something is cut or stands still for so long.
const OUTAGE_NS: u64 = 1_000_000_000;

/// Who is revoked is not let in, whatever else goes wrong: an edge that hears nothing must close.
pub const REVOCATION: Law = Law {
    name: "revocation",
    sentence: "nobody unknown is let in, and nobody once revoked for longer than the bound: neither by the edge's own clock \
               nor in true time",
    needs: "a request that an edge lets in",
    survives: &[Bound::ClockDrift { parts_per_million_max: DRIFT_PARTS_PER_MILLION }],
    make: |plan| Box::new(Access::new(plan, true)),
};

/// Who is enrolled is let in, soon.
pub const ENROLMENT: Law = Law {
    name: "enrolment",
    sentence: "nobody is turned away who was enrolled for longer than the bound and is not revoked",
    needs: "a request of an enrolled account at an edge",
    survives: &[
        Bound::ClockDrift { parts_per_million_max: DRIFT_PARTS_PER_MILLION },
        Bound::Cut { ns_max: OUTAGE_NS },
        Bound::Pause { ns_max: OUTAGE_NS },
        Bound::Down { ns_max: OUTAGE_NS },
    ],
    make: |plan| Box::new(Access::new(plan, false)),
};

/// Both laws at work; each says only its own.
struct Access {
    names: Names,
    revocation: bool,
    enrolled: BTreeMap<u32, (u64, Event)>,
    revoked: BTreeMap<u32, (u64, Event)>,
    violations: Violations,
    asked: u64,
}

/// What a bound on a drifting clock is in true time.
fn true_bound_ns(within_ns: u64) -> u64 {
    within_ns.saturating_add(within_ns.div_ceil(1_000_000).saturating_mul(DRIFT_PARTS_PER_MILLION.into()))
}

impl Access {
    fn new(plan: &Plan, revocation: bool) -> Self {
        Self {
            names: Names::of(plan),
            revocation,
            enrolled: BTreeMap::new(),
            revoked: BTreeMap::new(),
            violations: Violations::default(),
            asked: 0,
        }
    }

    fn add(&mut self, shape: &str, message: String, earlier: Option<&Event>, event: &Event) {
        let lines = earlier.into_iter().chain([event]).map(|event| self.names.line(event)).collect();
        let id = match event.fact {
            Fact::Admit { id, .. } | Fact::Deny { id, .. } => Some(id),
            _ => None,
        };
        self.violations.add_all(event.at_ns, shape, id, message, lines);
    }

    fn admit(&mut self, event: &Event, account: u32, age_ns: u64) {
        self.asked += 1;
        let edge = self.names.name(event.node).to_owned();
        if !self.enrolled.contains_key(&account) {
            let message = format!("{edge} let account {account} in, which nobody enrolled");
            return self.add("nobody was let in", message, None, event);
        }
        let Some((within_ns, revoked)) = self.revoked.get(&account).cloned() else { return };
        let (since_ns, bound) = (event.at_ns - revoked.at_ns, duration_text::readable(within_ns));
        if since_ns > true_bound_ns(within_ns) {
            let since = duration_text::readable(since_ns);
            let message = format!(
                "{edge} let account {account} in {since} after it was revoked, and {bound} is the bound"
            );
            self.add("let in after the bound", message, Some(&revoked), event);
        }
        if age_ns > within_ns {
            let age = duration_text::readable(age_ns);
            let message =
                format!("{edge} let account {account} in by what was {age} old, and {bound} is the bound");
            self.add("decided by something too old", message, Some(&revoked), event);
        }
    }

    fn deny(&mut self, event: &Event, account: u32) {
        let Some((within_ns, enrolled)) = self.enrolled.get(&account).cloned() else { return };
        self.asked += 1;
        let since_ns = event.at_ns - enrolled.at_ns;
        if !self.revoked.contains_key(&account) && since_ns > true_bound_ns(within_ns) {
            let (edge, since) = (self.names.name(event.node), duration_text::readable(since_ns));
            let message = format!("{edge} turned account {account} away {since} after it was enrolled");
            self.add("a customer turned away", message, Some(&enrolled), event);
        }
    }
}

impl Invariant for Access {
    fn observe(&mut self, event: &Event) {
        match event.fact {
            Fact::Enrol { account, within_ns } => {
                self.revoked.remove(&account);
                self.enrolled.insert(account, (within_ns, event.clone()));
            }
            Fact::Revoke { account, within_ns } => {
                // Whoever says so again, after a restart, makes the bound no later.
                let bounded = self.revoked.get(&account).is_some_and(|(within_ns, _)| *within_ns != u64::MAX);
                if !bounded {
                    self.revoked.insert(account, (within_ns, event.clone()));
                }
            }
            Fact::Admit { account, age_ns, .. } if self.revocation => self.admit(event, account, age_ns),
            Fact::Admit { account, .. } => self.asked += u64::from(self.enrolled.contains_key(&account)),
            Fact::Deny { account, .. } if !self.revocation => self.deny(event, account),
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        Outcome { violations: self.violations.into_vec(), exercised: self.asked, unknown: None }
    }
}
