//! The page's parts in the order in which a reader needs them: what broke, how to see it again, what was done to the
//! system, how one request came to grief, the whole run, the ledger, why, and what was left out.

mod account;

use super::data::Data;
use super::sign::SIGNS;
use super::story::Story;
use super::{Page, picture};
use crate::markup::Markup;
use crate::words::{length, moment};
use sim::history::Id;
use sim::plan::Arrivals;
use std::fmt::Display;

/// Requests whose story is told.
const STORIES_MOST: usize = 3;

/// What came of the run, in a few words.
pub(super) fn headline(data: &Data<'_>) -> String {
    let of = |verdict: &str| {
        data.laws.iter().filter(|law| law.verdict == verdict).map(|law| law.name).collect::<Vec<_>>()
    };
    let violated = of("violated");
    let beyond = of("beyond-design");
    if !violated.is_empty() {
        return format!("Violated: {}", violated.join(", "));
    }
    if !beyond.is_empty() {
        return format!("Broken beyond what the design promises: {}", beyond.join(", "));
    }
    match of("held") {
        held if held.len() == data.laws.len() => "Held: every law".to_owned(),
        held if held.is_empty() => "Nothing is known".to_owned(),
        held => format!("Held: {}", held.join(", ")),
    }
}

pub(super) fn write(page: &Page<'_>, data: &Data<'_>, markup: &mut Markup) {
    markup.element("header", &[], |markup| header(page, data, markup));
    markup.element("main", &[], |markup| {
        section("faults", "What was done to the system", markup, |markup| faults(page, data, markup));
        if let Some(explanation) = &page.run.explanation {
            section("why", "Why it fails", markup, |markup| account::explained(explanation, markup));
        }
        stories(page, data, markup);
        section("run", "The whole run", markup, |markup| whole_run(data, markup));
        section("laws", "What each law says", markup, |markup| account::laws(data, markup));
        section("ledger", "Ledger of requests", markup, |markup| account::ledger(data, markup));
        if !page.sharing.is_empty() {
            section("sharing", "What P^N says, and what happened", markup, |markup| {
                account::sharing(page, markup)
            });
        }
        section("left-out", "What this page leaves out", markup, |markup| left_out(page, data, markup));
        section("again", "To run it again", markup, |markup| again(page, markup));
    });
}

fn section(id: &str, title: &str, markup: &mut Markup, inside: impl FnOnce(&mut Markup)) {
    markup.element("section", &[("id", &id)], |markup| {
        markup.leaf("h2", &[], title);
        inside(markup);
    });
}

fn header(page: &Page<'_>, data: &Data<'_>, markup: &mut Markup) {
    let broken = data.laws.iter().any(|law| !law.violations.is_empty());
    let held = data.laws.iter().all(|law| law.verdict == "held");
    let (class, sign) = match (broken, held) {
        (true, _) => ("verdict bad", "✗ "),
        (false, true) => ("verdict good", "✓ "),
        (false, false) => ("verdict doubtful", "? "),
    };
    markup.leaf("p", &[("class", &"title")], page.run.title());
    markup.leaf("h1", &[("class", &class), ("id", &"verdict")], format!("{sign}{}", headline(data)));
    if let Some(lead) = lead(data) {
        markup.leaf("p", &[("class", &"lead")], lead);
    }
    markup.element("ul", &[("class", &"violations")], |markup| {
        for law in &data.laws {
            for violation in &law.violations {
                markup.element("li", &[], |markup| {
                    markup.leaf("strong", &[], law.name);
                    markup.text(format_args!(" at {}: {}", moment(violation.at_ns), violation.message));
                });
            }
        }
    });
    if broken && data.laws.iter().all(|law| law.violations.is_empty() || law.expected.contains(law.verdict)) {
        let text = "The scenario expects this: a safeguard is off, to show what it was for.";
        markup.leaf("p", &[("class", &"quiet")], text);
    }
    markup.element("div", &[("class", &"ways-out")], |markup| {
        command("Reproduce with:", "reproduce", data.reproduce, markup);
        if broken {
            command("Make smaller:", "shrink", &page.shrink, markup);
        }
    });
}

/// What was lost for certain, in one sentence that needs no knowledge of laws.
fn lead(data: &Data<'_>) -> Option<String> {
    let violations = data.laws.iter().flat_map(|law| &law.violations);
    violations.flat_map(|violation| &violation.ids).find(|id| data.lost(**id))?;
    let (missing, all) = (data.ledger.missing.len(), data.ledger.acknowledged);
    let were = if missing == 1 { "was" } else { "were" };
    Some(format!("{missing} of {all} requests that clients were told are accepted {were} never done."))
}

fn command(label: &str, id: &str, command: &str, markup: &mut Markup) {
    markup.element("p", &[], |markup| {
        markup.leaf("span", &[], label);
        markup.text(" ");
        markup.leaf("code", &[("id", &id)], command);
        markup.leaf(
            "button",
            &[("type", &"button"), ("class", &"copy"), ("data-copy", &id), ("hidden", &"")],
            "copy",
        );
    });
}

fn faults(page: &Page<'_>, data: &Data<'_>, markup: &mut Markup) {
    for why in &page.why {
        markup.leaf("p", &[("class", &"why")], why);
    }
    if data.faults.is_empty() {
        markup.leaf("p", &[], "Nothing: no fault was injected.");
    }
    markup.element("ol", &[("class", &"faults")], |markup| {
        for fault in &data.faults {
            markup.element("li", &[], |markup| {
                let attributes: [(&str, &dyn Display); 4] =
                    [("class", &"swatch"), ("width", &30), ("height", &14), ("aria-hidden", &"true")];
                markup.element("svg", &attributes, |markup| {
                    let fill = format!("url(#{})", picture::hatch(fault.kind));
                    let attributes: [(&str, &dyn Display); 4] =
                        [("class", &"band"), ("fill", &fill), ("width", &30), ("height", &14)];
                    markup.leaf("rect", &attributes, "");
                });
                markup.text(" ");
                markup.leaf("strong", &[], &fault.name);
                let lasted = length(fault.end_ns - fault.start_ns);
                markup.text(format_args!(": {} ({lasted})", fault.words));
            });
        }
    });
    if !page.settings.is_empty() {
        markup.leaf("p", &[], "Settings that are not at their defaults:");
        markup.element("ul", &[], |markup| {
            for setting in &page.settings {
                markup.element("li", &[], |markup| {
                    markup.leaf("code", &[], format!("{} = {}", setting.name, setting.value));
                    markup.text(format_args!(" (default {}): {}", setting.default, setting.why));
                });
            }
        });
    }
    let workload = &page.run.plan.workload;
    let only = workload
        .only
        .as_ref()
        .map_or(String::new(), |only| format!(", of which only {} took place", only.join(", ")));
    let steps: String = workload
        .steps
        .iter()
        .map(|step| format!(", {} from {} on", step.rate_per_s, length(step.at_ns)))
        .collect();
    let even = if workload.arrivals == Arrivals::Even { " evenly" } else { "" };
    let text = format!(
        "Load: clients {}, requests a second of all together {}{even}{steps}{only}, for {}; then everything is healed and the stack has {} to drain.",
        workload.clients,
        workload.rate_per_s,
        length(page.run.plan.duration_ns),
        length(page.run.plan.drain_ns),
    );
    markup.leaf("p", &[("class", &"quiet")], text);
}

/// The first request of each violation; or the slowest, where nothing is broken.
fn stories(page: &Page<'_>, data: &Data<'_>, markup: &mut Markup) {
    let violations = || data.laws.iter().flat_map(|law| &law.violations);
    let slowest = violations().next().is_none();
    let mut ids: Vec<Id> = Vec::new();
    let named = violations().filter_map(|violation| violation.ids.first());
    for id in named.chain(data.ways.first().filter(|_| slowest)) {
        if !ids.contains(id) {
            ids.push(*id);
        }
    }
    // A promise that was not kept is what most readers understand at once.
    ids.sort_by_key(|id| !data.lost(*id));
    for (index, id) in ids.into_iter().take(STORIES_MOST).enumerate() {
        let story = Story::of(page.run, data, id);
        let attributes: [(&str, &dyn Display); 1] = [("class", &"story-box")];
        markup.element("section", &attributes, |markup| {
            if index == 0 {
                markup.leaf("h2", &[], story.title(slowest));
                markup.element("div", &[("class", &"scroll")], |markup| story.draw(page.run, markup));
            } else {
                markup.element("details", &[], |markup| {
                    markup.leaf("summary", &[], story.title(slowest));
                    markup.element("div", &[("class", &"scroll")], |markup| story.draw(page.run, markup));
                });
            }
        });
    }
}

fn whole_run(data: &Data<'_>, markup: &mut Markup) {
    markup.element("div", &[("id", &"controls"), ("hidden", &"")], |markup| {
        let buttons = [
            ("zoom-in", "+", "Zoom in"),
            ("zoom-out", "−", "Zoom out"),
            ("zoom-all", "whole run", "Show the whole run"),
        ];
        for (id, text, label) in buttons {
            let attributes: [(&str, &dyn Display); 3] =
                [("type", &"button"), ("id", &id), ("aria-label", &label)];
            markup.leaf("button", &attributes, text);
        }
        for (index, fault) in data.faults.iter().enumerate().take(12) {
            let attributes: [(&str, &dyn Display); 4] = [
                ("type", &"button"),
                ("class", &"goto"),
                ("data-from", &fault.start_ns),
                ("data-to", &fault.end_ns),
            ];
            markup.leaf("button", &attributes, format!("fault {}", index + 1));
        }
        for law in data.laws.iter().filter(|law| !law.violations.is_empty()) {
            let attributes: [(&str, &dyn Display); 4] = [
                ("type", &"button"),
                ("class", &"goto"),
                ("data-from", &law.violations[0].at_ns),
                ("data-to", &law.violations[0].at_ns),
            ];
            markup.leaf("button", &attributes, format!("{} broken", law.name));
        }
    });
    markup.element("p", &[("class", &"quiet keys"), ("id", &"keys"), ("hidden", &"")], |markup| {
        let help = "+ and − zoom, ← → ↑ ↓ go from event to event, 0 shows all, Esc closes details; or drag, click, and Ctrl with the wheel";
        markup.text(help);
    });
    let label = "The whole run: arrow keys go from event to event, plus and minus zoom";
    let plot_box: [(&str, &dyn Display); 5] = [
        ("class", &"scroll"),
        ("id", &"plot-box"),
        ("tabindex", &0),
        ("role", &"region"),
        ("aria-label", &label),
    ];
    markup.element("div", &plot_box, |markup| {
        picture::draw(data, markup);
    });
    let attributes: [(&str, &dyn Display); 3] =
        [("id", &"details"), ("hidden", &""), ("aria-live", &"polite")];
    markup.leaf("div", &attributes, "");
    markup.element("p", &[("class", &"legend")], |markup| {
        for sign in SIGNS.iter().filter(|sign| is_drawn(data, sign.word)) {
            markup.element("span", &[], |markup| {
                sign.alone(markup);
                markup.text(format_args!(" {}", sign.meaning));
            });
        }
        markup.element("span", &[], |markup| {
            let attributes: [(&str, &dyn Display); 4] =
                [("class", &"swatch"), ("width", &30), ("height", &12), ("aria-hidden", &"true")];
            markup.element("svg", &attributes, |markup| {
                markup.leaf("rect", &[("class", &"down"), ("width", &30), ("height", &12)], "");
            });
            markup.text(" node down");
        });
    });
}

fn is_drawn(data: &Data<'_>, word: &str) -> bool {
    data.marks.iter().any(|mark| mark.word == word)
        || word == "violation" && data.laws.iter().any(|law| !law.violations.is_empty())
}

fn left_out(page: &Page<'_>, data: &Data<'_>, markup: &mut Markup) {
    markup.element("ul", &[], |markup| {
        for what in &data.left_out {
            markup.leaf("li", &[], what);
        }
        markup.leaf(
            "li",
            &[],
            "single packets: arrows follow a request's own events, from each step to those it led to",
        );
        markup.leaf("li", &[], "the start of every node's first process");
        let place = page.run.folder.display();
        markup.leaf("li", &[], format!("everything is in {place}/history.bin"));
    });
}

fn again(page: &Page<'_>, markup: &mut Markup) {
    let capsule = &page.run.capsule;
    let made = &capsule.provenance;
    let facts = format!(
        "{} events, {} messages, {} simulated; digest {}; hogwash {}, {}, {}, lock file {}",
        capsule.events,
        capsule.messages,
        length(capsule.sim_ns),
        capsule.digest,
        made.hogwash,
        made.toolchain,
        made.target,
        made.lock_digest
    );
    markup.leaf("p", &[("class", &"quiet")], facts);
    markup.element("details", &[], |markup| {
        markup.leaf(
            "summary",
            &[],
            "The plan: save it as plan.toml, and hogwash replay plan.toml gives the same run",
        );
        markup.leaf("pre", &[("id", &"plan")], page.plan_text());
    });
}
