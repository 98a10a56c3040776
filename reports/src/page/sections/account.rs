//! The account of the run: what each law says, the ledger, why it fails, and what P^N says.

use super::super::Page;
use super::super::data::{Data, LawData};
use crate::markup::Markup;
use crate::sharing::Sharing;
use crate::words::moment;
use scenarios::explain::Explanation;

/// Missing requests that the ledger names.
const MISSING_MOST: usize = 50;
/// Lines of evidence that are shown.
const EVIDENCE_MOST: usize = 8;

pub(super) fn laws(data: &Data<'_>, markup: &mut Markup) {
    markup.element("table", &[], |markup| {
        markup.element("thead", &[], |markup| {
            row("th", &["law", "verdict", "expected", "what it demands"], markup)
        });
        markup.element("tbody", &[], |markup| {
            for law in &data.laws {
                markup.element("tr", &[], |markup| {
                    markup.leaf("td", &[], law.name);
                    let (class, sign) = verdict_sign(law.verdict);
                    markup.leaf("td", &[("class", &class)], format!("{sign} {}", law.verdict));
                    markup.leaf("td", &[], law.expected);
                    markup.leaf("td", &[], law.sentence);
                });
            }
        });
    });
    data.laws.iter().filter(|law| !law.violations.is_empty()).for_each(|law| evidence(law, markup));
}

fn verdict_sign(verdict: &str) -> (&'static str, &'static str) {
    match verdict {
        "held" => ("good", "✓"),
        "violated" => ("bad", "✗"),
        _ => ("doubtful", "?"),
    }
}

fn evidence(law: &LawData<'_>, markup: &mut Markup) {
    markup.element("details", &[], |markup| {
        markup.leaf("summary", &[], format!("Evidence: {}", law.name));
        for violation in &law.violations {
            markup.leaf(
                "p",
                &[],
                format!("{}: {} [{}]", moment(violation.at_ns), violation.message, violation.fingerprint),
            );
            markup.element("ul", &[("class", &"evidence")], |markup| {
                for line in violation.evidence.iter().take(EVIDENCE_MOST) {
                    markup.leaf("li", &[], line);
                }
                let more = violation.evidence.len().saturating_sub(EVIDENCE_MOST);
                if more > 0 {
                    markup.leaf("li", &[], format!("{more} lines more are in the run's result.json"));
                }
            });
        }
    });
}

fn row(cell: &'static str, cells: &[&str], markup: &mut Markup) {
    markup.element("tr", &[], |markup| cells.iter().for_each(|text| markup.leaf(cell, &[], text)));
}

pub(super) fn ledger(data: &Data<'_>, markup: &mut Markup) {
    let ledger = &data.ledger;
    markup.element("dl", &[("class", &"ledger")], |markup| {
        let counts = [
            ("sent", ledger.submitted, ""),
            ("acknowledged", ledger.acknowledged, ""),
            ("done", ledger.done, ""),
            ("received", ledger.received, ""),
            ("refused", ledger.refused, ""),
            ("given up", ledger.given_up, ""),
            ("missing", ledger.missing.len(), if ledger.missing.is_empty() { "good" } else { "bad" }),
        ];
        for (name, count, class) in counts {
            markup.element("div", &[("class", &class)], |markup| {
                markup.leaf("dt", &[], name);
                markup.leaf("dd", &[], count);
            });
        }
    });
    if ledger.missing.is_empty() {
        markup.leaf("p", &[], "Nothing is missing: every request that was acknowledged is done.");
        return;
    }
    markup.leaf("p", &[], "Missing: acknowledged to the client, and not done when the run ended.");
    markup.element("table", &[("id", &"missing")], |markup| {
        let head = ["request", "acknowledged", "last seen in the stack"];
        markup.element("thead", &[], |markup| row("th", &head, markup));
        markup.element("tbody", &[], |markup| {
            for missing in ledger.missing.iter().take(MISSING_MOST) {
                let seen = format!(
                    "{} on {} at {}",
                    missing.last_seen,
                    missing.last_seen_node,
                    moment(missing.last_seen_ns)
                );
                row("td", &[&missing.id, &moment(missing.acknowledged_ns), &seen], markup);
            }
        });
    });
    let more = ledger.missing.len().saturating_sub(MISSING_MOST);
    if more > 0 {
        markup.leaf("p", &[("class", &"quiet")], format!("{more} more are missing and not shown."));
    }
}

pub(super) fn explained(explanation: &Explanation, markup: &mut Markup) {
    let (all, needed) =
        (explanation.faults.len(), explanation.faults.iter().filter(|fault| fault.passes).count());
    let law = &explanation.invariant;
    if needed > 0 && needed == all {
        let these = if all == 1 { "this fault" } else { "any one of these faults" };
        markup.leaf("p", &[("class", &"lead")], format!("Take away {these} and {law} holds."));
    }
    // Lines that are indented further belong to the line above.
    markup.element("ul", &[("class", &"explanation")], |markup| {
        for line in explanation.lines().iter().skip(1) {
            let class = if line.starts_with("    ") { "quiet inner" } else { "" };
            markup.leaf("li", &[("class", &class)], line.trim());
        }
    });
    if explanation.no_return.tried.is_empty() {
        return;
    }
    markup.element("details", &[], |markup| {
        markup.leaf("summary", &[], "The moments that were tried");
        markup.element("table", &[], |markup| {
            let head = ["other chance from", "runs saved"];
            markup.element("thead", &[], |markup| row("th", &head, markup));
            markup.element("tbody", &[], |markup| {
                for one in &explanation.no_return.tried {
                    row("td", &[&moment(one.at_ns), &format!("{} of {}", one.saved, one.of)], markup);
                }
            });
        });
    });
}

pub(super) fn sharing(page: &Page<'_>, markup: &mut Markup) {
    markup.element("ul", &[], |markup| {
        for line in page.sharing.iter().flat_map(Sharing::lines) {
            markup.leaf("li", &[], line);
        }
    });
}
