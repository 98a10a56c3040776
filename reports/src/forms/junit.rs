//! A run as JUnit XML: a suite for the run, a case for each law.
//!
//! A case fails where its law is violated and the scenario does not expect that; it is skipped where the run says
//! nothing of the law.

use crate::markup::Markup;
use crate::past::PastRun;
use invariants::{LAWS, Verdict};
use scenarios::describe;
use scenarios::expectation::Judgement;
use scenarios::store::Broken;
use std::fmt::Display;

/// The whole file; `reproduce` is the command that runs it again.
pub fn xml(run: &PastRun, reproduce: &str) -> String {
    let capsule = &run.capsule;
    let cases: Vec<Case<'_>> =
        capsule.verdicts.iter().map(|(law, verdict)| Case::of(run, law, *verdict)).collect();
    let count = |is: fn(&Outcome) -> bool| cases.iter().filter(|case| is(&case.outcome)).count();
    let (failures, skipped) =
        (count(|one| matches!(one, Outcome::Failed)), count(|one| matches!(one, Outcome::Skipped(_))));
    let seconds = seconds(capsule.wall_ns);
    let name = run.title();
    let totals: [(&str, &dyn Display); 6] = [
        ("name", &name),
        ("tests", &cases.len()),
        ("failures", &failures),
        ("errors", &0),
        ("skipped", &skipped),
        ("time", &seconds),
    ];
    let mut markup = Markup::default();
    // The whole has no `skipped` in the common schema.
    let whole: Vec<(&str, &dyn Display)> =
        totals.iter().copied().filter(|(attribute, _)| *attribute != "skipped").collect();
    markup.element("testsuites", &whole, |markup| {
        markup.element("testsuite", &totals, |markup| {
            properties(run, markup);
            cases.iter().for_each(|case| case.write(run, markup));
            let faults = run.plan.faults.iter().map(|fault| format!("fault: {}\n", describe::fault(fault)));
            markup.leaf(
                "system-out",
                &[],
                format!("{}Reproduce with: {reproduce}\n", faults.collect::<String>()),
            );
        });
    });
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", markup.finish())
}

struct Case<'a> {
    law: &'a str,
    verdict: Verdict,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    Failed,
    Skipped(&'static str),
}

impl<'a> Case<'a> {
    fn of(run: &PastRun, law: &'a str, verdict: Verdict) -> Self {
        let judgement = run.capsule.judgements.get(law).copied().unwrap_or(Judgement::Unexpected);
        let outcome = match judgement {
            Judgement::Expected | Judgement::Excused => Outcome::Passed,
            Judgement::Unexpected => Outcome::Failed,
            Judgement::Weak => Outcome::Skipped("the run says nothing of this law"),
            Judgement::Missing => {
                Outcome::Skipped("a violation is expected on some seed, and this one shows none")
            }
        };
        Self { law, verdict, outcome }
    }

    fn write(&self, run: &PastRun, markup: &mut Markup) {
        let class = run.capsule.scenario.replace('/', ".");
        let attributes: [(&str, &dyn Display); 3] =
            [("classname", &class), ("name", &self.law), ("time", &"0.000")];
        let violations = run.capsule.violations.iter().filter(|broken| broken.invariant == self.law);
        let violations: Vec<&Broken> = violations.collect();
        markup.element("testcase", &attributes, |markup| {
            match self.outcome {
                Outcome::Passed => {}
                Outcome::Skipped(why) => {
                    let message = format!("{}: {why}", self.verdict);
                    markup.leaf("skipped", &[("message", &message)], "");
                }
                Outcome::Failed => {
                    let first = violations.first().map_or("", |broken| broken.message.as_str());
                    let attributes: [(&str, &dyn Display); 2] =
                        [("message", &first), ("type", &self.verdict)];
                    markup.leaf("failure", &attributes, text(&violations));
                }
            }
            let sentence = LAWS.iter().find(|law| law.name == self.law).map_or("", |law| law.sentence);
            let mut said = format!("{}: {sentence}\n", self.verdict);
            // A violation that is expected is no failure, and is still worth reading.
            if !matches!(self.outcome, Outcome::Failed) {
                said.push_str(&text(&violations));
            }
            markup.leaf("system-out", &[], said);
        });
    }
}

fn text(violations: &[&Broken]) -> String {
    let lines = violations.iter().map(|broken| {
        let evidence: String = broken.evidence.iter().map(|line| format!("  {line}\n")).collect();
        format!("{} [{}]\n{evidence}", broken.message, broken.fingerprint)
    });
    lines.collect()
}

fn properties(run: &PastRun, markup: &mut Markup) {
    let capsule = &run.capsule;
    let properties: [(&str, &dyn Display); 5] = [
        ("seed", &capsule.seed),
        ("digest", &capsule.digest),
        ("events", &capsule.events),
        ("hogwash", &capsule.provenance.hogwash),
        ("toolchain", &capsule.provenance.toolchain),
    ];
    markup.element("properties", &[], |markup| {
        for (name, value) in properties {
            markup.leaf("property", &[("name", &name), ("value", value)], "");
        }
    });
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds are shown")]
fn seconds(nanoseconds: u64) -> String {
    format!("{:.3}", nanoseconds as f64 / 1e9)
}
